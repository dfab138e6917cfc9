"""A video -> the key frames of what is said or seen in it."""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from typing import BinaryIO

import numpy as np

from backend.labeling.config import MAX_FRAMERATE
from backend.labeling.regions import Shown
from backend.labeling.targets import Target, look_up
from backend.prediction.batcher import Batcher
from backend.prediction.frames import LIMITS, STEP, MakeRoom, window_bytes
from backend.prediction.moments import Film, Key, Moment
from backend.prediction.questions import Answer, Priority, Question
from backend.prediction.task_fields import (
    Task,
    action_labels,
    cut,
    data_of,
    seconds,
    span_of,
    time_of,
)
from videogem.errors import InputError
from videogem.media.sources import FrameReader, VideoInfo
from videogem.media.video import clips_from, open_frames
from videogem.narration.prompts import parse
from videogem.narration.reading import Cue, guess_format, parse_cues
from videogem.narration.spoken import without_html
from videogem.narration.timed_text import has_times, refuse_times
from videogem.structures import Clip
from videogem.tracks import STEP as KEY_STEP
from videogem.tracks import frame_rate_warning, plan_keys

logger = logging.getLogger(__name__)

MAX_CUES = 500  # of one video
SPOTTING_STEP = 1.0  # seconds between the frames in which actions are looked for


def read_video(
    file: BinaryIO,
    task: Task,
    target: Target,
    place: int,
    *,
    batcher: Batcher,
    priority: Priority,
    make_room: MakeRoom | None = None,
) -> Iterator[Moment]:
    """The key frames of everything said in a video, in the order of time, in one pass.

    ``make_room`` is asked before the frames of a moment are decoded.

    Raises:
        InputError: the task's data cannot be used.
    """
    with open_frames(file, limits=LIMITS) as reader:
        info = reader.info
        said = _cues(task, target, reader, batcher, priority)
        cues = _within(said, info)
        shown = shown_of(task, target, info.duration)
        warnings = [frame_rate_warning(info, shown.framerate), _left_out(said, cues, info)]
        warning = " ".join(text for text in warnings if text is not None) or None
        if warning is not None:
            logger.warning("task %s: %s", task.get("id"), warning)
        wanted = plan_keys(cues, info.end, step=float(target.options.get("model_every", KEY_STEP)))
        counts = Counter(number for numbers in wanted.values() for number in numbers)
        num_keys = tuple(counts[number] for number in range(len(cues)))
        film = Film(target, place, tuple(cues), num_keys, shown, warning)
        clips = clips_from(reader, list(wanted), num_frames=batcher.num_frames, step=STEP)
        num_bytes = window_bytes(info, batcher.num_frames)
        for numbers in wanted.values():
            if make_room is not None:
                make_room(num_bytes)
            sentences = [cues[number].text for number in numbers]
            moment = Moment(Key(film, tuple(numbers)), Question(next(clips), sentences))
            yield moment
            del moment  # whoever took it holds it, and its room


def shown_of(task: Task, target: Target, duration: float) -> Shown:
    """How Label Studio counts the frames of a task's video, which lasts so many seconds.

    Raises:
        InputError: the frame rate that the config asks for is missing, or none.
    """
    rate = target.source.framerate
    if isinstance(rate, str):
        value = look_up(rate, data_of(task))
        rate = seconds(value)
        if rate is None:
            raise InputError(
                f"The task's field {target.source.framerate!r} must hold the frame rate of its "
                f"video, got {cut(value)}."
            )
    if rate is None or not 0 < rate < MAX_FRAMERATE or 1 / rate > MAX_FRAMERATE:
        raise InputError(
            f"The frame rate of the video must be above 0 and below {MAX_FRAMERATE:g}, got "
            f"{rate!r}."
        )
    return Shown(1 / rate if rate < 1 else rate, duration)


def _cues(
    task: Task, target: Target, reader: FrameReader, batcher: Batcher, priority: Priority
) -> list[Cue]:
    """What was said when; one plain sentence counts for the time given, else for all."""
    if target.labels_are == "actions" or target.narration_field is None:
        return _spotted(target, reader, batcher, priority)
    info = reader.info
    data = data_of(task)
    value = target.narration(data)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    form: str | None = None
    if isinstance(value, str):
        if _untimed(value):
            value = without_html(value, keep_lines=True)
        if _untimed(value):
            lines = value.strip().splitlines()
            refuse_times(lines, mentioned=False)
            if len(lines) < 2:
                return [_whole(value.strip(), task, target, info)]
            form = "text"
    elif not isinstance(value, list | dict):
        raise InputError(
            f"The task's field {target.narration_field!r} must hold a text or a list of "
            f'{{"start", "end", "text"}}, got {cut(value)}.'
        )
    cues = [cue for cue in parse_cues(value, form, duration=info.duration) if cue.text.strip()]
    if not cues:
        raise InputError(f"The task's field {target.narration_field!r} holds no narration.")
    if len(cues) > MAX_CUES:
        raise InputError(f"{len(cues)} cues are more than the {MAX_CUES} grounded in one video.")
    return cues


def _untimed(text: str) -> bool:
    return guess_format(text) == "plain" and not has_times(text)


def _within(said: Sequence[Cue], info: VideoInfo) -> list[Cue]:
    """The cues that begin within the video.

    Raises:
        InputError: none does.
    """
    cues = [cue for cue in said if cue.start <= info.end]
    if not cues:
        first = min(cue.start for cue in said)
        raise InputError(
            f"Everything said starts after the video's end ({info.end:.1f} s), the first at "
            f"{first:.1f} s; is it of another video, or are these no seconds?"
        )
    return cues


def _left_out(said: Sequence[Cue], kept: Sequence[Cue], info: VideoInfo) -> str | None:
    if len(said) == len(kept):
        return None
    return (
        f"{len(said) - len(kept)} of {len(said)} cues are left out: they start after the video's "
        f"end ({info.end:.1f} s)."
    )


def _whole(text: str, task: Task, target: Target, info: VideoInfo) -> Cue:
    """A sentence without times: at the task's ``time``, from ``start`` to ``end``, or all along."""
    if not text:
        raise InputError(f"The task's field {target.narration_field!r} holds no narration.")
    moment = time_of(task, target)
    if moment is not None:
        return Cue(moment, moment, text)
    if (span := span_of(task)) is not None:
        return Cue(*span, text)
    return Cue(0.0, info.duration, text)


def _spotted(
    target: Target, reader: FrameReader, batcher: Batcher, priority: Priority
) -> list[Cue]:
    """Moments of actions: neighbouring frames that are most similar to the same label."""
    labels = action_labels(target)
    if not batcher.compares:
        raise InputError("This model cannot compare frames with labels; give a narration.")
    info = reader.info
    texts = [parse(label).action_prompt for label in labels]
    times = [float(time) for time in np.arange(SPOTTING_STEP / 2, info.duration, SPOTTING_STEP)]
    times = times or [info.duration / 2]
    best: list[tuple[float, str]] = []
    clips = clips_from(reader, times, num_frames=batcher.num_frames, step=STEP)
    num_bytes = window_bytes(info, batcher.num_frames)
    answers = ask_each(batcher, clips, texts, priority, num_bytes)
    for time, answer in zip(times, answers, strict=True):
        scores = answer.scores or {}
        best.append((time, labels[int(np.argmax([scores[text] for text in texts]))]))
    cues = []
    for label, group in groupby(best, key=lambda one: one[1]):
        moments = [time for time, _ in group]
        start = max(0.0, moments[0] - SPOTTING_STEP / 2)
        cues.append(Cue(start, min(info.duration, moments[-1] + SPOTTING_STEP / 2), label))
    return cues[:MAX_CUES]


def ask_each(
    batcher: Batcher,
    clips: Iterator[Clip],
    texts: Sequence[str],
    priority: Priority,
    num_bytes: int,
) -> Iterator[Answer]:
    """Compare many clips with texts, some on their way while the next are read.

    Each is read when there is room for ``num_bytes``, which decoding it takes.
    """

    def read() -> Question | None:
        clip = next(clips, None)
        return None if clip is None else Question(clip, (), texts)

    waiting: deque[Future[Answer]] = deque()
    while (future := batcher.read_with_room(num_bytes, read, priority)) is not None:
        waiting.append(future)
        if len(waiting) >= 2 * batcher.grounder.batch_size:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
