"""A small pointing system with predictable answers, for tests of what surrounds the method."""

from collections.abc import Sequence

import numpy as np

from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.structures import Clip, Grounding, Point, Prompts


class FakeGrounder(Grounder):
    """Points where it is told to, by narration; counts its calls."""

    def __init__(self, points: dict[str, Point] | None = None, version: str = "fake-1") -> None:
        self.points = points or {}
        self.calls: list[tuple[Clip, tuple[str, ...]]] = []
        self._version = version

    @property
    def version(self) -> str:
        return self._version

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        self.calls.append((clip, tuple(narrations)))
        return [self._ground(clip, text) for text in narrations]

    def _ground(self, clip: Clip, narration: str) -> Grounding:
        if not narration.strip():
            raise InputError("The narration is empty; give the sentence that says what to ground.")
        x, y = self.points.get(narration, (0.5, 0.25))
        rows, columns = np.mgrid[0:28, 0:28]
        peak = np.hypot((columns + 0.5) / 28 - x, (rows + 0.5) / 28 - y)
        heatmap = np.clip(1 - 2 * peak, 0, 1).astype(np.float32)
        verb, _, rest = narration.partition(" ")
        return Grounding(
            narration=narration,
            prompts=Prompts(f"{verb} something", f"using {rest}", narration, verb, rest or None),
            points={"verb": (x, y), "object": (x, y), "action": (x, y)},
            point=(x, y),
            box=(max(0.0, x - 0.1), max(0.0, y - 0.1), min(1.0, x + 0.1), min(1.0, y + 0.1)),
            score=0.75,
            heatmaps=np.stack([heatmap] * 3),
            frame_index=clip.frame_index,
            time=clip.time,
            size_wh=clip.size_wh,
            method="fake",
            model_version=self._version,
        )
