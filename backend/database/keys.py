"""Who is meant: everything kept or queued belongs to a project of one Label Studio server."""

from typing import NamedTuple


class ProjectKey(NamedTuple):
    """A project of one server; two servers count their projects from 1 each.

    ``server`` is the server's address as Label Studio names itself (scheme, host, port and path
    prefix, lower case, no slash at the end); empty where nobody has told yet.
    """

    server: str
    id: int
