"""Tasks -> moments: whatever a task shows, a clip at a time."""

from collections.abc import Generator, Iterator
from functools import partial
from typing import Any, BinaryIO

from backend.labeling.results import undecided_texts
from backend.labeling.targets import Target, fill
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.frames import MakeRoom, read_frame_list, read_moment
from backend.prediction.moments import Moment, Still
from backend.prediction.questions import Priority, Question
from backend.prediction.task_fields import (
    Project,
    Task,
    data_of,
    frame_list,
    id_of,
    sentences_of,
    time_of,
    with_task_labels,
)
from backend.prediction.videos import read_video
from videogem.errors import InputError
from videogem.structures import Clip


def read(
    task: Task,
    project: Project,
    *,
    media: Media,
    batcher: Batcher,
    priority: Priority,
    make_room: MakeRoom | None = None,
) -> Generator[Moment]:
    """The moments of a task, each read when it is asked for; one file is open at a time.

    ``make_room`` is asked before anything is decoded, which a moment is made of then.

    Raises:
        InputError: the task's data cannot be used; the reason is for the person who owns them.
    """
    for place, target in enumerate(project.labeling.targets):
        target = with_task_labels(target, task)
        if target.source.kind == "video":
            reference = fill(target.source.value, data_of(task))
            with _open(reference, task, project, media) as file:
                yield from read_video(
                    file, task, target, place,
                    batcher=batcher, priority=priority, make_room=make_room,
                )  # fmt: skip
            continue
        sentences = None
        for index, clip in _stills(
            task,
            target,
            project,
            media,
            batcher.num_frames,
            encoded=batcher.takes_encoded,
            make_room=make_room,
        ):
            if sentences is None:  # media that cannot be had are told before a missing narration
                sentences = sentences_of(task, target)
            question = Question(clip, sentences, partial(undecided_texts, target.controls))
            yield Moment(Still(target, place, index), question)
            del clip, question  # whoever took them holds them, and their room


def read_still(
    task: Task,
    target: Target,
    item: int,
    project: Project,
    *,
    media: Media,
    num_frames: int,
    make_room: MakeRoom | None = None,
) -> tuple[Still, Question]:
    """The image somebody points at, or the frame number ``item`` of a list.

    ``make_room`` is asked once, before anything is decoded.

    Raises:
        InputError: the task's data cannot be used, or it has no such frame.
    """
    if target.source.kind == "video":
        raise InputError("Smart tools work on images; this region belongs to a video.")
    place = project.labeling.targets.index(target)
    target = with_task_labels(target, task)
    [(index, clip)] = _stills(
        task, target, project, media, num_frames, only=item, make_room=make_room
    )
    texts = partial(undecided_texts, target.controls)
    question = Question(clip, sentences_of(task, target), texts)
    return Still(target, place, index), question


def _stills(
    task: Task,
    target: Target,
    project: Project,
    media: Media,
    num_frames: int,
    *,
    only: int | None = None,
    encoded: bool = False,
    make_room: MakeRoom | None = None,
) -> Iterator[tuple[int | None, Clip]]:
    reference = fill(target.source.value, data_of(task))
    if target.source.kind == "images":
        frames = [partial(_open, each, task, project, media) for each in frame_list(reference)]
        if only is not None and only >= len(frames):
            raise InputError(f"The task has no frame number {only}.")
        yield from read_frame_list(frames, num_frames=num_frames, only=only, make_room=make_room)
        return
    time = time_of(task, target)
    with _open(reference, task, project, media) as file:
        clip = read_moment(
            file, time=time, num_frames=num_frames, encoded=encoded, make_room=make_room
        )
    yield None, clip


def _open(reference: Any, task: Task, project: Project, media: Media) -> BinaryIO:
    return media.open(reference, project=project.key, task=id_of(task))
