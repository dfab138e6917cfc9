"""Labeling configs that somebody made to hurt: refused in words, in little time and memory."""

import sys
import tracemalloc
from itertools import pairwise

import pytest

from backend.labeling.config import parse_labeling
from backend.labeling.tags import MAX_TAGS
from backend.labeling.targets import MAX_FILLED_CHARS, fill
from videogem.errors import InputError

IMAGE = '<Image name="i" value="$pic"/>'
OPEN = '<KeyPointLabels name="k" toName="i"><Label value="a"/>'
BOMB = (
    '<!DOCTYPE View [<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(f"a{k}" for k in range(12)))
    + ']><View><Header value="&a11;"/></View>'
)
MANY_LABELS = '<Label value="b"/>' * 15_000
MANY_IMAGES = "".join(f'<Image name="i{k}" value="$p"/>' for k in range(2000))
MANY_CONTROLS = "".join(f'<Rectangle name="r{k}" toName="nowhere"/>' for k in range(5000))


WORDS = ",".join(f"w{j}" for j in range(2500))
MANY_NAMES = "".join(f'<Label value="b{k}" predicted_values="{WORDS}"/>' for k in range(9))
NAMES = ",".join(f"i{k}" for k in range(60))
EVERYWHERE = "".join(f'<Image name="i{k}" value="$p"/>' for k in range(60)) + "".join(
    f'<KeyPoint name="r{k}" toName="{NAMES}"/>' for k in range(100)
)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (f"<View>{IMAGE}{OPEN * 2500}{'</KeyPointLabels>' * 2500}</View>", "nested more than 64"),
        ("<View>" * 100_000, "nested more than 64"),
        (f"<View>{IMAGE}{(OPEN + '<Label/>' * 1000) * 50}" + "</KeyPointLabels>" * 50 + "</View>",
         "more than"),
        (f"<View>{'<View/>' * MAX_TAGS}</View>", "more than 20,000 tags"),
        (f"<View>{IMAGE}{OPEN}{MANY_LABELS}</KeyPointLabels></View>",
         "more than 10,000 labels"),
        (f"<View>{MANY_IMAGES}</View>", "2,000 Image and Video tags"),
        (f"<View>{IMAGE}{MANY_CONTROLS}</View>", "5,000 controls"),
        (f"<View>{IMAGE}{OPEN}{MANY_NAMES}</KeyPointLabels></View>", "more than 20,000 names"),
        (f"<View>{EVERYWHERE}</View>", "more than 5,000 Image and Video tags"),
        (f'<View><Image name="{"x" * 30_000}" value="$p"/></View>', "30,000 characters"),
        ("<View>" + " " * 2_000_000 + "</View>", "2,000,013 characters"),
        (BOMB, "DOCTYPE"),
        ('<!DOCTYPE View SYSTEM "file:///etc/passwd"><View/>', "DOCTYPE"),
        ("<View>\ud800</View>", "not XML"),
        ("\0", "not XML"),
    ],
    ids=["nested", "open", "labels-again", "tags", "labels", "images", "controls",
         "names", "everywhere", "attribute",
         "long", "bomb", "external", "surrogate", "nul"],
)  # fmt: skip
def test_a_hostile_config_is_refused_with_the_reason(config: str, says: str) -> None:
    tracemalloc.start()
    try:
        labeling = parse_labeling.__wrapped__(config)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    [problem] = labeling.problems
    assert says in problem
    assert len(problem) < 400
    assert peak < 64 * 1024**2


def test_messages_of_a_config_full_of_mistakes_stay_short() -> None:
    wrong = "".join(f'<Rectangle name="r{k}" toName="{"n" * 900}"/>' for k in range(400))
    labeling = parse_labeling(f"<View>{IMAGE}{wrong}</View>")
    assert labeling.problems[-1] == "And 390 more."
    assert len(" ".join(labeling.problems)) < 4000


def test_ten_thousand_labels_are_no_attack() -> None:
    labels = "".join(f'<Label value="label {k}"/>' for k in range(9_000))
    config = f'<View>{IMAGE}<RectangleLabels name="r" toName="i">{labels}</RectangleLabels></View>'
    labeling = parse_labeling(config)
    assert labeling.problems == ()
    assert len(labeling.targets[0].controls[0].labels) == 9_000


def test_many_texts_cost_many_controls_no_search_each() -> None:
    """500 controls of the last of 18,000 texts took 16 s."""
    images = "".join(f'<Image name="i{k}" value="$i{k}"/>' for k in range(10))
    texts = "".join(f'<Text name="t{k}" value="$t{k}"/>' for k in range(1000))
    controls = "".join(f'<TextArea name="c{k}" toName="t999"/>' for k in range(50))
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        labeling = parse_labeling.__wrapped__(f"<View>{images}{texts}{controls}</View>")
    finally:
        sys.setprofile(before)
    assert [target.source.name for target in labeling.targets] == ["i0"]
    assert calls < 200_000


@pytest.mark.parametrize("rate", ["nan", "inf", "-1", "0", "1e-308", "1e308"])
def test_a_frame_rate_that_is_none_counts_as_label_studio_s_own(rate: str) -> None:
    video = f'<Video name="v" value="$v" framerate="{rate}"/>'
    box = '<VideoRectangle name="b" toName="v"/><Text name="t" value="$t"/>'
    [target] = parse_labeling(f"<View>{video}{box}</View>").targets
    assert target.source.framerate == 24.0


def test_a_text_does_not_grow_without_bound_by_its_fields() -> None:
    with pytest.raises(InputError, match="longer than"):
        fill("/x/" + "$a/" * 100, {"a": "y" * (MAX_FILLED_CHARS // 10)})
