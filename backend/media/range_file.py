"""A remote file as an ordinary one: only the ranges that are read are fetched."""

import io
import os
from collections import OrderedDict
from collections.abc import Callable

BLOCK = 256 * 1024  # bytes; a seek in a video costs about one block
MAX_AHEAD = 16  # blocks a request, where a file is read from front to back
KEPT = 128  # blocks: 32 MiB


class RangeFile(io.RawIOBase):
    """Reads through ``fetch(start, stop)``, which gives the bytes from start up to stop.

    Whoever makes it brings checks, limits and tokens in ``fetch``; its errors come through as they
    are. Not for several threads at once.
    """

    def __init__(self, size: int, fetch: Callable[[int, int], bytes], *, name: str = "") -> None:
        super().__init__()
        self.name = name
        self._size = size
        self._fetch = fetch
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next = -1  # the block after the last one fetched
        self._ahead = 1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek to {origin + offset}, before the start of the file")
        self._place = origin + offset
        return self._place

    def readinto(self, buffer: "bytearray | memoryview", /) -> int:  # type: ignore[override]  # typeshed's Buffer cannot be sliced
        """Fill the buffer up to the end of one block, as raw files may."""
        view = memoryview(buffer).cast("B")
        if self._place >= self._size or not len(view):
            return 0
        number, begin = divmod(self._place, BLOCK)
        part = self._block(number)[begin : begin + len(view)]
        view[: len(part)] = part
        self._place += len(part)
        return len(part)

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._load(number)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _load(self, number: int) -> None:
        """Fetch a block, and more with it the longer the file is read in one go."""
        self._ahead = min(2 * self._ahead, MAX_AHEAD) if number == self._next else 1
        start = number * BLOCK
        stop = min(start + self._ahead * BLOCK, self._size)
        data = self._fetch(start, stop)
        if len(data) != stop - start:
            raise OSError(f"asked for bytes {start} to {stop}, got {len(data)} bytes")
        for place in range(0, len(data), BLOCK):
            self._blocks[number + place // BLOCK] = data[place : place + BLOCK]
        self._next = number + -(-len(data) // BLOCK)
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
