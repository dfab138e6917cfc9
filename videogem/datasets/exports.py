"""Label Studio's JSON exports in all their forms -> tasks with data and annotations.

JSON holds tasks; JSON-MIN one flat entry for each annotation, with the task's fields and the
results under the names of their controls side by side; before version 1.0 annotations were called
completions. Fields of tasks may have any name, so those that hold the media and the narration are
told by what is in them, and what was taken is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from videogem.errors import InputError
from videogem.media.sources import IMAGE_SUFFIXES

NARRATION_FIELDS = ("narration", "text", "caption", "sentence", "label", "action")
MEDIA_FIELDS = ("image", "frame", "img", "images", "frames", "video")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg")
MIN_KEYS = frozenset(
    ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
)
LABELED = "labels"  # how the key of a region's labels ends, which is also its type
TYPES_BY_KEY = {  # of regions without labels in them
    "sequence": "videorectangle",
    "radiusX": "ellipse",
    "points": "polygon",
    "rle": "brush",
    "imageDataURL": "bitmask",
    "height": "rectangle",
}
UNSURE_FRAME = "JSON-MIN does not say on which frame of the list a box lies; export as JSON"

Task = dict[str, Any]


def tasks_of(content: Any, path: Path) -> list[Any]:
    """The entries of an export as tasks; what is no task stays as it is.

    Raises:
        InputError: not a list of tasks; the message says what it looks like.
    """
    if isinstance(content, Mapping) and isinstance(content.get("tasks"), list):
        content = content["tasks"]
    if isinstance(content, Mapping) and "data" in content:
        content = [content]
    if not isinstance(content, list):
        coco = isinstance(content, Mapping) and "categories" in content
        came = "a COCO file" if coco else f"one {type(content).__name__}"
        raise InputError(
            f"'{path}' is no export of tasks: expected a list of tasks, got {came}; export the "
            "project as JSON."
        )
    tasks: list[Any] = []
    flat: dict[str, Task] = {}
    for entry in content:
        if not isinstance(entry, Mapping):
            tasks.append(entry)
        elif "data" in entry and "annotation_id" not in entry:
            annotations = entry.get("annotations") or entry.get("completions") or []
            tasks.append({**entry, "annotations": annotations})
        elif "annotation_id" in entry or "annotator" in entry:
            task = _from_min(entry)
            known = flat.setdefault(str(task["id"]), task)
            if known is task:
                tasks.append(task)
            else:
                known["annotations"] += task["annotations"]
        else:
            tasks.append(entry)
    return tasks


def _from_min(entry: Mapping[str, Any]) -> Task:
    data: dict[str, Any] = {}
    result: list[dict[str, Any]] = []
    for name, value in entry.items():
        values = value if isinstance(value, list) else [value]
        regions = [
            _region(name, one, type_) for one in values if (type_ := _type_of(one)) is not None
        ]
        if name in MIN_KEYS:
            continue
        if regions and len(regions) == len(values):
            result += regions
        else:
            data[name] = value
    kept = ("created_at", "updated_at")
    annotation = {"id": entry.get("annotation_id"), **{name: entry.get(name) for name in kept}}
    task_id = entry.get("id", entry.get("annotation_id"))
    return {
        "id": task_id,
        "data": data,
        "annotations": [{**annotation, "result": result}],
        "frames_unsure": True,
    }


def _type_of(value: Any) -> str | None:
    """The type of a region that JSON-MIN holds without it; None where it is no region."""
    if not isinstance(value, Mapping):
        return None
    named = [key for key in value if key.endswith(LABELED) and key != LABELED]
    if named and isinstance(value[named[0]], list):
        return str(named[0])
    if "original_width" not in value and "sequence" not in value:
        return None
    return next((type_ for key, type_ in TYPES_BY_KEY.items() if key in value), None)


def _region(name: str, value: Mapping[str, Any], type_: str) -> dict[str, Any]:
    sizes = {key: value[key] for key in ("original_width", "original_height") if key in value}
    return {"from_name": name, "type": type_, "value": dict(value), **sizes}


@dataclass(frozen=True)
class Fields:
    """The task fields that hold media and narration, those that are looked at first in front."""

    media: tuple[str, ...]
    narration: tuple[str, ...]
    told: tuple[str, ...] = ()  # what was chosen because nothing else was there

    def media_of(self, data: Mapping[str, Any]) -> str | list[str]:
        """The task's image, video or list of frames, as addresses or paths.

        Raises:
            KeyError: the task has none.
        """
        for name in self.media:
            value = data.get(name)
            if isinstance(value, str) and value:
                return value
            if isinstance(value, list) and value:
                addresses = [address_of(each) for each in value]
                if all(addresses):
                    return [address for address in addresses if address is not None]
        raise KeyError("none of " + ", ".join(self.media))

    def narration_of(self, data: Mapping[str, Any], index: int | None = None) -> str:
        """The task's narration; of a list of sentences, that of a frame of the list."""
        for name in self.narration:
            value = data.get(name)
            if isinstance(value, str):
                return value
            if isinstance(value, list) and index is not None and index < len(value):
                return value[index] if isinstance(value[index], str) else ""
        return ""


def choose_fields(
    datas: Iterable[Mapping[str, Any]], *, media: str | None = None, narration: str | None = None
) -> Fields:
    """Which fields hold what: those asked for, the usual names, else the only ones that may.

    Raises:
        InputError: several may; the message names them and the option.
    """
    datas = [data for data in datas if isinstance(data, Mapping)]
    told: list[str] = []
    media_fields = (media,) if media else _usual(MEDIA_FIELDS, datas, _is_media)
    if not media_fields:
        media_fields = _only("media", "--media-field", _names(datas, _is_media), told)
    narration_fields = (narration,) if narration else _usual(NARRATION_FIELDS, datas, _is_text)
    if not narration_fields:
        narration_fields = _only("narration", "--narration-field", _names(datas, _is_words), told)
    return Fields(media_fields or MEDIA_FIELDS, narration_fields or NARRATION_FIELDS, tuple(told))


def _usual(names: Sequence[str], datas: Sequence[Mapping[str, Any]], fits: Any) -> tuple[str, ...]:
    found = any(fits(data.get(name)) for data in datas for name in names)
    return tuple(names) if found else ()


def _names(datas: Sequence[Mapping[str, Any]], fits: Any) -> list[str]:
    found = (name for data in datas for name, value in data.items() if fits(value))
    return list(dict.fromkeys(found))


def _only(what: str, option: str, names: Sequence[str], told: list[str]) -> tuple[str, ...]:
    if len(names) > 1:
        raise InputError(
            f"Several fields of the tasks may hold the {what} ({', '.join(sorted(names))}); say "
            f"which with {option}."
        )
    told += [f"the {what} is the tasks' field '{name}'" for name in names]
    return tuple(names)


def address_of(value: Any) -> str | None:
    """An address in a list of frames: the text itself, or the only address in an object."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, Mapping):
        found = [each for each in value.values() if _is_media(each) and isinstance(each, str)]
        return found[0] if len(found) == 1 else None
    return None


def path_of(address: str) -> PurePosixPath:
    """Where an address says the file is: the path, or what follows ``?d=``."""
    parts = urlsplit(address)
    query = parse_qs(parts.query).get("d")
    return PurePosixPath(unquote(query[0] if query else parts.path))


def is_video(address: str) -> bool:
    return path_of(address).suffix.lower() in VIDEO_SUFFIXES


def _is_media(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(
            address_of(each) and _is_media(address_of(each)) for each in value
        )
    if not isinstance(value, str) or not value or "\n" in value:
        return False
    try:
        suffix = path_of(value).suffix.lower()
    except ValueError:  # brackets that urlsplit takes for a broken address
        return False
    return suffix in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES) or value.startswith("data:image/")


def _is_text(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(each, str) for each in value)
    return isinstance(value, str)


def _is_words(value: Any) -> bool:
    """Text that may be a narration: no address, and more than an id or a number."""
    if isinstance(value, list):
        return bool(value) and all(_is_words(each) for each in value)
    if not isinstance(value, str) or _is_media(value) or "://" in value:
        return False
    words = value.split()
    several = len(words) > 1 or not value.isascii()  # not every script puts blanks between words
    return several and any(len(word) > 1 and word[:-1].isalpha() for word in words)
