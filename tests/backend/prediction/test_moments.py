"""The way of a task: read, ground and write at once, with bounded memory and nobody held up."""

import io
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import pytest
from PIL import Image

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.media.turns import OF_ONE_HOST
from backend.prediction import predict
from backend.prediction.batcher import Batcher
from backend.prediction.predict import Outcome, predict_each, predict_many
from backend.prediction.questions import Priority
from backend.prediction.room import Room
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Grounding

IMAGE = (
    '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
    '<KeyPoint name="k" toName="i"/></View>'
)
LIST = IMAGE.replace('value="$i"', 'valueList="$i"')
VIDEO = (
    '<View model_every="0.1"><Video name="i" value="$i" framerate="10"/><Text name="t" value="$t"/>'
    '<VideoRectangle name="b" toName="i" model_box_threshold="0.5"/></View>'
)


class Window(FakeGrounder):
    """Looks at three frames and keeps none."""

    @property
    def num_frames(self) -> int:
        return 3

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        found = super().ground(clip, narrations)
        self.calls.clear()
        return found


class Large(FakeGrounder):
    """Its heatmaps are as large as a real model's."""

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        assert not narrations or clip.frames.shape == (1, 48, 64, 3)
        found = super().ground(clip, narrations)
        self.calls.clear()
        for grounding in found:
            object.__setattr__(grounding, "heatmaps", np.ones((3, 224, 224), np.float32))
        return found


class Files:
    """Stands in for media: counts files that are open, and may hold some up."""

    def __init__(self, make: Callable[[Any], bytes]) -> None:
        self.make = make
        self.open_now = 0
        self.most = 0
        self.count = 0
        self.lock = threading.Lock()

    def open(self, reference: Any, **_: Any) -> BinaryIO:
        data = self.make(reference)
        files = self
        with self.lock:
            self.open_now += 1
            self.count += 1
            self.most = max(self.most, self.open_now)

        class File(io.BytesIO):
            def close(self) -> None:
                with files.lock:
                    files.open_now -= not self.closed
                super().close()

        return File(data)


def png(_: Any = None) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Files], Media]:
    def make(files: Files) -> Media:
        settings = Settings(data_dir=tmp_path)
        media = Media(settings, Connections(settings))
        monkeypatch.setattr(media, "open", files.open)
        return media

    return make


def project(config: str) -> Project:
    labeling = parse_labeling(config)
    assert labeling.problems == ()
    return Project(1, config, labeling, "v1")


def task(number: int, shown: Any = "a.png") -> dict[str, Any]:
    return {"id": number, "data": {"i": shown, "t": "cut tomato"}}


def regions(outcome: Outcome) -> list[dict[str, Any]]:
    assert outcome.error is None
    assert outcome.prediction is not None
    return outcome.prediction["result"]


@pytest.mark.parametrize("grounder", [FakeGrounder(), Window()])
def test_long_frame_lists_open_a_frame_at_a_time(
    use: Callable[[Files], Media], grounder: FakeGrounder
) -> None:
    files = Files(png)
    many = task(1, [f"{number}.png" for number in range(300)])
    [outcome] = predict_many([many], project(LIST), batcher=Batcher(grounder), media=use(files))
    assert [region["item_index"] for region in regions(outcome)] == list(range(300))
    assert files.most == 1
    assert files.open_now == 0


def test_frames_in_flight_are_bounded(use: Callable[[Files], Media]) -> None:
    room = Room(max_clips=8)
    seen: list[int] = []

    class Counting(FakeGrounder):
        def ground_batch(
            self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
        ) -> list[list[Grounding]]:
            seen.append(room.num_clips)
            return super().ground_batch(clips, narrations)

    tasks = [task(number, ["a.png"] * 20) for number in range(8)]
    batcher = Batcher(Counting(), room)
    found = predict_many(tasks, project(LIST), batcher=batcher, media=use(Files(png)))
    assert [len(regions(outcome)) for outcome in found] == [20] * 8
    assert max(seen) <= 6  # three quarters of the room, as it is a request
    assert room.num_clips == 0


def test_a_slow_host_holds_up_its_own_task_only(use: Callable[[Files], Media]) -> None:
    come = threading.Event()

    def make(reference: str) -> bytes:
        if reference == "slow.png":
            assert come.wait(10)
        return png()

    tasks = [task(1, "slow.png"), *(task(number) for number in range(2, 12))]
    batcher = Batcher(FakeGrounder())
    found = predict_each(tasks, project(IMAGE), batcher=batcher, media=use(Files(make)))
    first = [next(found)[1].task["id"] for _ in range(10)]
    assert sorted(first) == list(range(2, 12))
    come.set()
    assert [outcome.task["id"] for _, outcome in found] == [1]


def test_a_slow_host_holds_up_its_own_tasks_however_many(
    use: Callable[[Files], Media], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "HELD_SECONDS", 0.2)
    come = threading.Event()

    def make(reference: str) -> bytes:
        if reference == "slow.png":
            assert come.wait(20)
        return png()

    slow, quick = range(1, 1 + OF_ONE_HOST), range(20, 30)
    tasks = [*(task(number, "slow.png") for number in slow), *(task(number) for number in quick)]
    batcher = Batcher(FakeGrounder())
    found = predict_each(tasks, project(IMAGE), batcher=batcher, media=use(Files(make)))
    first = [next(found)[1].task["id"] for _ in quick]
    assert sorted(first) == list(quick)
    come.set()
    assert sorted(outcome.task["id"] for _, outcome in found) == list(slow)


def test_the_budget_covers_fetching(use: Callable[[Files], Media]) -> None:
    come = threading.Event()

    def make(reference: str) -> bytes:
        if reference == "slow.png":
            come.wait(10)
        return png()

    batcher = Batcher(FakeGrounder())
    tasks = [task(1, "slow.png"), task(2)]
    slow, quick = predict_many(
        tasks, project(IMAGE), batcher=batcher, media=use(Files(make)),
        deadline=time.monotonic() + 0.5,
    )  # fmt: skip
    assert not come.is_set()
    assert (slow.late, quick.late) == (True, False)
    assert len(regions(quick)) == 1
    come.set()


def test_what_is_given_up_leaves_its_room(use: Callable[[Files], Media]) -> None:
    gate = threading.Event()

    class Gated(FakeGrounder):
        def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
            assert gate.wait(10)
            return super().ground(clip, narrations)

    room = Room(max_clips=8)
    batcher = Batcher(Gated(), room)
    found = predict_many(
        [task(number) for number in range(20)], project(IMAGE),
        batcher=batcher, media=use(Files(png)), deadline=time.monotonic() + 0.2,
    )  # fmt: skip
    assert all(outcome.late for outcome in found)
    gate.set()
    room.take(1, Priority.JOBS)  # comes back when there is room, even for the last in line
    assert batcher.ground(Clip.from_image(np.zeros((8, 8, 3), np.uint8)), ["cut"])


def test_one_bad_frame_ends_the_reading_of_its_list(use: Callable[[Files], Media]) -> None:
    files = Files(lambda reference: b"no image" if reference == "bad.png" else png())
    shown = ["a.png", "bad.png", *["a.png"] * 50]
    tasks = [task(1, shown), task(2, ["a.png"] * 3)]
    bad, good = predict_many(
        tasks, project(LIST), batcher=Batcher(FakeGrounder()), media=use(files)
    )
    assert "damaged" in (bad.error or "")
    assert len(regions(good)) == 3
    assert files.count == 5


def test_tasks_are_taken_as_there_are_hands_for_them(use: Callable[[Files], Media]) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[dict[str, Any]]:
        for number in range(1000):
            taken.append(number)
            yield task(number)

    batcher = Batcher(FakeGrounder(), Room(max_clips=8))
    found = predict_each(tasks(), project(IMAGE), batcher=batcher, media=use(Files(png)))
    for _ in range(10):
        assert next(found)[1].error is None
    assert len(taken) < 100
    found.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Twenty seconds at 10 frames a second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(200):
            pixels = np.full((48, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_a_long_track_keeps_no_heatmaps_and_one_reader(
    use: Callable[[Files], Media], film: bytes
) -> None:
    files = Files(lambda _: film)
    media, room = use(files), Room(max_clips=8)
    batcher = Batcher(Large(), room)
    predict_many([task(1, "a.mp4")], project(VIDEO), batcher=batcher, media=media)  # imports
    tracemalloc.start()
    [outcome] = predict_many([task(1, "a.mp4")], project(VIDEO), batcher=batcher, media=media)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    [box] = regions(outcome)
    assert len(box["value"]["sequence"]) == 200
    heatmaps = 3 * 224 * 224 * 4
    assert peak < 30 * heatmaps
    assert files.count == 2  # one for each of the two runs
