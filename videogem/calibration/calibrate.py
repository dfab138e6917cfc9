"""Corrections -> a profile, or the reason why there is none."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from videogem.calibration.candidates import Measurements
from videogem.calibration.choosing import Chosen, nested
from videogem.calibration.scores import LEAST_OUTCOMES, Rescored, rescore
from videogem.confidence.model import Scoring
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
    chosen = nested(measured, seed=seed)
    changes = dict(measured.choices[chosen.choice]) if chosen.choice else {}
    if not chosen.overlap.is_gain or chosen.hits.is_loss:
        reasons.append(
            "The settings stay: on videos held out, boxes choosing gave overlap by "
            f"{chosen.overlap.after - chosen.overlap.before:+.3f} (95 % interval "
            f"{chosen.overlap.low:+.3f} to {chosen.overlap.high:+.3f}), points hit by "
            f"{100 * (chosen.hits.after - chosen.hits.before):+.1f} %."
        )
        changes = {}
    elif not changes:
        reasons.append("The settings stay: all data together choose what is in use.")
    choice = chosen.choice if changes else 0
    rescored = _rescored(measured, choice, scoring, seed, reasons)
    if changes and rescored is None and shipped_lost(settings, changes, scoring):
        reasons.append("The settings stay: the score in use does not hold for others.")
        changes, choice = {}, 0
        rescored = None
    own = None
    if rescored is not None:
        presence = None if scoring is None or choice else scoring.presence
        own = Scoring(name, rescored.model, presence)
    return Calibration(changes, own, chosen, rescored, tuple(reasons))


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
