"""How far to trust one grounding."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from videogem.structures import Point


def agreement_score(
    heatmaps: Float[np.ndarray, "P H W"], weights: Sequence[float], point: Point
) -> float:
    """Height of the merged heatmap at the merged point, in [0, 1].

    It is 1 where all prompts peak at the same pixel and falls as their peaks part, which is when
    the point lands between them on something else. It ranks groundings; it is no probability.
    """
    height, width = heatmaps.shape[1:]
    column, row = min(int(point[0] * width), width - 1), min(int(point[1] * height), height - 1)
    score = np.average(heatmaps[:, row, column], weights=np.asarray(weights, dtype=float))
    return float(np.clip(score, 0.0, 1.0))
