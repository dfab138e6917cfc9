"""How reliably annotators tell whether an action is in sight, without knowing the truth. Pure.

Each task has an unknown truth, each annotator a chance to see the action where it is (sensitivity)
and to say so where it is not (specificity); EM finds what fits best. Tasks with a known truth
(honeypots) keep it. Intervals are of the posterior, by Gibbs sampling: they hold what they say also
where somebody never erred.

Source: Dawid and Skene, Applied Statistics 28 (1979); the sampler is that of Paun et al., TACL 6
(2018), section 3.1, with two classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS = 200  # of EM, at most
TOLERANCE = 1e-8  # of the truths' probabilities
DRAWS, FEWEST_DRAWS, BURN_IN = 1500, 300, 100
MOST_ANSWERS = 30_000_000  # drawn in all: large projects take fewer draws, and seconds
# Beta counts of right and wrong answers before any is seen: people are right rather than wrong,
# which also says which of the two classes is which.
PRIOR = (2.0, 1.0)


@dataclass(frozen=True)
class Fit:
    """``present`` (num_tasks) is the chance that the action is there; rates are by annotator."""

    present: Floats
    sensitivity: Floats
    specificity: Floats
    prevalence: float


@dataclass(frozen=True)
class Intervals:
    """Lowest and highest plausible value by annotator, each (num_annotators, 2)."""

    sensitivity: Floats
    specificity: Floats
    correct: Floats  # chance to be right at a task as they come


def fit(answers: Floats, truth: Floats | None = None, prior: tuple[float, float] = PRIOR) -> Fit:
    """EM from the majority's answers.

    ``answers`` (num_tasks, num_annotators) are 1 for present, 0 for absent, NaN where somebody gave
    none; ``truth`` (num_tasks) alike where it is known. A prior of (1, 1) is maximum likelihood.
    """
    present = _start(answers, truth)
    for _ in range(STEPS):
        sensitivity, specificity, prevalence = _rates(answers, present, prior)
        after = _posterior(answers, sensitivity, specificity, prevalence)
        after = _known(after, truth)
        moved = float(np.abs(after - present).max(initial=0.0))
        present = after
        if moved < TOLERANCE:
            break
    return Fit(present, *_rates(answers, present, prior))


def intervals(
    answers: Floats, truth: Floats | None = None, *, confidence: float = 0.95, seed: int = 0
) -> Intervals:
    """Credible intervals of every annotator's rates."""
    rng = np.random.default_rng(seed)
    known = (~np.isnan(answers)).astype(np.float64)
    yes, no = (answers == 1).astype(np.float64), (answers == 0).astype(np.float64)
    present = fit(answers, truth).present
    kept: list[Floats] = []
    draws = int(np.clip(MOST_ANSWERS // max(1, answers.size), FEWEST_DRAWS, DRAWS))
    for draw in range(BURN_IN + draws):
        is_there = (rng.random(len(present)) < present).astype(np.float64)
        there, away = is_there @ known, (1 - is_there) @ known
        right_there, right_away = is_there @ yes, (1 - is_there) @ no
        sensitivity = rng.beta(PRIOR[0] + right_there, PRIOR[1] + there - right_there)
        specificity = rng.beta(PRIOR[0] + right_away, PRIOR[1] + away - right_away)
        prevalence = float(rng.beta(1 + is_there.sum(), 1 + (1 - is_there).sum()))
        present = _known(_posterior(answers, sensitivity, specificity, prevalence), truth)
        if draw >= BURN_IN:
            correct = prevalence * sensitivity + (1 - prevalence) * specificity
            kept.append(np.stack([sensitivity, specificity, correct]))
    ends = np.quantile(np.stack(kept), [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return Intervals(*(ends[:, k].T for k in range(3)))


def _start(answers: Floats, truth: Floats | None) -> Floats:
    counts = (~np.isnan(answers)).sum(axis=1)
    share = np.nansum(answers, axis=1) / np.maximum(counts, 1)
    return _known(np.where(counts, share, 0.5), truth)


def _known(present: Floats, truth: Floats | None) -> Floats:
    return present if truth is None else np.where(np.isnan(truth), present, truth)


def _rates(
    answers: Floats, present: Floats, prior: tuple[float, float]
) -> tuple[Floats, Floats, float]:
    """The likeliest rates where the truths are these: modes of their Beta distributions."""
    known = ~np.isnan(answers)
    there, away = present @ known, (1 - present) @ known
    right, wrong = prior[0] - 1, prior[1] - 1

    def mode(hits: Floats, of: Floats) -> Floats:
        total = of + right + wrong
        return np.where(total > 0, (hits + right) / np.where(total > 0, total, 1), 0.5)

    sensitivity = mode(present @ (answers == 1), there)
    specificity = mode((1 - present) @ (answers == 0), away)
    return sensitivity, specificity, float(present.mean()) if len(present) else 0.5


def _posterior(
    answers: Floats, sensitivity: Floats, specificity: Floats, prevalence: float
) -> Floats:
    tiny = 1e-12
    yes, no = answers == 1, answers == 0

    def log(chance: Floats | float) -> Floats:
        return np.asarray(np.log(np.clip(chance, tiny, 1)))

    there = log(prevalence) + yes @ log(sensitivity) + no @ log(1 - sensitivity)
    away = log(1 - prevalence) + no @ log(specificity) + yes @ log(1 - specificity)
    return np.asarray(1 / (1 + np.exp(np.clip(away - there, -700, 700))))
