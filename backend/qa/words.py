"""The words a task is about: narration, verb, object, video.

Verb and object are those the prompts are made of, one row per word: 'cutting' and 'cut' are one
verb. Datasets name their fields in many ways; what a task says itself wins over what can be
guessed.
"""

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backend.address import is_data
from backend.labeling.shapes import number
from videogem.narration.prompts import base_words

_LOADING = threading.Lock()
NARRATION = ("narration", "text", "caption", "sentence", "prompt", "step_name", "label")
VIDEO = ("video_id", "vid", "video", "clip", "source")
MEDIA = ("image", "frame", "frames", "images", "video", "img")
TIMES = ("time", "second", "frame_index", "frame_number")


@dataclass(frozen=True)
class Words:
    """What a task is about; '' where the task does not say."""

    narration: str = ""
    told_verb: str = ""  # by the task or its prediction
    told_object: str = ""
    video: str = ""
    media: str = ""
    told_video: str = ""  # by the task itself; ``video`` may be guessed from a folder's name
    time: float | None = None  # seconds or frame number: orders the frames of a video

    def row(self) -> dict[str, str]:
        """The words as values; only here the narration is taken apart, which costs milliseconds."""
        return {
            "narration": self.narration,
            "verb": self.verb,
            "object": self.object,
            "video": self.video,
            "media": self.media,
            "told_video": self.told_video,
        }

    @property
    def verb(self) -> str:
        """In its base form, with its particle.

        >>> Words("she is cutting up the tomatoes").verb
        'cut up'
        """
        if self.told_verb:
            return base_words(f"you are {self.told_verb.lower()}")[0] or self.told_verb.lower()
        return base_words(self.narration)[0] if self.narration else ""

    @property
    def object(self) -> str:
        """In its base form, with its compound."""
        if self.told_object:
            return (
                base_words(f"you take the {self.told_object.lower()}")[1]
                or self.told_object.lower()
            )
        return base_words(self.narration)[1] if self.narration else ""


def words_of(data: Mapping[str, Any], result: Sequence[Mapping[str, Any]] = ()) -> Words:
    """Read a task's data and the texts in its prediction.

    >>> words_of({"narration": "now cut the red tomatoes"}).row()["object"]
    'tomato'
    """
    chosen = _choices(result)
    narration = _first(data, NARRATION)
    media = _first(data, MEDIA)
    media = "" if is_data(media) else media  # the picture itself, not its name
    told_video = _name(_first(data, VIDEO))
    times = (number(data.get(name)) for name in TIMES)
    time = next((t for t in times if t is not None), None)
    return Words(
        narration,
        _text(data.get("verb")) or chosen.get("verb", ""),
        _text(data.get("object")) or chosen.get("object", ""),
        told_video or _folder(media),
        media,
        told_video,
        time if time is not None else _frame(media),
    )


def load_words() -> None:
    """Load what reads words, which takes seconds: never while others wait for a lock of ours."""
    with _LOADING:
        _load_words()


@functools.cache
def _load_words() -> None:
    base_words("cut the onion")


def _choices(result: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    chosen = {}
    for item in result:
        value = item.get("value")
        choices = value.get("choices") if isinstance(value, Mapping) else None
        if isinstance(choices, list) and choices:
            chosen[str(item.get("from_name"))] = str(choices[0])
    return chosen


def _first(data: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((text for name in names if (text := _text(data.get(name)))), "")


def _text(value: object) -> str:
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        value = value.get("text")
    return value.strip() if isinstance(value, str) else ""


def path_of(url: str) -> str:
    """The path of an address; of Label Studio's local files, the one they have there."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a host that is none: tasks may hold any text
        return re.split(r"[?#]", url, maxsplit=1)[0]
    local = parse_qs(parts.query).get("d")
    return local[0] if local else parts.path


def _name(url: str) -> str:
    return PurePosixPath(path_of(url)).name if url else ""


def _frame(url: str) -> float | None:
    """The number at the end of a frame's file name."""
    digits = re.search(r"(\d+)$", PurePosixPath(path_of(url)).stem)
    return float(digits[1]) if digits else None


def _folder(url: str) -> str:
    """Frames of one video usually share a folder."""
    return PurePosixPath(path_of(url)).parent.name if url else ""
