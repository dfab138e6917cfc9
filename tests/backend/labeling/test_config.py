"""Labeling configs: what is found in them, and what is refused in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labeling.attributes import ATTRIBUTES, Attribute
from backend.labeling.config import parse_labeling
from backend.labeling.ready import ready_config, ready_configs
from backend.labeling.targets import fill
from videogem.errors import InputError

IMAGE = '<Image name="i" value="$pic"/>'
POINT = '<KeyPointLabels name="k" toName="i"><Label value="a"/></KeyPointLabels>'


def view(*tags: str, **attributes: str) -> str:
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<View{given}>{''.join(tags)}</View>"


@pytest.mark.parametrize("name", ready_configs())
def test_ready_configs_have_no_problems_and_nothing_left_alone(name: str) -> None:
    labeling = parse_labeling(ready_config(name))
    assert (labeling.problems, labeling.notes) == ((), ())
    assert labeling.targets


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ('<Text name="t" value="$what"/>', "what"),
        ('<Text name="u" value="$url"/><Text name="t" value="$caption"/>', "caption"),
        ('<Header value="$what"/>', "what"),
        ('<Header value="Point at it"/><Text name="t" value="$what"/>', "what"),
        ('<Paragraphs name="p" value="$cues"/>', "cues"),
        ('<TextArea name="t" toName="i" value="$what"/>', "what"),
    ],
)
def test_the_narration_is_what_the_config_shows(tags: str, field: str) -> None:
    [target] = parse_labeling(view(IMAGE, tags, POINT)).targets
    assert (target.narration_field, target.labels_are) == (field, "narration")


def test_the_narration_can_be_told() -> None:
    config = view(IMAGE, '<Text name="t" value="$a"/>', POINT, model_narration="$b")
    assert parse_labeling(config).targets[0].narration_field == "b"


def test_without_narration_the_labels_are_actions() -> None:
    assert parse_labeling(view(IMAGE, POINT)).targets[0].labels_are == "actions"


def test_several_images_are_targets_of_their_own() -> None:
    config = view(
        IMAGE, '<Image name="j" value="$other"/>', POINT, '<Rectangle name="r" toName="j"/>',
        '<Text name="t" value="$t"/>',
    )  # fmt: skip
    found = [
        (target.source.value, [control.name for control in target.controls])
        for target in parse_labeling(config).targets
    ]
    assert found == [("$pic", ["k"]), ("$other", ["r"])]


def test_labels_have_aliases_and_other_names() -> None:
    labels = '<Label value="Cut" alias="c1" predicted_values="slice, chop"/>'
    config = view(IMAGE, f'<KeyPointLabels name="k" toName="i">{labels}</KeyPointLabels>')
    [label] = parse_labeling(config).targets[0].controls[0].labels
    assert (label.value, label.names) == ("c1", ("slice", "chop", "cut", "c1"))


def test_the_nearest_attribute_wins() -> None:
    config = view(
        '<Image name="i" value="$pic" model_score_threshold="0.2"/>',
        '<Rectangle name="r" toName="i"/>',
        '<KeyPoint name="k" toName="i" model_score_threshold="0.3"/>',
        '<Text name="t" value="$t"/>',
        model_score_threshold="0.1",
    )
    thresholds = [
        control.options["model_score_threshold"]
        for control in parse_labeling(config).targets[0].controls
    ]
    assert thresholds == [0.2, 0.3]


def test_the_version_changes_with_attributes_alone() -> None:
    plain = parse_labeling(view(IMAGE, POINT))
    other = parse_labeling(view(IMAGE, POINT.replace('"a"', '"b"')))
    chosen = parse_labeling(view(IMAGE, POINT, model_box_threshold="0.4"))
    assert plain.version_suffix == other.version_suffix == ""
    assert chosen.version_suffix.startswith("+")


@pytest.mark.parametrize("config", ["", "<View></View>", "<View><Header value='hi'/></View>"])
def test_an_empty_config_is_not_refused(config: str) -> None:
    labeling = parse_labeling(config)
    assert (labeling.problems, labeling.targets) == ((), ())
    assert labeling.notes


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View>", "not XML"),
        (view('<Text name="t" value="$t"/>', '<Choices name="c" toName="t"/>'), "no labels"),
        (view('<Audio name="a" value="$a"/>', '<Labels name="l" toName="a"/>'), "no Image"),
        (view(IMAGE), "no control that can be filled"),
        (view(IMAGE, '<EllipseLabels name="e" toName="i"/>'), "EllipseLabels"),
        (view(IMAGE, '<KeyPoint name="k" toName="picture"/>'), "picture"),
        (view(IMAGE, '<KeyPointLabels name="k" toName="i"/>'), "no labels"),
        (view(IMAGE, '<KeyPoint name="k" toName="i"/>'), "neither a narration nor labels"),
        (view('<Image name="i" value="a.jpg"/>', POINT), "names no task field"),
        (view(IMAGE, POINT, model_labels="narration"), "no Text tag"),
        (view(IMAGE, POINT, model_colour="red"), "model_colour"),
    ],
)  # fmt: skip
def test_what_can_never_work_is_refused_in_words(config: str, words: str) -> None:
    labeling = parse_labeling(config)
    with pytest.raises(InputError, match=words):
        labeling.require()
    assert "<" not in " ".join(labeling.problems).replace("<View", "")


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_every_attribute_is_checked(attribute: Attribute) -> None:
    name = attribute.name
    labeling = parse_labeling(view(IMAGE, POINT, **{name: ""}))
    assert name in " ".join(labeling.problems)
    assert "got ''" in " ".join(labeling.problems)


def test_a_skipped_control_is_left_alone() -> None:
    config = view(IMAGE, POINT, '<Rectangle name="r" toName="i" model_skip="true"/>')
    [target] = parse_labeling(config).targets
    assert [control.name for control in target.controls] == ["k"]


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("$pic", {"pic": ["a"]}, ["a"]),
        ("$clip.frame", {"clip": {"frame": "a"}}, "a"),
        ("$clips[1].frame", {"clips": [0, {"frame": "b"}]}, "b"),
        ("$a.b", {"a.b": "flat"}, "flat"),
        ("http://h/${id}.jpg", {"id": 7}, "http://h/7.jpg"),
    ],
)
def test_fields_are_filled_in(value: str, data: dict[str, object], expected: object) -> None:
    assert fill(value, data) == expected


def test_a_missing_field_is_told_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'pic'.*frame, narration"):
        fill("$pic", {"narration": "", "frame": ""})


@given(st.text(max_size=200))
def test_nothing_breaks_the_parser(text: str) -> None:
    parse_labeling(text)
    parse_labeling(f"<View>{text}</View>")
