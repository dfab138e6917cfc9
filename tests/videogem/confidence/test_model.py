"""The two logistic models as they are read, asked and written down."""

import copy
import json
import math

import pytest

from videogem.confidence.model import FARTHEST, Logistic, Scoring, is_calibrated
from videogem.errors import InputError
from videogem.structures import Signals

SIGNALS = Signals(0.9, 0.8, 0.3, 0.1, 0.2, 0.21, 0.22, 0.01, 0.08)


def logistic(**fields):
    usual = {
        "terms": (("action",), ("action", "height")),
        "means": {"action": 0.12, "height": 0.5},
        "deviations": {"action": 0.05, "height": 0.2},
        "weights": (1.5, -0.5),
        "intercept": 0.25,
    }
    return Logistic(**(usual | fields))


def scoring():
    return Scoring("mine", logistic(), logistic(intercept=-1.0))


def test_the_chance_is_what_the_formula_says():
    action, height = (0.22 - 0.12) / 0.05, (0.8 - 0.5) / 0.2
    total = 0.25 + 1.5 * action - 0.5 * action * height
    assert logistic().chance(SIGNALS) == pytest.approx(1 / (1 + math.exp(-total)))


def test_far_from_what_the_fit_saw_nothing_is_extrapolated():
    one = logistic(terms=(("action",),), weights=(1.5,))
    far = Signals(0.9, 0.8, 0.3, 0.1, 0.2, 0.21, 50.0, 0.01, 0.08)
    assert one.chance(far) == pytest.approx(1 / (1 + math.exp(-(0.25 + 1.5 * FARTHEST))))
    steep = logistic(weights=(1e6, 1e6))
    assert 0 < steep.chance(SIGNALS) < 1


def test_what_is_written_is_read_again():
    written = json.loads(json.dumps(scoring().as_json()))
    again = Scoring.from_json(written)
    assert again.digest == scoring().digest
    assert again.point.chance(SIGNALS) == scoring().point.chance(SIGNALS)


def test_the_digest_is_of_everything_that_changes_a_score():
    digests = {
        scoring().digest,
        Scoring("other", logistic(), logistic(intercept=-1.0)).digest,
        Scoring("mine", logistic(intercept=0.26), logistic(intercept=-1.0)).digest,
        Scoring("mine", logistic(), logistic()).digest,
    }
    assert len(digests) == 4
    assert is_calibrated("videogem-1/demo/videogem-abc" + scoring().suffix)
    assert not is_calibrated("videogem-1/demo/videogem-abc")


def damaged(change):
    data = json.loads(json.dumps(scoring().as_json()))
    change(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        damaged(lambda d: d.pop("presence")),
        damaged(lambda d: d["point"].update(weights=[1.0])),
        damaged(lambda d: d["point"].update(intercept="nan")),
        damaged(lambda d: d["point"]["deviations"].update(action=0)),
        damaged(lambda d: d["point"].update(terms=[["score"], ["action"]])),
        damaged(lambda d: d["point"]["means"].pop("height")),
    ],
)
def test_a_damaged_scoring_is_refused_and_said(data):
    with pytest.raises(InputError, match="no scoring as videogem writes it"):
        Scoring.from_json(copy.deepcopy(data))
