"""Methods by their names."""

import pytest

from videogem.errors import InputError
from videogem.evaluation.methods import parse_method


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("videogem", {"weights": "combined", "merge_weights": (0.2, 0.2, 0.6)}),
        ("videogem:static", {"weights": "static"}),
        ("videogem:verb,avg-map", {"merge_weights": (1.0, 0.0, 0.0), "merge": "maps"}),
        ("videogem:merge_weights=1/1/3,depth=6,weights=none", {"depth": 6, "weights": "none"}),
        ("gem:inverse_temperature=15", {"inverse_temperature": 15.0}),
        ("gem:temperature=15", {"inverse_temperature": 15.0}),  # its former name
        ("gem6", {"prompt_weights": (0.0, 0.0, 1.0)}),
        ("videogem:scope=official-eval", {"scope": "official-eval"}),
    ],
)
def test_method_names(text, expected):
    spec = parse_method(text)
    assert spec.name == text
    for name, value in expected.items():
        assert getattr(spec.settings, name) == value


@pytest.mark.parametrize(
    "text", ["gems", "videogem:statics", "videogem:colour=red", "videogem:depth=many", ""]
)
def test_unknown_methods_are_told(text):
    with pytest.raises(InputError):
        parse_method(text)


def test_baselines_use_the_action_prompt_alone():
    for name in ("clip", "maskclip", "clip_surgery", "gem6", "gem"):
        assert parse_method(name).settings.prompt_weights == (0.0, 0.0, 1.0)


def test_label_style_and_spacy_model_are_settings_of_a_method():
    spec = parse_method("videogem:label_style=camel", spacy_model="xx_ent_wiki_sm")
    assert (spec.settings.label_style, spec.settings.spacy_model) == ("camel", "xx_ent_wiki_sm")
    assert parse_method("clip:words=everyday", words="paper").settings.words == "everyday"
    with pytest.raises(InputError, match="label_style must be one of"):
        parse_method("videogem:label_style=snake")
