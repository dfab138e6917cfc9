"""The shipped fit: made of the data in the repository, and taken only where it holds."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.confidence.fit import SHIPPED, write_fit
from benchmarks.confidence.groundings import drawn, outcomes
from videogem.backbones.versions import planned_version
from videogem.confidence.model import Scoring, is_calibrated
from videogem.confidence.quality import auroc
from videogem.confidence.shipped import shipped_scoring
from videogem.grounding import VideoGEM, load_grounder
from videogem.method.settings import MethodSettings
from videogem.structures import Clip


@pytest.fixture(scope="module")
def grounder() -> VideoGEM:
    return load_grounder("demo")


def numbers(data):
    if isinstance(data, dict):
        return [n for key in sorted(data) for n in numbers(data[key])]
    if isinstance(data, list):
        return [n for each in data for n in numbers(each)]
    return [data] if isinstance(data, float) else []


@pytest.mark.parametrize("model", ["demo", "demo-viclip"])
def test_the_shipped_fit_is_what_its_data_give(tmp_path, model):
    made = json.loads(write_fit(model, out=tmp_path).read_text("utf-8"))
    shipped = json.loads((SHIPPED / f"{model}.json").read_text("utf-8"))
    assert shipped_scoring(model, MethodSettings()) == Scoring.from_json(shipped)
    assert made["point"]["terms"] == shipped["point"]["terms"]
    np.testing.assert_allclose(numbers(made), numbers(shipped), rtol=0.02, atol=2e-3)


def test_a_fit_is_taken_only_where_it_holds():
    usual = MethodSettings()
    fit = shipped_scoring("demo", usual)
    assert fit is not None and fit.name == "demo"
    assert shipped_scoring("demo", replace(usual, box_threshold=0.4, words="paper")) is fit
    for other in (
        replace(usual, merge_weights=(0.0, 0.0, 1.0)),
        replace(usual, merge="maps"),
        replace(usual, inverse_temperature=5.0),
        replace(usual, method="gem"),
    ):
        assert shipped_scoring("demo", other) is None
    assert shipped_scoring("demo", usual, image_size=112) is None
    assert shipped_scoring("ViT-B-16/openai", usual) is None


def test_the_version_says_which_scores_are_chances(grounder):
    assert grounder.version == planned_version("demo")
    assert is_calibrated(grounder.version)
    assert not is_calibrated(planned_version("demo", "gem"))
    assert not is_calibrated(planned_version("demo", image_size=112))


def test_a_score_is_the_fits_chance_and_says_so(grounder):
    frame = next(iter(drawn("unseen-pairs", 1, 5)))
    fit = shipped_scoring("demo", MethodSettings())
    (grounding,) = grounder.ground(Clip.from_image(frame.image), frame.said[:1])
    assert grounding.scoring == "demo"
    assert grounding.score == fit.point.chance(grounding.signals)
    assert grounding.presence == fit.presence.chance(grounding.signals)
    (plain,) = VideoGEM(grounder.backbone).ground(Clip.from_image(frame.image), frame.said[:1])
    assert plain.scoring is None and plain.presence is None
    assert plain.score == plain.signals.height


@pytest.mark.slow
def test_on_pairs_never_seen_it_tells_hits_from_misses_and_absent_actions(grounder):
    found = outcomes(grounder, drawn("unseen-pairs", 24, 31))
    fit = shipped_scoring("demo", MethodSettings())
    scores = np.array([fit.point.chance(each) for each in found.signals])
    presence = np.array([fit.presence.chance(each) for each in found.signals])
    assert auroc(scores, found.hits) > 0.9
    assert auroc(presence, found.present) > 0.97
    assert scores.mean() == pytest.approx(found.hits.mean(), abs=0.1)
