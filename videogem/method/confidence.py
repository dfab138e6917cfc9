"""How far to trust one grounding."""

import math
from collections.abc import Sequence


def agreement_score(heights: Sequence[float], weights: Sequence[float]) -> float:
    """Height of the merged heatmap at the merged point, in [0, 1], from that of each heatmap.

    It is 1 where all prompts peak at the same pixel and falls as their peaks part, which is when
    the point lands between them on something else. It ranks groundings; it is no probability.
    """
    score = math.fsum(h * w for h, w in zip(heights, weights, strict=True)) / math.fsum(weights)
    return min(max(float(score), 0.0), 1.0)
