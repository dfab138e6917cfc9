"""Tasks with a video -> boxes that follow the action, and its moments on the timeline."""

import dataclasses
import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np

from backend.labeling.controls import Control, Target, look_up
from backend.labeling.results import Found, Region, Shown, to_regions, to_video_regions
from backend.media.media import Media
from backend.prediction.frames import LIMITS, STEP, window_length
from backend.prediction.loading import Project, Task, action_labels, time_of, with_task_labels
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.media.sources import VideoInfo
from videogem.media.video import probe, read_clips
from videogem.narration.prompts import parse
from videogem.narration.reading import Cue, read_cues
from videogem.tracks import STEP as KEY_STEP
from videogem.tracks import Track, frame_rate_warning, ground_cues

logger = logging.getLogger(__name__)

MAX_CUES = 500  # of one video
SPOTTING_STEP = 1.0  # seconds between the frames in which actions are looked for


def predict_video(
    task: Task, target: Target, reference: Any, project: Project, grounder: Grounder, media: Media
) -> tuple[list[Region], list[float]]:
    """Regions of a video's controls, and the score of every narrated moment.

    Raises:
        InputError: the task's data cannot be used.
    """
    target = with_task_labels(target, task)
    with media.open(reference, project=project.key, task=task.get("id")) as file:
        info = probe(file, limits=LIMITS)
        file.seek(0)
        cues = _cues(task, target, info, grounder, file)
        shown = _shown(task, target, info)
        file.seek(0)
        tracks = ground_cues(
            grounder,
            file,
            cues,
            step=float(target.options.get("model_every", KEY_STEP)),
            num_frames=window_length(grounder),
            window_step=STEP,
            limits=LIMITS,
        )
        regions: list[Region] = []
        scores: list[float] = []
        for track in tracks:
            number = cues.index(track.cue)
            found = _found(track, target, f"{task.get('id')}:{number}", project)
            if found:
                regions += to_video_regions(found, track.cue.start, track.cue.end, shown, target)
                regions += _texts(found, target.controls)
                scores.append(float(np.mean([one.grounding.score for one in found])))
    _say(regions, frame_rate_warning(info, shown.framerate), task)
    return regions, scores


def _found(track: Track, target: Target, key: str, project: Project) -> list[Found]:
    """The groundings of a moment; none where all of them score too little."""
    scores = [grounding.score for grounding in track.groundings]
    if not scores or float(np.mean(scores)) < project.score_threshold:
        return []
    return [
        Found(
            dataclasses.replace(grounding, model_version=project.version),
            key=key,
            labels_are=target.labels_are,
        )
        for grounding in track.groundings
    ]


def _texts(found: Sequence[Found], controls: Sequence[Control]) -> list[Region]:
    """What TextArea and Choices say of a moment, from its best frame."""
    best = max(found, key=lambda one: one.grounding.score)
    return to_regions(best, [each for each in controls if each.kind in ("textarea", "choices")])


def _shown(task: Task, target: Target, info: VideoInfo) -> Shown:
    """How Label Studio counts the frames of this task's video."""
    rate = target.source.framerate
    if isinstance(rate, str):
        value = look_up(rate, task.get("data") or {})
        try:
            rate = float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"The task's field {target.source.framerate!r} must hold the frame rate of its "
                f"video, got {value!r}."
            ) from None
    if rate is None or not rate > 0:
        raise InputError(f"The frame rate of the video must be above 0, got {rate!r}.")
    return Shown(1 / rate if rate < 1 else rate, info.duration)


def _cues(
    task: Task, target: Target, info: VideoInfo, grounder: Grounder, file: BinaryIO
) -> list[Cue]:
    """What was said when; one plain sentence counts for the time given, else for all."""
    if target.labels_are == "actions" or target.narration_field is None:
        return _spotted(target, info, grounder, file)
    data = task.get("data") or {}
    value = look_up(target.narration_field, data)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = "\n".join(value)
    if isinstance(value, str):
        if "\n" not in value.strip():
            return [_whole(value.strip(), task, target, info)]
        value += "\n"  # a text with a line break is never taken for a file's name
    elif not isinstance(value, list | dict):
        raise InputError(
            f"The task's field {target.narration_field!r} must hold a text or a list of "
            f'{{"start", "end", "text"}}, got {value!r}.'
        )
    cues = [cue for cue in read_cues(value, duration=info.duration) if cue.text.strip()]
    if not cues:
        raise InputError(f"The task's field {target.narration_field!r} holds no narration.")
    if len(cues) > MAX_CUES:
        raise InputError(f"{len(cues)} cues are more than the {MAX_CUES} grounded in one video.")
    return cues


def _whole(text: str, task: Task, target: Target, info: VideoInfo) -> Cue:
    """A sentence without times: at the task's ``time``, from ``start`` to ``end``, or all along."""
    if not text:
        raise InputError(f"The task's field {target.narration_field!r} holds no narration.")
    moment = time_of(task, target)
    if moment is not None:
        return Cue(moment, moment, text)
    data = task.get("data") or {}
    start, end = data.get("start"), data.get("end")
    if isinstance(start, int | float) and isinstance(end, int | float) and 0 <= start <= end:
        return Cue(float(start), float(end), text)
    return Cue(0.0, info.duration, text)


def _spotted(target: Target, info: VideoInfo, grounder: Grounder, file: BinaryIO) -> list[Cue]:
    """Moments of actions: neighbouring frames that are most similar to the same label."""
    labels = action_labels(target)
    compare: Any = getattr(grounder, "similarity", None)
    if compare is None:
        raise InputError("This model cannot compare frames with labels; give a narration.")
    texts = [parse(label).action_prompt for label in labels]
    times = [float(time) for time in np.arange(SPOTTING_STEP / 2, info.duration, SPOTTING_STEP)]
    times = times or [info.duration / 2]
    best: list[tuple[float, str]] = []
    clips = read_clips(file, times, num_frames=window_length(grounder), step=STEP, limits=LIMITS)
    for time, clip in zip(times, clips, strict=True):
        best.append((time, labels[int(np.argmax(np.asarray(compare(clip, texts))))]))
    cues = []
    for label, group in groupby(best, key=lambda one: one[1]):
        moments = [time for time, _ in group]
        start = max(0.0, moments[0] - SPOTTING_STEP / 2)
        cues.append(Cue(start, min(info.duration, moments[-1] + SPOTTING_STEP / 2), label))
    return cues[:MAX_CUES]


def _say(regions: list[Region], warning: str | None, task: Task) -> None:
    """Show a warning where the annotator sees it: in the details of the first region."""
    if warning is None:
        return
    logger.warning("task %s: %s", task.get("id"), warning)
    if regions:
        told = regions[0].get("meta", {}).get("text", [])
        regions[0]["meta"] = {"text": [warning, *told]}
