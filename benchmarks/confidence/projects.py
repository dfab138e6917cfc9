"""Simulated projects: is calibration a gain where it says so, and is it never a loss?

Each project has 200 corrections of whole scenes, drawn from a pool of groundings under all choices;
`videogem.calibration` chooses and fits with these, and everything else of the pool judges.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.confidence.groundings import drawn
from videogem.calibration.calibrate import Calibration, calibrate
from videogem.calibration.candidates import LAYERS, Measurements, Sample, choices_of, measure
from videogem.calibration.choosing import compare
from videogem.confidence.model import Logistic, Scoring
from videogem.confidence.quality import calibration_error
from videogem.confidence.shipped import shipped_scoring
from videogem.grounding import VideoGEM
from videogem.method.settings import MethodSettings
from videogem.structures import Clip, Signals

CORRECTIONS = 200
NAMES = tuple(Signals.__dataclass_fields__)[:9]


def make_pool(
    grounder: VideoGEM, path: Path, style: int, pairs: int, seed: int, layers: int
) -> None:
    """Ground scenes of the unseen style and of unseen pairs under every choice, and keep it.

    ``layers`` is how many of `LAYERS` are among the choices, from the first.
    """
    frames = [*drawn("unseen-style", style, seed), *drawn("unseen-pairs", pairs, seed)]
    found = measure(
        grounder,
        (
            Sample(Clip.from_image(frame.image), text, (box,), frame.name)
            for frame in frames
            for text, box in zip(frame.said, frame.boxes, strict=True)
        ),
        layers=LAYERS[:layers],
    )
    rows = [[[getattr(s, n) for n in NAMES] for s in own] for own in found.signals]
    np.savez_compressed(
        path,
        hits=found.hits,
        overlaps=found.overlaps.astype(np.float32),
        signals=np.array(rows, np.float32),
        videos=found.videos,
        layers=layers,
    )


def read_pool(path: Path) -> Measurements:
    with np.load(path) as kept:
        signals = tuple(tuple(Signals(*map(float, row)) for row in own) for own in kept["signals"])
        return Measurements(
            choices_of(MethodSettings(), LAYERS[: int(kept["layers"])]),
            kept["hits"],
            kept["overlaps"].astype(float),
            signals,
            tuple(kept["videos"].tolist()),
        )


def simulate(pool: Measurements, runs: int, seed: int) -> list[dict[str, Any]]:
    """What calibration did in each project, judged by the rest of the pool."""
    scoring = shipped_scoring("demo", MethodSettings())
    rows = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        order = rng.permutation(int(pool.clusters.max()) + 1)
        ranks = np.argsort(order)[pool.clusters]
        learned = np.argsort(ranks, kind="stable")[:CORRECTIONS]
        rest = np.flatnonzero(ranks > ranks[learned].max())
        made = calibrate(pool.take(learned), MethodSettings(), scoring, "p", seed=run)
        rows.append(_judged(pool.take(rest), made, scoring))
    return rows


def _judged(rest: Measurements, made: Calibration, scoring: Scoring | None) -> dict[str, Any]:
    assert scoring is not None
    choice = made.chosen.choice if made.settings and made.chosen else 0
    model = scoring.point if made.scoring is None else made.scoring.point
    before = _chances(scoring.point, rest.signals_of(0))
    after = _chances(model, rest.signals_of(choice))
    hits, hits_before = rest.hits[:, choice], rest.hits[:, 0]
    return {
        "settings": bool(made.settings),
        "score": made.scoring is not None,
        "overlap": compare(rest.overlaps[:, 0], rest.overlaps[:, choice], rest.clusters),
        "hits": compare(hits_before, hits, rest.clusters),
        "brier": compare(1 - (before - hits_before) ** 2, 1 - (after - hits) ** 2, rest.clusters),
        "error": (calibration_error(before, hits_before), calibration_error(after, hits)),
    }


def _chances(model: Logistic, signals: list[Signals]) -> np.ndarray:
    return np.array([model.chance(each) for each in signals])


def tell(name: str, rows: list[dict[str, Any]]) -> None:
    """A line for docs/confidence.md."""
    errors = np.array([row["error"] for row in rows])

    def mean(key: str, part: str) -> float:
        return float(np.mean([getattr(row[key], part) for row in rows]))

    losses = {key: sum(row[key].is_loss for row in rows) for key in ("overlap", "hits", "brier")}
    gains = {key: sum(row[key].is_gain for row in rows) for key in ("overlap", "hits", "brier")}
    cells = [
        name,
        str(len(rows)),
        f"{sum(row['settings'] for row in rows)}, {sum(row['score'] for row in rows)}",
        f"{mean('overlap', 'before'):.3f} to {mean('overlap', 'after'):.3f}",
        f"{gains['overlap']} better, {losses['overlap']} worse",
        f"{100 * mean('hits', 'before'):.1f} to {100 * mean('hits', 'after'):.1f} %",
        f"{gains['hits']} better, {losses['hits']} worse",
        f"{errors[:, 0].mean():.3f} to {errors[:, 1].mean():.3f}",
        f"{int((errors[:, 1] <= 0.05).sum())}",
        f"{gains['brier']} better, {losses['brier']} worse",
    ]
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def tell_choices(pool: Measurements) -> None:
    """A line for every choice, the most overlap first: what choosing could give at best."""
    for choice in np.argsort(-pool.overlaps.mean(axis=0), kind="stable").tolist():
        overlap = compare(pool.overlaps[:, 0], pool.overlaps[:, choice], pool.clusters)
        hits = compare(pool.hits[:, 0], pool.hits[:, choice], pool.clusters)
        cells = [
            ", ".join(f"{name} {value}" for name, value in pool.choices[choice].items()),
            f"{overlap.after:.3f}",
            f"{overlap.low:+.3f} to {overlap.high:+.3f}",
            f"{100 * hits.after:.1f} %",
            f"{100 * hits.low:+.1f} to {100 * hits.high:+.1f}",
        ]
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
