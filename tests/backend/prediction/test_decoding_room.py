"""Frames are decoded when there is room for them, so that readers hold none beyond it."""

import io
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction import frames
from backend.prediction.batcher import Batcher
from backend.prediction.frames import read_frame_list, read_moment
from backend.prediction.predict import predict_many
from backend.prediction.room import Room
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Grounding

LIST = (
    '<View><Image name="i" valueList="$i"/><Text name="t" value="$t"/>'
    '<KeyPoint name="k" toName="i"/></View>'
)
SIZE = (640, 480)
FRAME = 3 * SIZE[0] * SIZE[1]


def picture(kind: str = "JPEG", size: tuple[int, int] = SIZE) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


class Waiting(FakeGrounder):
    """Waits, before its first answer, for readers that decode more than they should."""

    def __init__(self, too_many: threading.Event) -> None:
        super().__init__()
        self._too_many = too_many
        self._waited = False

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        if not self._waited:
            self._too_many.wait(1.0)
            self._waited = True
        return [self._ground(clip, text) for text in narrations]


class Same(Media):
    """Shows the same for every reference; a damaged one for ``bad``."""

    def open(self, reference: Any, **_: Any) -> BinaryIO:
        data = picture()
        return io.BytesIO(data[: len(data) // 2] if reference == "bad" else data)


@pytest.fixture
def media(tmp_path: Path) -> Media:
    settings = Settings(data_dir=tmp_path)
    return Same(settings, Connections(settings))


def project() -> Project:
    return Project(1, LIST, parse_labeling(LIST), "v1")


def tasks(count: int, name: str = "good") -> list[dict[str, Any]]:
    return [{"id": i, "data": {"i": [name] * 4, "t": "cut tomato"}} for i in range(count)]


def test_no_more_frames_than_the_room_holds(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, too_many = threading.Lock(), threading.Event()
    alive, most = 0, 0

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def counted(read: Callable[..., Clip], *args: Any, **options: Any) -> Clip:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
            if most > 2:
                too_many.set()
        clip = read(*args, **options)
        weakref.finalize(clip, gone)
        return clip

    monkeypatch.setattr(frames, "read_clip", partial(counted, frames.read_clip))
    room = Room(max_bytes=2 * FRAME)  # one frame at a time for a request
    batcher = Batcher(Waiting(too_many), room)
    outcomes = predict_many(tasks(8), project(), batcher=batcher, media=media)
    assert all(outcome.error is None for outcome in outcomes)
    assert most <= 2  # the one that is just being let go of
    assert room.num_clips == 0


def test_a_frame_that_cannot_be_decoded_gives_its_room_back(media: Media) -> None:
    room = Room(max_bytes=2 * FRAME)
    batcher = Batcher(FakeGrounder(), room)
    outcomes = predict_many(tasks(3, "bad"), project(), batcher=batcher, media=media)
    assert all(outcome.error for outcome in outcomes)
    assert room.num_clips == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_room_is_asked_for_by_the_header(kind: str) -> None:
    asked: list[int] = []
    file = io.BytesIO(picture(kind))
    read_moment(file, time=None, num_frames=1, make_room=asked.append)
    assert asked == [2 * FRAME]


def test_a_window_asks_when_its_frames_are_fetched_and_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events: list[str] = []
    small, large = picture(size=(32, 16)), picture(size=(64, 16))

    def open_one(index: int) -> BinaryIO:
        events.append(f"open {index}")
        return io.BytesIO(large if index == 2 else small)

    def make_room(num_bytes: int) -> None:
        events.append(f"room {num_bytes}")

    sources = [partial(open_one, index) for index in range(4)]
    found = read_frame_list(sources, num_frames=3, make_room=make_room)
    index, clip = next(found)
    assert (index, clip.num_frames) == (0, 3)
    one = 2 * 3 * 32 * 16
    assert events[:3] == ["open 0", "open 1", f"room {3 * one}"]
    events.clear()
    next(found)
    assert events[:2] == ["open 2", f"room {6 * one}"]
    assert len(list(found)) == 2
