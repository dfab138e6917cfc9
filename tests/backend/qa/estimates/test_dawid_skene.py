"""Who tells whether an action is in sight: as crowd-kit has it, and with intervals that hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from backend.qa.estimates import dawid_skene
from backend.qa.estimates.dawid_skene import fit, intervals

GOLDEN = Path(__file__).parents[3] / "data" / "annotators" / "dawid_skene.json"
SENSITIVITY, SPECIFICITY = np.array([0.95, 0.9, 0.8, 0.98]), np.array([0.9, 0.95, 0.85, 0.97])


def team(tasks, seed, answers_each=3):
    """Truth (num_tasks) and answers (num_tasks, 4)."""
    rng = np.random.default_rng(seed)
    truth = rng.random(tasks) < 0.7
    right = rng.random((tasks, 4)) < np.where(truth[:, None], SENSITIVITY, SPECIFICITY)
    answers = np.where(right, truth[:, None], ~truth[:, None]).astype(np.float64)
    for row in answers:
        row[rng.permutation(4)[answers_each:]] = np.nan
    return truth, answers


def test_the_likeliest_rates_are_those_of_crowd_kit():
    golden = json.loads(GOLDEN.read_text())
    answers = np.full((60, 4), np.nan)
    for task, worker, label in golden["answers"]:
        answers[task, worker] = label
    found = fit(answers, prior=(1.0, 1.0))
    for name in ("present", "sensitivity", "specificity", "prevalence"):
        np.testing.assert_allclose(getattr(found, name), golden[name], atol=2e-3, err_msg=name)


def test_honeypots_are_never_doubted():
    # Everybody is wrong at the honeypots of two tasks; without them they would be believed.
    answers = np.ones((40, 3))
    truth = np.full(40, np.nan)
    truth[:20] = 0
    found = fit(answers, truth)
    assert found.present[:20].tolist() == [0.0] * 20
    assert (found.specificity < 0.2).all()


def test_who_answered_nothing_has_no_say():
    answers = np.column_stack([np.ones(30), np.ones(30), np.full(30, np.nan)])
    found = intervals(answers)
    assert np.ptp(found.sensitivity[2]) > 0.7
    assert np.ptp(found.sensitivity[0]) < 0.2


def test_intervals_hold_what_they_say(monkeypatch):
    """With the fewest draws, which a large project takes, too."""
    monkeypatch.setattr(dawid_skene, "DRAWS", dawid_skene.FEWEST_DRAWS)
    inside = []
    for seed in range(60):
        _, answers = team(120, seed)
        found = intervals(answers, seed=seed)
        for ends, true in (
            (found.sensitivity, SENSITIVITY), (found.specificity, SPECIFICITY),
            (found.correct, 0.7 * SENSITIVITY + 0.3 * SPECIFICITY),
        ):  # fmt: skip
            inside += ((ends[:, 0] <= true) & (true <= ends[:, 1])).tolist()
    assert np.mean(inside) >= 0.92


@pytest.mark.parametrize("answers", [np.zeros((0, 2)), np.full((3, 2), np.nan)])
def test_nothing_is_no_error(answers):
    found = intervals(answers)
    assert found.correct.shape == (2, 2)
