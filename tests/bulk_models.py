"""Models for the worker processes of a bulk run, which import them by name."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.bulk.models import ModelChoice
from backend.prediction.batcher import Batcher
from tests.fakes import FakeGrounder
from videogem.errors import InputError
from videogem.structures import Clip, Grounding


class Deadly(FakeGrounder):
    """Ends its process at a certain sentence, as a crash in a library would."""

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        if "die" in narrations:
            os._exit(9)
        return super().ground(clip, narrations)


@dataclass(frozen=True)
class FakeChoice(ModelChoice):
    """Loads a fake, or what ``model`` says; its process ends only once ``ends_with`` is there."""

    ends_with: Path | None = None

    @property
    def version(self) -> str:
        return "fake-1"

    def load(self) -> Batcher:
        if self.model == "missing":
            raise InputError("The weights are missing.")
        if self.model == "broken":
            raise RuntimeError("no kernel image")
        if self.ends_with is not None:
            threading.Thread(target=_wait_for, args=(self.ends_with,)).start()
        return Batcher(Deadly())


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)
