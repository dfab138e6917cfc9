"""The one place that talks to a tower: questions from everybody, answered in full batches.

People come first: a click before a request, a request before the job list. A question that finds
the tower idle is served at once; what comes while the tower works waits together, and is served
together. Where a model says that several batches are worth computing side by side (on a CPU: one
core each), they run in as many lanes.
"""

import gc
import heapq
import itertools
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from backend.labeling.labels import Similarity
from backend.prediction.questions import Answer, Priority, Question
from backend.prediction.room import ROOM_CLIPS, Room
from backend.threads import started
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.structures import Clip, Grounding

logger = logging.getLogger(__name__)

IDLE = 30.0  # seconds after which a thread without work ends; the next question starts another
FILLING = 0.05  # seconds that jobs wait at most for others to fill their batch, where that helps
NOTHING_NEW = 0.005  # seconds without another job after which they wait no longer
SENTENCES = 64  # of one batch, so that a click never waits for hundreds of heatmaps
PREPARED = 8  # clips compared together: their tokens all fit into the model's cache
RECOVERY = 32  # full batches after which a halved batch size is doubled again
ROOM_BATCHES = 2  # of each lane, where the model takes more at once: one is read, one grounded
OUT_OF_MEMORY = ("out of memory", "not enough memory", "DefaultCPUAllocator")


@dataclass(frozen=True, eq=False)
class _Asked:
    question: Question
    future: "Future[Answer]"
    priority: Priority


class Batcher:
    """Serves the questions about one model, a batch at a time in each lane, a thread of its own."""

    def __init__(self, grounder: Grounder, room: Room | None = None) -> None:
        self.grounder = grounder
        clips = ROOM_BATCHES * grounder.batch_size * grounder.num_lanes
        self.room = room or Room(max_clips=max(ROOM_CLIPS, clips))
        self._size = grounder.batch_size  # halved where memory does not suffice
        self._full_batches = 0
        self._waiting: list[tuple[Priority, int, _Asked]] = []
        self._numbers = itertools.count()
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._filled = threading.Condition(lock)  # what waits need wait no longer for more
        self._num_threads = 0  # lanes that run; of these
        self._num_idle = 0  # wait for a question, and
        self._num_busy = 0  # serve a batch

    @property
    def num_frames(self) -> int:
        """Frames the model looks at in a clip."""
        return self.grounder.num_frames

    @property
    def takes_encoded(self) -> bool:
        """Whether the model decodes still images itself."""
        return self.grounder.takes_encoded

    @property
    def compares(self) -> bool:
        """Whether the model can tell how similar a frame is to a text."""
        return getattr(self.grounder, "similarity", None) is not None

    def ask(self, question: Question, priority: Priority) -> "Future[Answer]":
        """Queue a question. Its future fails with what the model said of this clip alone."""
        future: Future[Answer] = Future()
        with self._changed:
            asked = _Asked(question, future, priority)
            heapq.heappush(self._waiting, (priority, next(self._numbers), asked))
            if self._num_idle < len(self._waiting) and self._num_threads < self._num_lanes:
                self._start_lane(future)
            if self._num_idle:
                self._changed.notify()
            if len(self._waiting) >= self._size or priority != Priority.JOBS:
                self._filled.notify()
        return future

    def _start_lane(self, future: "Future[Answer]") -> None:
        """Start one for a question; without any lane nobody would ever answer it."""
        self._num_threads += 1
        thread = threading.Thread(target=self._run, name="tower", daemon=True)
        if not started(thread, "the model waits for a thread"):
            self._num_threads -= 1
            if not self._num_threads:
                future.cancel()

    def ask_with_room(self, question: Question, priority: Priority) -> "Future[Answer]":
        """Like ``ask``, when there is room; the room is free again with the answer."""
        self.room.take(question.num_bytes, priority)
        future = self.ask(question, priority)
        future.add_done_callback(lambda _: self.room.give(question.num_bytes, priority))
        return future

    def read_with_room(
        self, num_bytes: int, read: Callable[[], Question | None], priority: Priority
    ) -> "Future[Answer] | None":
        """Read a question when there is room for what decoding takes, and ask it.

        Its room is free again with the answer. None where there is nothing left to read.
        """
        self.room.take(num_bytes, priority)
        try:
            question = read()
        except BaseException:
            self.room.give(num_bytes, priority)
            raise
        if question is None:
            self.room.give(num_bytes, priority)
            return None
        held = question.num_bytes
        self.room.change(num_bytes, held)
        future = self.ask(question, priority)
        future.add_done_callback(lambda _: self.room.give(held, priority))
        return future

    def ground(
        self, clip: Clip, sentences: Sequence[str], priority: Priority = Priority.REQUEST
    ) -> Sequence[Grounding]:
        """Ground sentences in one clip and wait for it."""
        return self.ask(Question(clip, sentences), priority).result().groundings

    @property
    def _num_lanes(self) -> int:
        return self.grounder.num_lanes

    def _run(self) -> None:
        try:
            while batch := self._take():
                if self._num_lanes > 1:
                    self.grounder.share_cores(1 if self._is_alone(batch) else self._num_lanes)
                self._serve(batch)
                del batch  # an idle thread holds no frames
                with self._changed:
                    self._num_busy -= 1
        except BaseException:
            with self._changed:  # the next question starts another
                self._num_threads -= 1
                self._num_busy -= 1
            raise

    def _take(self) -> list[_Asked]:
        """The next batch, of one priority; nothing after a while without questions."""
        with self._changed:
            while True:
                if not self._waiting:
                    self._num_idle += 1
                    self._changed.wait_for(lambda: bool(self._waiting), IDLE)
                    self._num_idle -= 1
                    if not self._waiting:
                        self._num_threads -= 1
                        return []
                self._wait_for_more()
                if batch := list(self._next_batch()):
                    self._num_busy += 1
                    return batch

    def _wait_for_more(self) -> None:
        """Where full batches win, let the job list fill one: as long as more comes, not for ever.

        Nobody waits for a job, and a GPU takes almost as long for a few clips as for many.
        """
        if not self.grounder.favours_full_batches:
            return
        deadline = time.monotonic() + FILLING
        seen = 0
        while seen < len(self._waiting) < self._size and time.monotonic() < deadline:
            if self._waiting[0][0] != Priority.JOBS:
                return
            seen = len(self._waiting)
            if self._filled.wait(NOTHING_NEW):
                seen = 0  # another lane may have taken what filled the batch

    def _is_alone(self, batch: Sequence[_Asked]) -> bool:
        """Whether one person waits for one frame, and nothing else is done: it gets all cores."""
        if batch[0].priority == Priority.JOBS:  # nobody waits for a job
            return False
        with self._changed:
            return len(batch) == 1 and self._num_busy == 1 and not self._waiting

    def _next_batch(self) -> Iterator[_Asked]:
        sentences = count = 0
        most = max(SENTENCES, self._size)
        first: Priority | None = None
        # What waits is shared with the lanes that have nothing to do.
        free = max(self._num_lanes - self._num_busy, 1)
        if self.grounder.favours_full_batches:
            free = 1
        size = min(self._size, math.ceil(len(self._waiting) / free))
        while self._waiting and count < size:
            asked = self._waiting[0][2]
            sentences += asked.question.num_sentences
            if first is not None and (asked.priority != first or sentences > most):
                return
            heapq.heappop(self._waiting)
            if asked.future.set_running_or_notify_cancel():
                first = asked.priority
                count += 1
                yield asked

    def _serve(self, batch: list[_Asked]) -> None:
        """Answer a batch. What fails together is tried in halves, down to the one at fault."""
        parts = [batch]
        while parts:
            part = parts.pop()
            memory = False
            try:
                answers = self._answers([asked.question for asked in part])
            except Exception as error:
                memory = _is_out_of_memory(error)
                if len(part) == 1 and not memory:
                    part[0].future.set_exception(error)
                    continue
            else:
                for asked, answer in zip(part, answers, strict=True):
                    asked.future.set_result(answer)
                self._note_success(len(part))
                continue
            # Outside of the handler: its traceback would keep alive what took the memory.
            if memory:
                self._free_memory(len(part))
            if len(part) == 1:
                self._try_alone(part[0])
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]

    def _try_alone(self, asked: _Asked) -> None:
        try:
            [answer] = self._answers([asked.question])
        except Exception as error:
            if not _is_out_of_memory(error):
                asked.future.set_exception(error)
                return
        else:
            asked.future.set_result(answer)
            return
        width, height = asked.question.clip.size_wh
        asked.future.set_exception(
            InputError(
                f"The memory does not suffice to ground one frame of {width} x {height} pixels; "
                "choose a smaller model, or give the backend more memory."
            )
        )

    def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        if not self.compares or not any(map(_compares_first, questions)):
            return self._answers_together(questions)
        answers: list[Answer] = []
        for start in range(0, len(questions), PREPARED):
            some = questions[start : start + PREPARED]
            if len(some) > 1 and self.num_frames == 1:
                self.grounder.prepare([question.clip for question in some])
            answers += self._answers_together(some)
        return answers

    def _answers_together(self, questions: Sequence[Question]) -> list[Answer]:
        clips = [question.clip for question in questions]
        sentences = [list(self._sentences(question)) for question in questions]
        asked = [place for place, texts in enumerate(sentences) if texts]
        groundings: list[Sequence[Grounding]] = [()] * len(clips)
        if asked:
            found = self.grounder.ground_batch(
                [clips[place] for place in asked], [sentences[place] for place in asked]
            )
            for place, each in zip(asked, found, strict=True):
                groundings[place] = each
        return [
            Answer(each, self._scores(question, each))
            for question, each in zip(questions, groundings, strict=True)
        ]

    def _sentences(self, question: Question) -> Sequence[Any]:
        if not callable(question.sentences):
            return question.sentences
        return question.sentences(self._compare(question.clip) if self.compares else None)

    def _scores(
        self, question: Question, groundings: Sequence[Grounding]
    ) -> Mapping[str, float] | None:
        if not self.compares:
            return None
        texts = question.texts(groundings) if callable(question.texts) else question.texts
        if not texts:
            return {}
        return dict(zip(texts, self._compare(question.clip)(texts), strict=True))

    def _compare(self, clip: Clip) -> Similarity:
        compare: Any = getattr(self.grounder, "similarity", None)
        return lambda texts: [float(score) for score in compare(clip, list(texts))]

    def _note_success(self, count: int) -> None:
        """After a while, see whether there is memory for larger batches again."""
        with self._changed:
            if count < self._size or self._size >= self.grounder.batch_size:
                return
            self._full_batches += 1
            if self._full_batches >= RECOVERY:
                self._full_batches = 0
                self._size = min(2 * self._size, self.grounder.batch_size)

    def _free_memory(self, count: int) -> None:
        if count > 1:
            with self._changed:
                self._size = min(self._size, count // 2)
                self._full_batches = 0
            logger.warning("memory ran out with %d clips at once: now %d", count, self._size)
        gc.collect()
        if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _compares_first(question: Question) -> bool:
    """Whether the clip is compared with texts before, or without, being grounded."""
    return callable(question.sentences) or not question.sentences


def _is_out_of_memory(error: Exception) -> bool:
    """As CUDA (torch.OutOfMemoryError, a RuntimeError) and torch's CPU allocator say it."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
