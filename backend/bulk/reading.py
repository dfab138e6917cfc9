"""Units -> moments with their frames, and whatever cannot be read with its reason."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from backend.bulk.rows import Read
from backend.bulk.units import Ask, Failure, Unit, failure
from backend.prediction.frames import LIMITS, STEP, read_frame_list
from videogem.errors import InputError
from videogem.media.video import clips_from, middle_time, open_frames

logger = logging.getLogger(__name__)


def read_unit(unit: Unit, num_frames: int, *, encoded: bool = False) -> Iterator[Read | Failure]:
    """Each moment of a unit as it is read; one entry for every one that is asked.

    With ``encoded`` plain JPEG files are left to the model to decode.

    Where a file breaks off, what was read before counts.
    """
    asks = list(unit.asks)
    try:
        if len(unit.files) > 1:
            found = _frames(unit, num_frames)
        else:
            found = _moments(unit, num_frames, encoded=encoded)
        for one in found:
            asks.remove(_ask_of(one, asks))
            yield one
    except (InputError, OSError) as error:
        yield from (failure(unit.source, ask, str(error)) for ask in asks)
    except Exception as error:
        logger.error("%s: a defect of the backend", unit.source, exc_info=error)
        reason = f"Defect in the backend ({type(error).__name__}), see its log."
        yield from (failure(unit.source, ask, reason) for ask in asks)


def _ask_of(one: Read | Failure, asks: list[Ask]) -> Ask:
    if isinstance(one, Read):
        return one.ask
    return next(ask for ask in asks if ask.id == one.id)


def _moments(unit: Unit, num_frames: int, *, encoded: bool) -> Iterator[Read | Failure]:
    [path] = unit.paths
    with open_frames(path, limits=LIMITS, encoded=encoded) as reader:
        info = reader.info
        within = []
        for ask in unit.asks:
            time = middle_time(info) if ask.time is None else ask.time
            if info.kind != "image" and time > info.end + 1e-3:
                reason = f"The time {time:g} s is after the end of the video, {info.end:.3f} s."
                yield failure(unit.source, ask, reason)
            else:
                within.append((time, ask))
        within.sort(key=lambda pair: pair[0])
        duration = info.duration if info.kind == "video" else None
        times = [time for time, _ in within]
        clips = clips_from(reader, times, num_frames=num_frames, step=STEP)
        for (_, ask), clip in zip(within, clips, strict=True):
            yield Read(unit.source, ask, clip, duration)


def _frames(unit: Unit, num_frames: int) -> Iterator[Read | Failure]:
    frames = [partial(_open, path) for path in unit.paths]
    for ask in unit.asks:
        index = ask.item_index or 0
        try:
            [(_, clip)] = read_frame_list(frames, num_frames=num_frames, only=index)
        except (InputError, OSError) as error:
            yield failure(unit.files[index], ask, str(error))
        else:
            yield Read(unit.files[index], ask, clip)


def _open(path: Path) -> BinaryIO:
    return path.open("rb")
