"""Corrections -> a profile, or the reason why there is none."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from videogem.calibration.candidates import Measurements
from videogem.calibration.choosing import ENDS, LEVEL, Chosen, Difference, nested
from videogem.calibration.scores import LEAST_OUTCOMES, Rescored, rescore
from videogem.confidence.model import Logistic, Scoring, table
from videogem.method.settings import MethodSettings

LEAST_SAMPLES = 50
LEAST_VIDEOS = 10


@dataclass(frozen=True)
class Calibration:
    """What the corrections gave: changes of the settings, a score, and what was refused, why."""

    settings: dict[str, Any]  # changes; empty: as they are
    scoring: Scoring | None  # None: as it is
    chosen: Chosen | None
    rescored: Rescored | None
    reasons: tuple[str, ...]

    @property
    def is_gain(self) -> bool:
        return bool(self.settings) or self.scoring is not None


def calibrate(
    measured: Measurements,
    settings: MethodSettings,
    scoring: Scoring | None,
    name: str,
    *,
    seed: int = 0,
) -> Calibration:
    """Choose settings and fit the score, each only if data without a say confirm it.

    ``scoring`` is what makes the scores in use. Settings that move points or signals need a score
    of their own, so they are only taken together with one.
    """
    count, videos = len(measured.videos), len(set(measured.videos))
    if count < LEAST_SAMPLES or videos < LEAST_VIDEOS:
        reason = (
            f"{count} corrections of {videos} videos are too few: at least {LEAST_SAMPLES} of "
            f"{LEAST_VIDEOS} videos are needed to choose with some and judge with others."
        )
        return Calibration({}, None, None, None, (reason,))
    reasons: list[str] = []
    chosen, changes = _chosen(measured, seed, reasons)
    choice = chosen.choice if changes else 0
    about_score: list[str] = []
    rescored = _rescored(measured, choice, scoring, seed, about_score)
    lost = rescored is None or rescored.brier.is_loss
    if changes and lost and shipped_lost(settings, changes, scoring):
        reasons.append(
            "Only other box thresholds come into question: the score in use does not hold for "
            "other settings, and none as good could be fitted for them."
        )
        chosen, changes = _chosen(measured, seed, reasons, _same_points(measured))
        choice, about_score = chosen.choice if changes else 0, []
        rescored = _rescored(measured, choice, scoring, seed, about_score)
    reasons += about_score
    own = None
    if rescored is not None:
        presence = None if scoring is None else scoring.presence
        if presence is not None and not _is_same(presence, measured, choice):
            presence = None
        own = Scoring(name, rescored.model, presence)
    return Calibration(changes, own, chosen, rescored, tuple(reasons))


def _chosen(
    measured: Measurements, seed: int, reasons: list[str], among: list[int] | None = None
) -> tuple[Chosen, dict[str, Any]]:
    """A choice and what it changes: nothing, with the reason, where that is no gain."""
    chosen = nested(measured, seed=seed, among=among)
    if not chosen.is_gain:
        reasons.append(
            "The settings stay: on videos held out, choosing changed the overlap of boxes by "
            f"{_told(chosen.overlap, 1)} and the share of points that hit by "
            f"{_told(chosen.hits, 100)} %. A gain is one of them better beyond chance "
            f"({100 * LEVEL:g} % interval, as there are {ENDS}) and none worse."
        )
        return chosen, {}
    if not chosen.choice:
        reasons.append("The settings stay: all data together choose what is in use.")
        return chosen, {}
    return chosen, dict(measured.choices[chosen.choice])


def _same_points(measured: Measurements) -> list[int]:
    """Choices that leave every point and signal as in use: another box threshold at most."""
    in_use = {**measured.choices[0], "box_threshold": None}
    return [
        number
        for number, each in enumerate(measured.choices)
        if {**each, "box_threshold": None} == in_use
    ]


def shipped_lost(
    settings: MethodSettings, changes: dict[str, Any], scoring: Scoring | None
) -> bool:
    """Whether the score in use does not hold for the changed settings."""
    moved = {**changes, "box_threshold": settings.box_threshold}
    return scoring is not None and replace(settings, **moved) != settings


def _rescored(
    measured: Measurements,
    choice: int,
    scoring: Scoring | None,
    seed: int,
    reasons: list[str],
) -> Rescored | None:
    hits = measured.hits[:, choice]
    misses = int((~hits).sum())
    if min(misses, len(hits) - misses) < LEAST_OUTCOMES:
        reasons.append(
            f"The score stays: {len(hits) - misses} hits and {misses} misses; at least "
            f"{LEAST_OUTCOMES} of each are needed."
        )
        return None
    signals = measured.signals_of(choice)
    in_use = measured.signals_of(0)
    base = None if scoring is None else scoring.point
    before = np.array([s.height if base is None else base.chance(s) for s in in_use])
    found = rescore(
        signals, hits, (before, measured.hits[:, 0]), measured.clusters, base, seed=seed
    )
    if choice == 0 and found.brier.after <= found.brier.before:
        reasons.append(
            "The score stays: on videos held out a new one is no closer to the outcomes (mean "
            f"squared error {1 - found.brier.before:.3f}, then {1 - found.brier.after:.3f})."
        )
        return None
    return found


def _is_same(model: Logistic, measured: Measurements, choice: int) -> bool:
    """Whether a choice leaves every signal that a model looks at."""
    before, after = (table(measured.signals_of(c), list(model.means)) for c in (0, choice))
    return bool(np.allclose(before, after, rtol=0, atol=1e-4))


def _told(change: Difference, scale: int) -> str:
    low, high = scale * change.low, scale * change.high
    return f"{scale * (change.after - change.before):+.3g} ({low:+.3g} to {high:+.3g})"
