"""The words a task is about: narration, verb, object, video. Plain look-ups, no language model.

Datasets name their fields in many ways; what a task says itself wins over what can be guessed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

from backend.qa.events import number

NARRATION = ("narration", "text", "caption", "sentence", "prompt", "step_name", "label")
VIDEO = ("video_id", "vid", "video", "clip", "source")
MEDIA = ("image", "frame", "frames", "images", "video", "img")
TIMES = ("time", "second", "frame_index", "frame_number")
SKIPPED = {"a", "an", "the", "some", "now", "then", "you", "we", "i", "he", "she", "they", "and"}
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Words:
    """What a task is about; '' where the task does not say."""

    narration: str = ""
    verb: str = ""
    object: str = ""
    video: str = ""
    media: str = ""
    time: float | None = None  # seconds or frame number: orders the frames of a video

    def row(self) -> dict[str, str]:
        return {
            "narration": self.narration,
            "verb": self.verb,
            "object": self.object,
            "video": self.video,
            "media": self.media,
        }


def words_of(data: Mapping[str, Any], result: Sequence[Mapping[str, Any]] = ()) -> Words:
    """Read a task's data and the texts in its prediction.

    Without fields ``verb`` and ``object`` the first word of the narration that is no article or
    pronoun is taken as the verb and the last as the object, the form of step names.

    >>> words_of({"narration": "now cut the red tomato", "video": "/data/a/v7.mp4"}).row()["object"]
    'tomato'
    """
    chosen = _choices(result)
    narration = _first(data, NARRATION)
    plain = CAMEL.sub(" ", narration).replace("_", " ").lower()
    found = [word for word in re.findall(r"[\w'-]+", plain) if word not in SKIPPED]
    verb = _text(data.get("verb")) or chosen.get("verb") or (found[0] if found else "")
    thing = _text(data.get("object")) or chosen.get("object")
    thing = thing or (found[-1] if len(found) > 1 else "")
    media = _first(data, MEDIA)
    media = "" if media.startswith("data:") else media  # the picture itself, not its name
    video = _name(_first(data, VIDEO)) or _folder(media)
    times = (number(data.get(name)) for name in TIMES)
    time = next((t for t in times if t is not None), None)
    return Words(narration, verb, thing, video, media, time if time is not None else _frame(media))


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


def _path(url: str) -> str:
    parts = urlsplit(url)
    local = parse_qs(parts.query).get("d")
    return local[0] if local else parts.path


def _name(url: str) -> str:
    return PurePosixPath(_path(url)).name if url else ""


def _frame(url: str) -> float | None:
    """The number at the end of a frame's file name."""
    digits = re.search(r"(\d+)$", PurePosixPath(_path(url)).stem)
    return float(digits[1]) if digits else None


def _folder(url: str) -> str:
    """Frames of one video usually share a folder."""
    return PurePosixPath(_path(url)).parent.name if url else ""
