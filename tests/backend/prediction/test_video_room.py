"""Frames of videos and of clicks, too, are decoded when there is room for them."""

import io
from pathlib import Path
from typing import Any

import pytest

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.frames import read_moment, window_bytes
from backend.prediction.interactive import suggest
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.questions import Priority
from backend.prediction.room import Room
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.backend.prediction.test_interactive import CONFIG as CLICKS
from tests.backend.prediction.test_interactive import TASK, click
from tests.backend.prediction.test_videos import CUES, Comparing
from tests.clips import encode
from tests.fakes import FakeGrounder
from videogem.errors import InputError
from videogem.media.decoding import VideoReader
from videogem.media.sources import VideoReadError
from videogem.media.video import probe

SAID = """<View><Video name="film" value="$film" framerate="10"/>
<Paragraphs name="said" value="$said"/><VideoRectangle name="box" toName="film"/></View>"""
SEEN = """<View><Video name="film" value="$film" framerate="10"/>
<VideoRectangle name="box" toName="film"/><Labels name="what" toName="film">
<Label value="cut tomato"/><Label value="pour milk"/></Labels></View>"""


class Watched(Room):
    """Notes when room is taken, and how much."""

    def __init__(self, events: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.events = events
        self.sizes: list[int] = []

    def take(self, num_bytes: int, priority: Priority, timeout: float | None = None) -> bool:
        self.sizes.append(num_bytes)
        taken = super().take(num_bytes, priority, timeout)
        self.events.append("room")
        return taken


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode(tmp_path_factory.mktemp("film") / "film.mp4", frames=50).read_bytes()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened: 'room' was taken, or the pixels of a 'frame' were made."""
    found: list[str] = []
    make = VideoReader._make

    def noted(self: VideoReader, *shown: Any) -> Any:
        found.append("frame")
        return make(self, *shown)

    monkeypatch.setattr(VideoReader, "_make", noted)
    return found


def predict(folder: Path, film: bytes, room: Room, config: str) -> Outcome:
    settings = Settings(data_dir=folder)
    media = Media(settings, Connections(settings))
    media.open = lambda *_, **__: io.BytesIO(film)  # type: ignore[method-assign]
    project = Project(1, config, parse_labeling(config), "v1")
    task = {"id": 3, "data": {"film": "x.mp4", "said": CUES}}
    batcher = Batcher(Comparing(), room)
    [outcome] = predict_many([task], project, batcher=batcher, media=media)
    return outcome


@pytest.mark.parametrize("config", [SAID, SEEN], ids=["said", "seen"])
def test_room_is_taken_before_a_frame_is_decoded(
    tmp_path: Path, film: bytes, events: list[str], config: str
) -> None:
    room = Watched(events)
    outcome = predict(tmp_path, film, room, config)
    assert outcome.error is None
    assert events.count("frame") > 2
    for number in range(len(events)):
        so_far = events[: number + 1]
        assert so_far.count("frame") <= so_far.count("room")
    assert set(room.sizes) == {window_bytes(probe(io.BytesIO(film)), num_frames=1)}
    assert room.num_clips == 0
    assert room._bytes == 0


@pytest.mark.parametrize("config", [SAID, SEEN], ids=["said", "seen"])
def test_a_damaged_video_gives_its_room_back(
    tmp_path: Path, film: bytes, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    def damaged(self: VideoReader, *shown: Any) -> Any:
        raise VideoReadError("The frames there are damaged.")

    monkeypatch.setattr(VideoReader, "_make", damaged)
    room = Room()
    assert predict(tmp_path, film, room, config).error == "The frames there are damaged."
    assert (room.num_clips, room._bytes) == (0, 0)


def test_a_video_where_an_image_may_be_asks_for_its_window(film: bytes) -> None:
    asked: list[int] = []
    clip = read_moment(io.BytesIO(film), time=None, num_frames=3, make_room=asked.append)
    assert asked == [2 * clip.frames.nbytes]


def test_a_click_waits_for_room_no_longer_than_its_budget(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    media = Media(settings, Connections(settings))
    project = Project(1, CLICKS, parse_labeling(CLICKS), "v1")
    room = Room(max_bytes=10)
    batcher = Batcher(FakeGrounder(), room)

    def answer() -> Any:
        return suggest(TASK, [click(50, 50)], project, batcher=batcher, media=media, seconds=0.2)

    assert answer()["result"]
    assert room.num_clips == 0
    room.take(10, Priority.CLICK)
    with pytest.raises(InputError, match="no room to decode"):
        answer()
    room.give(10, Priority.CLICK)
    assert answer()["result"]
    assert (room.num_clips, room._bytes) == (0, 0)
