"""Moments of files as a job of a cluster: decoded by some workers, grounded by others."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.bulk.jobs import BulkJob
from backend.bulk.local import result_of
from backend.bulk.models import ModelChoice
from backend.bulk.reading import read_unit
from backend.bulk.rows import Read, Row
from backend.bulk.units import Failure, Unit, failure
from backend.prediction.batcher import Batcher
from backend.prediction.questions import Priority, Question


@dataclass(frozen=True)
class GroundingJob(BulkJob):
    """Units become rows and failures."""

    choice: ModelChoice
    num_frames: int = 1  # that the model looks at in a clip

    def prepared(self) -> "GroundingJob":
        return replace(self, num_frames=self.choice.load().num_frames)

    def read(self, item: Unit) -> list[Read | Failure]:
        if unseen := [path for path in item.paths if not _is_there(path)]:
            reason = (
                f"The machine '{platform.node()}' has no file '{unseen[0]}': sources must have the "
                "same path on every machine of a cluster."
            )
            return [failure(item.source, ask, reason) for ask in item.asks]
        return list(read_unit(item, self.num_frames, encoded=self.choice.jpeg == "gpu"))

    def load(self) -> Callable[[Sequence[Sequence[Read | Failure]]], list[list[Row | Failure]]]:
        batcher = self.choice.load()
        return lambda items: ground_read(items, batcher)

    def split(self, item: Unit) -> list[Unit]:
        return [replace(item, asks=(ask,)) for ask in item.asks]

    def lost(self, item: Unit, reason: str) -> list[Failure]:
        return [failure(item.source, ask, reason) for ask in item.asks]


def sent_from(folder: Path, units: Sequence[Unit]) -> list[Unit]:
    """Units as workers in folders of their own can read them; rows name files as ever."""
    return [replace(unit, folder=str(folder.absolute())) for unit in units]


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # there, and not to be read: whoever reads it says why
        return True


def ground_read(
    items: Sequence[Sequence[Read | Failure]], batcher: Batcher
) -> list[list[Row | Failure]]:
    """The results of units that were read, grounded together."""
    asked = [
        [
            one
            if isinstance(one, Failure)
            else (one, batcher.ask(Question(one.clip, [one.ask.narration]), Priority.JOBS))
            for one in item
        ]
        for item in items
    ]
    return [
        [one if isinstance(one, Failure) else result_of(*one) for one in item] for item in asked
    ]
