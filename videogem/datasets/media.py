"""The frames of an item, as a clip."""

from pathlib import Path

import numpy as np

from videogem.datasets.base import NO_FRAME, Item
from videogem.errors import InputError
from videogem.structures import Clip


def load_clip(item: Item, num_frames: int = 1, *, repeat_target: bool = False) -> Clip:
    """Read an item's target frame, with its neighbours where a model takes several frames.

    A still image is repeated. Where stored neighbours are missing, the item's ``missing`` decides:
    the target is repeated (V-HICO's protocol), or the item cannot be used. ``repeat_target`` gives
    a video model nothing but the target, which shows what the neighbours are worth.

    Raises:
        InputError: a frame is missing or cannot be read.
    """
    if num_frames > 1 and not repeat_target and item.window:
        return _stored_window(item, num_frames)
    if num_frames > 1 and not repeat_target and item.video_path is not None:
        return _from_video(item.video_path, item, num_frames)
    if num_frames > 1 and not repeat_target and _lost_its_window(item):
        raise InputError(f"'{item.id}' has {NO_FRAME} for some neighbours of its target.")
    return _repeated(_target_clip(item), num_frames)


def _lost_its_window(item: Item) -> bool:
    return item.windowed and not item.window and item.missing == "drop"


def _target_clip(item: Item) -> Clip:
    from videogem.media.video import read_clip

    if isinstance(item.image, np.ndarray):
        return Clip.from_image(item.image)
    if item.image is not None:
        return read_clip(item.image)
    if item.video_path is None:
        raise InputError(f"'{item.id}' has {NO_FRAME}.")
    return read_clip(item.video_path, time=item.time)


def _from_video(path: Path, item: Item, num_frames: int) -> Clip:
    from videogem.media.video import read_clip

    return read_clip(path, time=item.time, num_frames=num_frames, step=item.step)


def _stored_window(item: Item, num_frames: int) -> Clip:
    from videogem.media.video import read_clip

    # A list of frames without a rate counts one second a frame.
    clip = read_clip(list(item.window), time=float(item.target), num_frames=num_frames, step=1.0)
    if item.time is None:
        return clip
    times = item.time + (clip.times - clip.time) * item.step
    return Clip(clip.frames, times, clip.frame_indices, clip.target)


def _repeated(clip: Clip, num_frames: int) -> Clip:
    if num_frames == 1:
        return clip
    target = num_frames // 2
    return Clip(
        np.repeat(clip.target_frame[None], num_frames, axis=0),
        np.repeat(clip.times[clip.target], num_frames),
        np.repeat(clip.frame_indices[clip.target], num_frames),
        target,
        clip.fps,
    )
