"""Which threads serve which requests: nothing slow ever stands before /health or a webhook."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from waitress.task import ThreadedTaskDispatcher

PICTURES = (".jpg", ".png")
SLOW = ("predict", "pages", "pictures")  # their threads give way to those of the other lanes
STEPS_DOWN = 10  # of the system's 40 priorities


@dataclass(frozen=True)
class Width:
    """Threads of one lane, and how many requests may wait for them before others are refused."""

    threads: int
    waiting: int


def widths(threads: int) -> dict[str, Width]:
    """The lanes of a backend with so many threads for /predict."""
    return {
        "quick": Width(2, 512),  # answered from memory; refusals, too
        "setup": Width(2, 16),
        "events": Width(4, 64),
        "predict": Width(threads, 32),
        "pages": Width(4, 64),  # twenty readers and what their pages fetch, with room to spare
        "metrics": Width(1, 16),  # whoever asks every few seconds does not wait for readers
        "pictures": Width(2, 16),  # of the quality page: each is fetched from Label Studio
    }


def lane_of(path: str, accept: str = "") -> str:
    """The lane of a path, for somebody who accepts these kinds of answers."""
    if path == "/" and "text/html" in accept:
        return "pages"
    if path in ("/", "/health", "/versions") or path.startswith("/qa/static/"):
        return "quick"
    if path in ("/setup", "/predict", "/metrics"):
        return path[1:]
    if path == "/webhook":
        return "events"
    return "pictures" if path.endswith(PICTURES) else "pages"


def give_way() -> None:
    """Let the system prefer other threads to this one, and to those it starts from now on.

    Only Linux knows priorities of threads; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        lower = os.getpriority(os.PRIO_PROCESS, thread) + STEPS_DOWN
        os.setpriority(os.PRIO_PROCESS, thread, min(lower, 19))


class Lanes:
    """What waitress calls a task dispatcher, made of one small pool of threads a lane."""

    def __init__(self, threads: int) -> None:
        self._lanes = {name: _Lane(name, width) for name, width in widths(threads).items()}

    @property
    def capacity(self) -> int:
        """Requests that may be served or wait at a time, in all lanes but the quick one."""
        lanes = (lane for name, lane in self._lanes.items() if name != "quick")
        return sum(lane.width.threads + lane.width.waiting for lane in lanes)

    def offer(self, task: Any, name: str) -> bool:
        """Queue a task; False where too many wait already."""
        return self._lanes[name].offer(task)

    def shutdown(self, seconds: float) -> None:
        """Let go of the threads; wait so long for those that are at work."""
        for lane in self._lanes.values():
            lane.set_thread_count(0)
        for lane in self._lanes.values():
            lane.shutdown(timeout=seconds)


class _Lane(ThreadedTaskDispatcher):
    """A pool whose queue has an end."""

    def __init__(self, name: str, width: Width) -> None:
        super().__init__()
        self.name = name
        self.width = width
        self.set_thread_count(width.threads)

    def start_new_thread(self, target: Callable[[int], None], thread_no: int) -> None:
        def serve() -> None:
            if self.name in SLOW:
                give_way()
            target(thread_no)

        threading.Thread(target=serve, name=f"{self.name}-{thread_no}", daemon=True).start()

    def offer(self, task: Any) -> bool:
        with self.lock:
            idle = self.width.threads - self.active_count  # some may be about to take a task
            if len(self.queue) >= self.width.waiting + idle:
                return False
            self.queue.append(task)
            self.queue_cv.notify()
            return True
