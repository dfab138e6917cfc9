"""How often predictions hit, as a smooth curve over strata of rising score. Pure."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STEPS = 25  # of Newton; each is at most 1
SLOPE = 1.0  # where the weak prior of the slope lies: a score of AUROC about .76


def edges_of(scores: Floats, most: int) -> Floats:
    """Inner edges that cut scores into at most so many strata of about equal size.

    Scores that are the same stay together, so there may be fewer.
    """
    inner = np.quantile(scores, np.arange(1, most) / most, method="higher")
    return np.asarray(np.unique(inner[inner > scores.min()]), dtype=np.float64)


def strata_of(scores: Floats, edges: Floats) -> Ints:
    """The stratum of each score, counted from the lowest."""
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def hit_curve(hits: Floats, reviews: Floats, sizes: Floats) -> Floats:
    """Chance of a hit in each stratum: logistic in the normal score of the stratum's middle rank.

    ``hits`` of ``reviews`` are counts by stratum, which may be fractions; ``sizes`` is how many
    predictions a stratum holds. Two parameters for all strata together: what is reviewed next must
    hardly hang on what one stratum's own reviews found, or strata that looked good by luck are
    never looked at again and the estimate is too high.

    Weak priors (half an observation of each kind for the level, a normal one for the slope) keep it
    finite where all reviews hit.
    """
    from scipy.special import expit, logit, ndtri

    ends = np.cumsum(sizes)
    middles = (ends - sizes / 2) / ends[-1]
    z = ndtri(middles)
    level = float(logit((hits.sum() + 0.5) / (reviews.sum() + 1)))
    slope = SLOPE / 2
    for _ in range(STEPS):
        chance = expit(level + slope * z)
        weight = np.maximum(reviews * chance * (1 - chance), 1e-9)
        rest = hits - reviews * chance
        down_level = rest.sum() + 0.5 - expit(level)
        down_slope = (rest * z).sum() - (slope - SLOPE)
        a, b, c = weight.sum() + 0.25, (weight * z).sum(), (weight * z * z).sum() + 1
        determinant = a * c - b * b
        level += float(np.clip((c * down_level - b * down_slope) / determinant, -1, 1))
        slope += float(np.clip((a * down_slope - b * down_level) / determinant, -1, 1))
    return np.asarray(expit(level + slope * z), dtype=np.float64)
