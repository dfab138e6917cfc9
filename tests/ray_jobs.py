"""Jobs that Ray's workers can import: they read, work, fail and die as their items say."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backend.bulk.jobs import BulkJob
from videogem.errors import InputError

Item = tuple[tuple[int, str], ...]  # numbers, each with what happens to it


class Doubling(BulkJob):
    """An item is some numbers, a result each of them twice; ``log`` has a file for each call."""

    def __init__(self, log: Path, *, ready: bool = True) -> None:
        self.log = log
        self.ready = ready

    def prepared(self) -> "Doubling":
        if not self.ready:
            raise InputError("There are no weights.")
        return self

    def read(self, item: Item) -> Item:
        for number, fate in item:
            self._note(f"read {number}")
            if fate == "kills its reader":
                os._exit(1)
            if fate == "breaks its reader":
                raise ZeroDivisionError("while reading")
        return item

    def load(self) -> Callable[[Sequence[Item]], list[list[Any]]]:
        return lambda items: [[self._double(*each) for each in item] for item in items]

    def _double(self, number: int, fate: str) -> tuple[int, int]:
        tries = self._note(f"try {number}")
        if fate == "kills" or (fate == "kills once" and tries == 1):
            os._exit(1)
        if fate == "breaks":
            raise ZeroDivisionError("while working")
        if fate == "sleeps":
            time.sleep(3600)
        return number, 2 * number

    def split(self, item: Item) -> list[Item]:
        return [(each,) for each in item]

    def lost(self, item: Item, reason: str) -> list[tuple[int, str]]:
        return [(number, reason) for number, _ in item]

    def tries(self, number: int, what: str = "try") -> int:
        return len(list(self.log.glob(f"{what} {number}.*")))

    def _note(self, name: str) -> int:
        (self.log / f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()
        return len(list(self.log.glob(f"{name}.*")))
