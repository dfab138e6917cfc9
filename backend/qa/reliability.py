"""Whether a prediction's score says how likely it hits. Pure."""

import numpy as np

from backend.qa.events import Row
from backend.qa.table import NONE, Table
from backend.qa.tally import shares_of_points
from videogem.confidence.model import is_calibrated

BINS = 10


def uncalibrated(counted: Table) -> list[str]:
    """Model versions whose scores rank, but are no probabilities."""
    found = np.unique(counted["model_version"][~np.isnan(counted["score"])])
    names = [counted.vocabulary["model_version"].values[code] for code in found if code != NONE]
    return sorted(name for name in names if not is_calibrated(name))


def reliability(counted: Table) -> list[Row]:
    """Hit rate by score, in up to ten bins of about as many judged points each, lowest first.

    Points of one score stay together. Points without a score are left out.
    """
    judged = counted.take((counted["hit"] != NONE) & ~np.isnan(counted["score"]))
    if not len(judged):
        return []
    scores = judged["score"]
    edges = np.unique(np.quantile(scores, np.arange(1, BINS) / BINS, method="higher"))
    bins = np.searchsorted(edges, scores, side="right")
    shares = shares_of_points(judged, bins, judged["hit"])
    found = []
    for number, figure in sorted(shares.items()):
        inside = scores[bins == number]
        found.append(
            {
                "least": float(inside.min()),
                "most": float(inside.max()),
                "mean_score": float(inside.mean()),
                **figure,
            }
        )
    return found
