"""Finds what is wrong between Label Studio, backend, media and database, and says the fix.

The checks go from the machine outwards, so that the first failure is the one to mend first. None
of them changes anything that stays.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import open_engine, patience
from backend.label_studio.client import WHOAMI, LabelStudio, LabelStudioError
from backend.media.media import Media
from backend.prediction.model import BackgroundModel, ModelNotReadyError
from backend.qa.spool import Spool
from backend.settings import Settings
from backend.web import checks
from backend.web.checks import Check, data_folder, database_at, projects_in_step, spooled
from backend.web.doctor_project import NEWEST_PROJECTS, check_project, told

WAIT_S = 2.0  # seconds for a locked database
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def diagnose(
    settings: Settings,
    *,
    model: BackgroundModel,
    media: Media,
    label_studio: LabelStudio | None,
    project: int | None = None,
    model_wait: float = 120.0,
    emails: bool = True,
) -> Iterator[Check]:
    """All checks, one after the other as they are made; those that need a project with one only.

    ``emails`` says whether the token's user may be named by theirs.
    """
    yield data_folder(settings.data_dir)
    yield database_at(settings.database)
    if (spool := spooled(Spool(settings.data_dir / "spool"))).level != "ok":
        yield spool
    yield from _kept(settings)
    yield _weights(model, model_wait)
    if label_studio is None:
        yield Check(
            "Label Studio",
            "failure",
            "its address is not known",
            "Set VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY.",
        )
        return
    address = _address(label_studio)
    yield address
    if address.level == "failure":
        return
    token = _token(label_studio, emails=emails)
    yield token
    if token.level == "failure":
        return
    numbers = [] if project is None else [project]
    if project is None:
        yield from told("projects", lambda: _find_connected(label_studio, numbers))
    for number in numbers:
        yield from check_project(number, settings, label_studio, media)


def _kept(settings: Settings) -> Iterator[Check]:
    """What the store and the job list say; neither is made or migrated for it."""
    url = sa.make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).expanduser().exists():
        return
    engine = open_engine(settings.database)
    hooks = schema.project_webhooks
    try:
        with patience(WAIT_S), engine.connect() as connection, connection.begin():
            states = sa.select(schema.jobs.c.state, sa.func.count()).group_by(schema.jobs.c.state)
            counts: dict[str, int] = {state: count for state, count in connection.execute(states)}
            yield from projects_in_step(connection)
            of_hooks = sa.select(hooks.c.server, hooks.c.project_id, hooks.c.words).where(
                hooks.c.state == "failed"
            )
            unmended = connection.execute(of_hooks).all()
    except (sa.exc.SQLAlchemyError, OSError):
        return  # no tables yet, or trouble that the check before has told about
    finally:
        engine.dispose()
    for server, number, words in unmended:
        name = f"project {number}: webhook when the backend last looked"
        fix = "Once it is right, the next sync (or opening the project's Model settings) sees it."
        yield Check(name, "warning", f"{server}: {words}", fix)
    if counts:
        words = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        failed = counts.get("failed", 0)
        fix = "See /jobs for the reasons; it also tries them again." if failed else ""
        yield Check("job list", "warning" if failed else "ok", words, fix)


def _weights(model: BackgroundModel, wait: float) -> Check:
    try:
        model.get(timeout=wait)
    except ModelNotReadyError as error:
        loading = model.status.state == "loading"
        fix = "Wait a little." if loading else "See `videogem models`; set VIDEOGEM_MODEL."
        return Check("weights", "warning" if loading else "failure", str(error), fix)
    return Check("weights", "ok", model.version)


def _address(label_studio: LabelStudio) -> Check:
    name = "Label Studio"
    try:
        version = label_studio.call("GET", "/api/version")
    except LabelStudioError as error:
        if (error.status or 0) >= 500:
            return Check(name, "failure", str(error), "See Label Studio's own log.")
        fix = "Check VIDEOGEM_LABEL_STUDIO_URL, with the sub-path if it has one."
        host = urlsplit(label_studio.url).hostname
        if host in LOCAL_NAMES:
            fix += (
                f" {host} means the machine (or container) the backend runs on; from a container "
                "use the service's name or host.docker.internal."
            )
        return Check(name, "failure", str(error), fix)
    release = version.get("release") if isinstance(version, dict) else None
    if release is None:
        return Check(
            name,
            "failure",
            f"{label_studio.url} answers, but not as Label Studio does",
            "Check VIDEOGEM_LABEL_STUDIO_URL, with the sub-path if it has one.",
        )
    took = label_studio.seen.took if label_studio.seen is not None else 0.0
    if took > checks.SLOW_S:
        words = f"{label_studio.url}, version {release}, is slow: an answer took {took:.1f} s"
        return Check(name, "warning", words, "See Label Studio's own log.")
    return Check(name, "ok", f"{label_studio.url}, version {release}")


def _token(label_studio: LabelStudio, *, emails: bool) -> Check:
    if not label_studio.has_token:
        fix = "Set VIDEOGEM_LABEL_STUDIO_API_KEY (Account & Settings > Access Token)."
        return Check("token", "failure", "there is none", fix)
    try:
        user = label_studio.one(WHOAMI)
    except LabelStudioError as error:
        fix = (
            "See Label Studio's own log."
            if (error.status or 0) >= 500
            else "Make a new token (Account & Settings). Legacy tokens must be allowed in the "
            "organization's settings; a personal access token works too."
        )
        return Check("token", "failure", str(error), fix)
    who = user.get("email") if emails else f"user {user.get('id')}"
    return Check("token", "ok", f"signed in as {who}")


def _find_connected(label_studio: LabelStudio, into: list[int]) -> Iterator[Check]:
    """Add the newest projects that have a model; yields nothing but what is wrong."""
    parameters = {"page_size": NEWEST_PROJECTS, "ordering": "-id", "include": "id"}
    for found in label_studio.rows("/api/projects/", parameters, within="results"):
        if label_studio.rows("/api/ml/", {"project": found["id"]}):
            into.append(found["id"])
    if not into:
        words = "no project that this token may see has a model connected"
        yield Check("projects", "warning", words, "Settings > Model > Connect Model, in a project.")
