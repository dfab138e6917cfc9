"""Before and after a calibration, on videos that had no say: does the score keep its word?"""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from videogem.calibration.calibrate import Calibration
from videogem.calibration.candidates import Measurements
from videogem.confidence.quality import reliability

SIDE = 220  # pixels
FILE = "calibration.png"


def write_picture(measured: Measurements, found: Calibration, folder: Path) -> Path:
    """Draw the reliability of the scores before and after; returns the file."""
    assert found.rescored is not None
    choice = found.chosen.choice if found.settings and found.chosen else 0
    rows: list[dict[str, Any]] = []
    for name, chances, hits in (
        ("before", found.rescored.chances_before, measured.hits[:, 0]),
        ("after", found.rescored.chances, measured.hits[:, choice]),
    ):
        bins = reliability(np.asarray(chances), hits, bins=8)
        rows += [{"when": name, "score": each.score, "right": each.share} for each in bins]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    reliability_picture(rows, "when", ["before", "after"]).save(path, scale_factor=1.5)
    return path


def reliability_picture(rows: list[dict[str, Any]], key: str, order: list[str]) -> Any:
    """Share of right points by score; on the dashed line a score keeps its word."""
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("score:Q", title="score", scale=scale)
    y = alt.Y("right:Q", title="share of points that are right", scale=scale)
    ends = alt.InlineData([{"score": 0, "right": 0}, {"score": 1, "right": 1}])
    diagonal = alt.Chart(ends).mark_line(strokeDash=[4, 4], color="grey").encode(x=x, y=y)
    legend = alt.Legend(orient="bottom")
    colour = alt.Color(f"{key}:N", title=None, sort=order, legend=legend)
    found = alt.Chart(alt.InlineData(rows)).mark_line(point=True).encode(x=x, y=y, color=colour)
    return (diagonal + found).properties(width=SIDE, height=SIDE)
