"""What a module in `videogem.narration.forms` defines, and the texts it is given."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from videogem.media.sources import Seconds
from videogem.narration.cues import Cue

_COMMENTS = re.compile(r"\A(?:<!--.*?-->\s*|<!doctype[^>]*>\s*)+", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Written:
    """The text of a narration, and what is known of it besides."""

    text: str
    suffix: str = ""  # of its file, in lower case, with the dot
    name: str = "The text"  # for messages
    video: str | None = None  # its key, in texts about many
    duration: Seconds | None = None

    @cached_property
    def head(self) -> str:
        """How it begins, without blanks and comments of markup."""
        return _COMMENTS.sub("", self.text.lstrip()[:4000])[:2000]


def never(_: Written) -> bool:
    return False


def always(_: Written) -> bool:
    return True


@dataclass(frozen=True)
class Form:
    """A form of narration.

    The first form that ``shows`` in a text is taken; else the one that has the ending of its name,
    if it ``fits``; else the first that the text is ``likely`` to have. First is the lowest
    ``rank``.
    """

    name: str
    read: Callable[[Written], list[Cue]]
    suffixes: tuple[str, ...] = ()
    shows: Callable[[Written], bool] = never  # plain to see, whatever the file is called
    fits: Callable[[Written], bool] = always  # nothing speaks against what the ending says
    likely: Callable[[Written], bool] = never
    rank: int = 60
