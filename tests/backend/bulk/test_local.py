"""A run on this machine: one result for every question, nothing read far ahead, nothing lost."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.bulk.local import ground_here
from backend.bulk.units import Ask, Failure, Unit, made_id, units_of
from backend.prediction.batcher import Batcher
from backend.prediction.room import Room
from tests.clips import encode
from tests.fakes import FakeGrounder
from videogem.errors import InputError
from videogem.structures import Clip, Grounding


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    return str(path)


def asks(*narrations: str, times: tuple[float | None, ...] = ()) -> list[Ask]:
    pairs = itertools.zip_longest(narrations, times)
    return [Ask(made_id("", text, time), text or "", time) for text, time in pairs]


def test_a_row_in_pixels_of_the_frame_that_was_looked_at(tmp_path: Path) -> None:
    video = encode(tmp_path / "v.mp4", frames=50)
    units = units_of(str(video), asks("cut tomato", "stir soup", times=(1.5, 0.5)))
    rows = list(ground_here(units, Batcher(FakeGrounder({"cut tomato": (0.25, 0.5)}))))
    assert [row["narration"] for row in rows if isinstance(row, dict)] == [
        "stir soup",
        "cut tomato",
    ]
    row = rows[1]
    assert isinstance(row, dict)
    assert (row["frame_index"], row["time"], row["size"]) == (37, 1.48, [160, 96])
    assert row["point"] == [40.0, 48.0]
    assert row["box"] == [24.0, 38.4, 56.0, 57.6]
    assert (row["score"], row["model_version"], row["duration"]) == (0.75, "fake-1", 2.0)


def test_what_fails_is_told_and_the_rest_goes_on(tmp_path: Path, picture: str) -> None:
    class Poisoned(FakeGrounder):
        def _ground(self, clip: Clip, narration: str) -> Grounding:
            if narration == "burn":
                raise InputError("Not this one.")
            if narration == "crash":
                raise ZeroDivisionError
            return super()._ground(clip, narration)

    video = encode(tmp_path / "v.mp4", frames=25)
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    units = [
        *units_of(picture, asks("cut", "burn", "stir", "crash")),
        *units_of(str(tmp_path / "b.png"), asks("fry", "boil")),
        *units_of(str(video), asks("pour", "peel", times=(0.5, 700.0))),
        *units_of(str(tmp_path / "gone.png"), asks("mix")),
    ]
    results = list(ground_here(units, Batcher(Poisoned())))
    rows = {one["narration"] for one in results if isinstance(one, dict)}
    failures = {one.narration: one.reason for one in results if isinstance(one, Failure)}
    assert rows == {"cut", "stir", "pour"}
    assert failures.keys() == {"burn", "crash", "fry", "boil", "peel", "mix"}
    assert failures["burn"] == "Not this one."
    assert "Defect in the backend (ZeroDivisionError)" in failures["crash"]
    assert "700 s is after the end of the video, 1.000 s" in failures["peel"]
    assert "There is no file" in failures["mix"]


def test_little_is_read_ahead_of_a_slow_taker(picture: str) -> None:
    taken = 0

    def units() -> Iterator[Unit]:
        nonlocal taken
        for number in range(200):
            taken += 1
            yield from units_of(picture, asks(f"cut {number}"))

    batcher = Batcher(FakeGrounder(), Room(max_clips=8))
    results = ground_here(units(), batcher, readers=2)
    for _ in range(5):
        next(results)
    time.sleep(0.2)
    # The job list's share of the room, what two readers hold, and what came.
    assert taken <= 5 + 4 + 2 * 2
    results.close()
    assert taken < 20


def test_a_taker_that_stops_leaves_the_room_empty(picture: str) -> None:
    batcher = Batcher(FakeGrounder(), Room(max_clips=8))
    units = [unit for number in range(100) for unit in units_of(picture, asks(f"cut {number}"))]
    results = ground_here(iter(units), batcher)
    next(results)
    results.close()
    until = time.monotonic() + 20
    while batcher.room.num_clips and time.monotonic() < until:
        time.sleep(0.01)
    assert batcher.room.num_clips == 0
    again = list(ground_here(units[:9], batcher))
    assert len(again) == 9


def test_whoever_gives_the_units_is_heard(picture: str) -> None:
    def units() -> Iterator[Unit]:
        yield from units_of(picture, asks("cut"))
        raise OSError("the list broke off")

    with pytest.raises(OSError, match="broke off"):
        list(ground_here(units(), Batcher(FakeGrounder())))
