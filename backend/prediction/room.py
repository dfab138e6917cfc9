"""How much is under way at a time, between reading and writing."""

import threading

from backend.prediction.questions import Priority

ROOM_BYTES = 256 * 2**20
ROOM_CLIPS = 64
SHARES = (1.0, 0.75, 0.5)  # of the room by priority: the job list never fills it for the others


class Room:
    """How much may be in flight between reading and writing, over all callers of one model.

    A priority that holds nothing always gets in, so that one clip larger than the room passes too,
    and nobody is shut out by those behind them.
    """

    def __init__(self, max_bytes: int = ROOM_BYTES, max_clips: int = ROOM_CLIPS) -> None:
        self._max_bytes = max_bytes
        self._max_clips = max_clips
        self._bytes = 0
        self._clips = [0] * len(Priority)
        self._changed = threading.Condition()

    def take(self, num_bytes: int, priority: Priority, timeout: float | None = None) -> bool:
        """Wait until there is room, at most so many seconds; whether there was."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(num_bytes, priority), timeout):
                return False
            self._bytes += num_bytes
            self._clips[priority] += 1
            return True

    def give(self, num_bytes: int, priority: Priority) -> None:
        with self._changed:
            self._bytes -= num_bytes
            self._clips[priority] -= 1
            self._changed.notify_all()

    def change(self, before: int, after: int) -> None:
        """Now that it is there, a clip holds other than was thought before; nobody waits."""
        with self._changed:
            self._bytes += after - before
            self._changed.notify_all()

    @property
    def num_clips(self) -> int:
        """Clips in flight just now."""
        return sum(self._clips)

    def _fits(self, num_bytes: int, priority: Priority) -> bool:
        share = SHARES[priority]
        return not self._clips[priority] or (
            self._bytes + num_bytes <= share * self._max_bytes
            and sum(self._clips) < share * self._max_clips
        )
