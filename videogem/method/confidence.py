"""How far to trust one grounding."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def agreement_score(heights: Float[np.ndarray, " P"], weights: Sequence[float]) -> float:
    """Height of the merged heatmap at the merged point, in [0, 1], from that of each heatmap.

    It is 1 where all prompts peak at the same pixel and falls as their peaks part, which is when
    the point lands between them on something else. It ranks groundings; it is no probability.
    """
    score = np.average(heights, weights=np.asarray(weights, dtype=float))
    return float(np.clip(score, 0.0, 1.0))
