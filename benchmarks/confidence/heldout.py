"""How well the shipped score keeps its word on splits that its fit has not seen."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from benchmarks.confidence.groundings import Frame, Outcomes, drawn, filmed, outcomes
from benchmarks.confidence.moving import filmed_windows, moving
from videogem.confidence.model import Scoring
from videogem.confidence.quality import (
    auroc,
    calibration_error,
    grouped_interval,
    reliability,
    risk_coverage,
)
from videogem.confidence.shipped import shipped_scoring
from videogem.errors import InputError
from videogem.evaluation.calibration_picture import reliability_picture
from videogem.grounding import load_grounder
from videogem.method.settings import MethodSettings

SIZE = 220  # pixels of a picture's side


def splits(model: str, num_scenes: int, seed: int) -> Iterator[tuple[str, Iterator[Frame]]]:
    if model == "demo":
        yield "unseen pairs", drawn("unseen-pairs", num_scenes, seed)
        yield "unseen style", drawn("unseen-style", num_scenes, seed)
        yield "moving clips", filmed()
        return
    yield "unseen pairs", moving(num_scenes, seed, seen=False)
    yield "unseen style", moving(num_scenes, seed, seen=False, sheet="fluent")
    yield "moving clips", filmed_windows()


def scored(found: Outcomes, scoring: Scoring) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and chances that the action is in the frame."""
    assert scoring.presence is not None
    return (
        np.array([scoring.point.chance(each) for each in found.signals]),
        np.array([scoring.presence.chance(each) for each in found.signals]),
    )


def report(model: str, num_scenes: int, seed: int, out: Path | None = None) -> None:
    """Print a row for each split, as in docs/confidence.md; write the two pictures."""
    scoring = shipped_scoring(model, MethodSettings())
    if scoring is None:
        raise InputError(f"'{model}' has no shipped fit; make one with `features` and `fit`.")
    grounder: Any = load_grounder(model)
    curves: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for name, frames in splits(model, num_scenes, seed):
        found = outcomes(grounder, frames, seed=seed)
        scores, presence = scored(found, scoring)
        _row(name, found, scores, presence)
        covered, risk = risk_coverage(scores, found.hits)
        steps = np.unique(np.linspace(0, len(scores) - 1, 60).astype(int))
        curves += [{"split": name, "coverage": covered[i], "risk": risk[i]} for i in steps]
        bins += [
            {"split": name, "score": each.score, "right": each.share}
            for each in reliability(scores, found.hits)
        ]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        names = list(dict.fromkeys(each["split"] for each in bins))
        reliability_picture(bins, "split", names).save(
            out / "confidence_reliability.png", scale_factor=1.5
        )
        _risk(curves).save(out / "confidence_risk.png", scale_factor=1.5)


def _row(name: str, found: Outcomes, scores: np.ndarray, presence: np.ndarray) -> None:
    hits, present = found.hits, found.present

    def told(value: float, measure: Any, groups: Any = found.groups) -> str:
        low, high = grouped_interval(measure, groups)
        return f"{value:.3f} ({low:.3f} to {high:.3f})"

    own = np.flatnonzero(present)
    groups = [found.groups[i] for i in own]
    cells = [
        name,
        str(len(hits)),
        f"{100 * hits[present].mean():.1f} %",
        told(auroc(scores, hits), lambda i: auroc(scores[i], hits[i])),
        told(auroc(scores[own], hits[own]), lambda i: auroc(scores[own[i]], hits[own[i]]), groups),
        told(calibration_error(scores, hits), lambda i: calibration_error(scores[i], hits[i])),
        told(auroc(presence, present), lambda i: auroc(presence[i], present[i])),
    ]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _risk(curves: list[dict[str, Any]]) -> Any:
    return (
        alt.Chart(alt.Data(values=curves))
        .mark_line()
        .encode(
            x=alt.X("coverage:Q", title="share taken, the surest first"),
            y=alt.Y("risk:Q", title="share of these that are wrong"),
            color=_split(),
        )
        .properties(width=SIZE, height=SIZE)
    )


def _split() -> Any:
    return alt.Color("split:N", title=None, legend=alt.Legend(orient="bottom"))
