"""What `videogem predict` is given -> units: files, folders, exports of Label Studio, lines."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.bulk.units import Ask, Failure, Unit, made_id, units_of
from backend.commands.support.sidecars import sidecar_of
from backend.commands.support.task_building import plan_moments
from videogem.datasets.exports import VIDEO_SUFFIXES, Fields, choose_fields, is_video, tasks_of
from videogem.datasets.files import load_json
from videogem.datasets.readers.labelstudio import stored_path
from videogem.errors import InputError
from videogem.media.sources import IMAGE_SUFFIXES, Seconds, VideoInfo
from videogem.media.video import probe
from videogem.narration.cues import Cue
from videogem.narration.reading import At, guess_format, parse_cues, read_cues, read_text
from videogem.narration.timed_text import has_times

Found = Unit | Failure
TASKS, LINES = ".json", ".jsonl"


@dataclass(frozen=True)
class Wanted:
    """How sources are read."""

    narration: str | None = None  # for whatever brings none
    subtitles: Path | None = None  # of the only video
    at: At = "middle"
    offset: Seconds = 0.0
    every: Seconds | None = None
    judge: Callable[[str], str | None] | None = None  # the reason to leave a cue out
    files_root: Path | None = None  # of the files that tasks name; default: the export's folder
    narration_field: str | None = None
    media_field: str | None = None


def find_units(sources: Sequence[Path], wanted: Wanted) -> Iterator[Found]:
    """Everything the sources ask for, in their order; what cannot be used with its reason.

    Raises:
        InputError: a source does not exist, is of no known kind, or is damaged as a whole.
    """
    for source in sources:
        if not source.exists():
            raise InputError(f"There is no file or folder '{source}'; check the path.")
        if source.is_dir():
            yield from _folder(source, wanted)
        elif source.suffix.lower() == TASKS:
            yield from _tasks(source, wanted)
        elif source.suffix.lower() == LINES:
            yield from _lines(source, wanted)
        elif (found := _file(source, wanted)) is not None:
            yield from found
        else:
            raise InputError(
                f"'{source}' is of no kind that is read: an image, a video, a folder of them, an "
                "export of Label Studio (.json), or lines (.jsonl)."
            )


def _folder(folder: Path, wanted: Wanted) -> Iterator[Found]:
    num_found = 0
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_file() and (found := _file(path, wanted)) is not None:
            num_found += 1
            yield from found
    if not num_found:
        raise InputError(f"There are no images or videos in '{folder}'.")


def _file(path: Path, wanted: Wanted) -> Iterator[Found] | None:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return _guarded(path, lambda: _image(path, wanted))
    if suffix in VIDEO_SUFFIXES:
        return _guarded(path, lambda: _video(path, wanted))
    return None


def _guarded(path: Path, find: Callable[[], Sequence[Found]]) -> Iterator[Found]:
    """One bad file is told and left out."""
    try:
        yield from find()
    except (ValueError, OSError) as error:
        yield Failure(ascii(str(path))[1:-1], str(error))


def _image(path: Path, wanted: Wanted) -> Sequence[Found]:
    beside = path.with_suffix(".txt")
    texts = [] if wanted.narration is None else [wanted.narration]
    if beside.is_file():
        texts = [line.strip() for line in read_text(beside).splitlines() if line.strip()]
    if not texts:
        raise InputError(
            f"Nothing says what happens in it: give --narration, or write it into {beside.name}."
        )
    source = _name(path)
    asks = [Ask(made_id(source, text), text) for text in dict.fromkeys(texts)]
    return units_of(source, asks)


def _video(path: Path, wanted: Wanted) -> Sequence[Found]:
    source = _name(path)
    info = probe(path)
    if info.kind != "video":
        raise InputError("It is no video, whatever its name says.")
    subtitles = wanted.subtitles or sidecar_of(path)
    if subtitles is not None:
        cues = read_cues(subtitles, video=path.name, duration=info.duration)
    elif wanted.narration is not None:
        cues = [Cue(0.0, info.duration, wanted.narration)]
    else:
        raise InputError("There are no subtitles beside it; give --subtitles or --narration.")
    return _said(source, cues, info, wanted)


def _said(
    source: str, cues: Sequence[Cue], info: VideoInfo, wanted: Wanted, task: int | None = None
) -> Sequence[Found]:
    """Units of what is said in a video; cues that are left out are failures with the reason."""
    asks: list[Ask] = []
    left_out: list[Failure] = []
    moments = plan_moments(
        cues, info, at=wanted.at, offset=wanted.offset, every=wanted.every, judge=wanted.judge
    )
    for moment in moments:
        cue = moment.cue
        id = made_id(source, cue.start, cue.end, cue.text, moment.time)
        if moment.reason is not None:
            left_out.append(Failure(source, moment.reason, id, cue.text, moment.time))
        else:
            asks.append(Ask(id, cue.text, moment.time, float(cue.start), float(cue.end), task))
    unique = {ask.id: ask for ask in asks}
    return [*left_out, *units_of(source, list(unique.values()))]


def _tasks(path: Path, wanted: Wanted) -> Iterator[Found]:
    tasks = tasks_of(load_json(path), path)
    datas = [task["data"] for task in tasks if _has_data(task)]
    fields = choose_fields(datas, media=wanted.media_field, narration=wanted.narration_field)
    root = wanted.files_root or path.parent
    for number, task in enumerate(tasks, start=1):
        name = f"{path}, task {task.get('id', number) if isinstance(task, Mapping) else number}"
        try:
            if not _has_data(task):
                raise InputError("It is no task of Label Studio: it has no data.")
            yield from _task(task, root, fields, wanted)
        except (ValueError, OSError) as error:
            yield Failure(name, str(error))


def _has_data(task: Any) -> bool:
    return isinstance(task, Mapping) and isinstance(task.get("data"), Mapping)


def _task(task: Mapping[str, Any], root: Path, fields: Fields, wanted: Wanted) -> Sequence[Found]:
    id = task.get("id")
    number = id if type(id) is int else None
    data = task["data"]
    try:
        media = fields.media_of(data)
    except KeyError as error:
        raise InputError(f"The task shows no image or video: it has {error.args[0]}.") from None
    if isinstance(media, list):
        files = [_below(root, address) for address in media]
        asks = []
        for index in range(len(files)):
            text = _text(fields.narration_of(data, index), wanted)
            name = f"{id}#{index}" if id is not None else made_id(files[index], text, index)
            asks.append(Ask(name, text, task=number, item_index=index))
        return units_of(files[0], asks, files)
    file = _below(root, media)
    text = fields.narration_of(data)
    if not is_video(media):
        name = str(id) if id is not None else made_id(file, text)
        return units_of(file, [Ask(name, _text(text, wanted), task=number)])
    time = data.get("time")
    said = next((data[name] for name in fields.narration if data.get(name)), None)
    if said is not None and _is_timed(said):
        info = probe(file)
        return _said(file, parse_cues(said, duration=info.duration), info, wanted, number)
    name = str(id) if id is not None else made_id(file, text, time)
    return units_of(file, [Ask(name, _text(text, wanted), _seconds(time), task=number)])


def _is_timed(said: Any) -> bool:
    """Whether a narration tells when what is said."""
    if isinstance(said, str):
        return guess_format(said) != "plain" or has_times(said)
    return isinstance(said, list) and all(isinstance(each, Mapping) for each in said)


def _below(root: Path, address: str) -> str:
    path = root / stored_path(address, root)
    if not path.is_file():
        raise InputError(
            f"There is no file for '{address[:200]}' below '{root}'; say with --files-root where "
            "Label Studio's files lie."
        )
    return _name(path)


def _lines(path: Path, wanted: Wanted) -> Iterator[Found]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield from _line(line, path.parent, wanted)
            except (ValueError, RecursionError, OSError) as error:
                yield Failure(f"{path}, line {number}", str(error))


def _line(line: str, root: Path, wanted: Wanted) -> Sequence[Found]:
    row: Any = json.loads(line)
    if not isinstance(row, dict):
        raise InputError(f"Expected an object, got {type(row).__name__}.")
    media = [row[key] for key in ("image", "video") if row.get(key) is not None]
    if len(media) != 1 or not isinstance(media[0], str) or not media[0]:
        raise InputError("Expected the path of either an 'image' or a 'video'.")
    text, id = row.get("narration") or "", row.get("id")
    if not isinstance(text, str) or not isinstance(id, str | int | None):
        raise InputError("Expected 'narration' to be text, and 'id' to be text or a number.")
    source = _name(root / media[0])
    time = _seconds(row.get("time"))
    name = made_id(source, time, text) if id is None else str(id)
    return units_of(source, [Ask(name, _text(text, wanted), time)])


def _text(text: str, wanted: Wanted) -> str:
    text = text.strip() or (wanted.narration or "")
    if not text:
        raise InputError("Nothing says what happens in it: it has no narration.")
    _check_unicode(text)
    return text


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise InputError(f"Expected 'time' to be seconds, got {str(value)[:80]!r}.")
    return float(value)


def _name(path: Path) -> str:
    """A path as rows name it.

    Raises:
        InputError: no text file can hold it.
    """
    name = path.as_posix()
    _check_unicode(name)
    return name


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text[:200]!a} is no valid Unicode; rename or mend it.") from None
