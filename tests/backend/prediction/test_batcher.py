"""One batcher for everybody: full batches, people first, nobody fails for another."""

import threading
import time
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from backend.prediction import batcher as batcher_module
from backend.prediction.batcher import Batcher
from backend.prediction.questions import GROUNDING_BYTES, Answer, Priority, Question
from backend.prediction.room import Room
from tests.fakes import FakeGrounder
from tests.no_threads import no_threads
from videogem.errors import InputError
from videogem.grounding import load_grounder
from videogem.structures import Clip, Grounding


def clip(shade: int = 0) -> Clip:
    return Clip.from_image(np.full((8, 8, 3), shade, np.uint8))


class Gated(FakeGrounder):
    """Grounds when the gate is open, and remembers its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.busy = threading.Event()
        self.batches: list[list[str]] = []

    def ground_batch(
        self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
    ) -> list[list[Grounding]]:
        self.busy.set()
        assert self.gate.wait(10)
        self.batches.append([text for texts in narrations for text in texts])
        return super().ground_batch(clips, narrations)


class Narrow(FakeGrounder):
    """Has memory for few clips at once."""

    def __init__(self, most: int, error: Exception) -> None:
        super().__init__()
        self.most = most
        self.error = error
        self.batches: list[int] = []

    def ground_batch(
        self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
    ) -> list[list[Grounding]]:
        self.batches.append(len(clips))
        if len(clips) > self.most:
            raise self.error
        return super().ground_batch(clips, narrations)


def ask(batcher: Batcher, text: str, priority: Priority = Priority.REQUEST) -> "Future[Answer]":
    return batcher.ask(Question(clip(), [text]), priority)


def behind_a_gate(grounder: Gated) -> Batcher:
    """A batcher whose tower is busy with one clip."""
    batcher = Batcher(grounder)
    ask(batcher, "first")
    assert grounder.busy.wait(10)
    return batcher


def test_a_single_question_is_served_at_once() -> None:
    grounder = FakeGrounder()
    [grounding] = Batcher(grounder).ground(clip(), ["cut"])
    assert grounding.narration == "cut"
    assert len(grounder.calls) == 1


def test_questions_of_many_callers_share_batches() -> None:
    grounder = Gated()
    batcher = behind_a_gate(grounder)
    callers = [
        threading.Thread(target=batcher.ground, args=(clip(), [f"caller {number}"]))
        for number in range(16)
    ]
    for caller in callers:
        caller.start()
    while len(batcher._waiting) < 16:
        time.sleep(0.001)  # until all of them ask
    grounder.gate.set()
    for caller in callers:
        caller.join(10)
    assert [len(batch) for batch in grounder.batches] == [1, 8, 8]


class SideBySide(FakeGrounder):
    """Grounds only when two batches are under way at once, as long as there are two."""

    num_lanes = 2
    batch_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.both = threading.Barrier(2)
        self.shares: list[int] = []
        self.most = 0

    def share_cores(self, num_lanes: int) -> None:
        self.shares.append(num_lanes)

    def ground_batch(self, clips: Any, narrations: Any) -> list[list[Grounding]]:
        self.most = max(self.most, len(clips))
        if narrations[0] != ["alone"]:
            self.both.wait(10)
        return super().ground_batch(clips, narrations)


def test_as_many_batches_at_once_as_the_model_has_lanes() -> None:
    grounder = SideBySide()
    batcher = Batcher(grounder)
    assert batcher.ground(clip(), ["alone"])
    assert grounder.shares == [1]  # all cores for somebody who waits alone
    assert ask(batcher, "alone", Priority.JOBS).result(10)
    assert grounder.shares == [1, 2]  # a job is computed the same whether it is alone or not
    futures = [ask(batcher, f"{number}", Priority.JOBS) for number in range(2)]
    assert [len(future.result(10).groundings) for future in futures] == [1, 1]
    assert 2 in grounder.shares
    assert grounder.both.broken is False


def test_a_lane_that_ends_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "IDLE", 0.01)
    grounder = SideBySide()
    batcher = Batcher(grounder)
    for _ in range(3):
        futures = [ask(batcher, f"{number}") for number in range(2)]
        assert all(future.result(10).groundings for future in futures)
        deadline = time.monotonic() + 10
        while batcher._num_threads:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_people_come_first() -> None:
    grounder = Gated()
    batcher = behind_a_gate(grounder)
    futures = [ask(batcher, f"job {number}", Priority.JOBS) for number in range(9)]
    futures += [ask(batcher, "request", Priority.REQUEST), ask(batcher, "click", Priority.CLICK)]
    grounder.gate.set()
    for future in futures:
        assert future.result(10)
    assert grounder.batches[:3] == [["first"], ["click"], ["request"]]
    assert [len(batch) for batch in grounder.batches[3:]] == [8, 1]


def test_a_question_nobody_waits_for_costs_nothing() -> None:
    grounder = Gated()
    batcher = behind_a_gate(grounder)
    assert ask(batcher, "given up").cancel()
    last = ask(batcher, "last")
    grounder.gate.set()
    last.result(10)
    assert grounder.batches == [["first"], ["last"]]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate"),
        RuntimeError("could not allocate: not enough memory"),
    ],
)
def test_batches_are_halved_where_memory_runs_out(error: Exception) -> None:
    grounder = Narrow(2, error)
    batcher = Batcher(grounder)
    gate = Gated()
    batcher.grounder = gate
    ask(batcher, "first")
    assert gate.busy.wait(10)
    futures = [ask(batcher, f"{number}") for number in range(24)]
    batcher.grounder = grounder
    gate.gate.set()
    assert [len(future.result(10).groundings) for future in futures] == [1] * 24
    assert grounder.batches[:3] == [8, 4, 2]
    assert set(grounder.batches[7:]) == {2}  # it does not run into the wall again


def test_one_clip_without_memory_has_a_reason() -> None:
    batcher = Batcher(Narrow(0, MemoryError()))
    with pytest.raises(InputError, match="8 x 8 pixels"):
        batcher.ground(clip(), ["cut"])


def test_what_cannot_be_grounded_fails_alone() -> None:
    grounder = Gated()
    batcher = behind_a_gate(grounder)
    futures = [ask(batcher, " " if number in (2, 5) else "cut") for number in range(8)]
    grounder.gate.set()
    failed = [future.exception(10) is not None for future in futures]
    assert failed == [number in (2, 5) for number in range(8)]
    with pytest.raises(InputError, match="narration is empty"):
        futures[2].result()


def test_a_defect_does_not_end_the_batcher() -> None:
    class Short(FakeGrounder):
        def ground_batch(
            self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
        ) -> list[list[Grounding]]:
            return []

    batcher = Batcher(Short())
    with pytest.raises(ValueError):
        batcher.ground(clip(), ["cut"])
    batcher.grounder = FakeGrounder()
    assert batcher.ground(clip(), ["cut"])


def test_frames_are_compared_in_batches_too() -> None:
    class Comparing(Gated):
        prepared: list[int]

        def prepare(self, clips: Sequence[Clip]) -> None:
            self.prepared.append(len(clips))

        def similarity(self, clip: Clip, texts: list[str]) -> np.ndarray:
            return np.array([float(len(text)) for text in texts])

    grounder = Comparing()
    grounder.prepared = []
    batcher = behind_a_gate(grounder)
    compared = [batcher.ask(Question(clip(), (), ["a", "bb"]), Priority.JOBS) for _ in range(8)]
    grounder.gate.set()
    assert [dict(future.result(10).scores or {}) for future in compared] == [{"a": 1, "bb": 2}] * 8
    assert grounder.prepared == [8]


def test_the_job_list_leaves_room_for_the_others() -> None:
    room = Room(max_bytes=100, max_clips=100)
    room.take(40, Priority.JOBS)
    blocked = threading.Thread(target=room.take, args=(40, Priority.JOBS), daemon=True)
    blocked.start()
    room.take(30, Priority.REQUEST)
    room.take(1000, Priority.CLICK)  # the only one of its kind
    assert blocked.is_alive()
    room.give(1000, Priority.CLICK)
    room.give(40, Priority.JOBS)
    room.give(30, Priority.REQUEST)
    blocked.join(10)
    assert not blocked.is_alive()
    assert room.num_clips == 1


def test_heatmaps_count_as_well() -> None:
    assert Question(clip(), ["a", "b"]).num_bytes == 8 * 8 * 3 + 2 * GROUNDING_BYTES


class Filling(FakeGrounder):
    """A few clips take it as long as a full batch."""

    batch_size = 4
    num_lanes = 2
    favours_full_batches = True

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def ground_batch(self, clips: Any, narrations: Any) -> list[list[Grounding]]:
        self.sizes.append(len(clips))
        assert self.gate.wait(10)
        return super().ground_batch(clips, narrations)


def test_jobs_fill_a_batch_where_that_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "FILLING", 30.0)
    monkeypatch.setattr(batcher_module, "NOTHING_NEW", 30.0)
    grounder = Filling()
    batcher = Batcher(grounder)
    futures = [ask(batcher, f"{number}", Priority.JOBS) for number in range(8)]
    for future in futures:
        future.result(10)  # far less than they would wait for more
    assert grounder.sizes == [4, 4]


def test_a_lane_waits_on_where_another_took_what_filled_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batcher_module, "FILLING", 30.0)
    monkeypatch.setattr(batcher_module, "NOTHING_NEW", 30.0)
    grounder = Filling()
    grounder.gate.clear()
    batcher = Batcher(grounder)
    waiters = batcher._filled._waiters  # type: ignore[attr-defined]
    futures = [ask(batcher, f"{number}", Priority.JOBS) for number in range(2)]
    while len(waiters) < 2:
        time.sleep(0.001)
    with batcher._changed:  # neither lane sees the fourth before the fifth is there
        futures += [ask(batcher, f"{number}", Priority.JOBS) for number in range(2, 5)]
    while not waiters and len(grounder.sizes) < 2:
        time.sleep(0.001)
    assert grounder.sizes == [4]
    futures += [ask(batcher, f"{number}", Priority.JOBS) for number in range(5, 8)]
    grounder.gate.set()
    for future in futures:
        future.result(10)
    assert grounder.sizes == [4, 4]


def test_people_do_not_wait_for_others_to_fill_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "FILLING", 30.0)
    monkeypatch.setattr(batcher_module, "NOTHING_NEW", 30.0)
    grounder = Filling()
    batcher = Batcher(grounder)
    job = ask(batcher, "a job", Priority.JOBS)
    person = ask(batcher, "a person", Priority.REQUEST)
    assert person.result(10)
    others = [ask(batcher, f"{number}", Priority.JOBS) for number in range(4)]
    assert job.result(10)
    for other in others:
        other.cancel()  # the lanes wait for more of them


def test_the_last_jobs_are_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "FILLING", 30.0)
    batcher = Batcher(Filling())
    assert ask(batcher, "the last", Priority.JOBS).result(10)  # nothing new came


def test_a_lane_is_not_ended_by_a_question_that_another_took() -> None:
    grounder = SideBySide()
    batcher = Batcher(grounder)
    for _ in range(50):
        futures = [ask(batcher, f"{number}") for number in range(2)]
        assert all(future.result(10).groundings for future in futures)
    lanes = {one.ident for one in threading.enumerate() if one.name == "tower"}
    assert batcher._num_threads == 2
    assert len(lanes) >= 2


def test_the_room_counts_what_a_grounding_holds() -> None:
    """Before anybody looks at its heatmaps; more would leave a fast model without clips."""
    grounder = load_grounder("demo")
    frame = Clip(np.zeros((1, 90, 160, 3), np.uint8), np.zeros(1), np.zeros(1, int), target=0)
    sentences = [f"cut the tomato {number} times" for number in range(32)]
    grounder.ground(frame, sentences)  # what is kept of words and frames
    tracemalloc.start()
    groundings = grounder.ground(frame, sentences)
    traced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    patches = 3 * 14 * 14 * 4  # of torch, which is not traced
    held = traced / len(groundings) + patches
    assert GROUNDING_BYTES / 8 < held < GROUNDING_BYTES


def test_questions_are_answered_after_a_moment_without_threads() -> None:
    batcher = Batcher(FakeGrounder())
    with no_threads("tower"):
        assert ask(batcher, "first").cancelled()  # nobody waits for it for ever
    assert ask(batcher, "second").result(10).groundings
