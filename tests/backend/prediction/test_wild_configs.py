"""Labeling configs and task data as people have them: they work, or /setup says why not."""

import io
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.fakes import FakeGrounder
from tests.images import image_url, png
from videogem.errors import InputError
from videogem.structures import Clip

CASES = Path(__file__).parents[2] / "data/configs"
URL = image_url(64, 48)
BOX = '<RectangleLabels name="box" toName="{}"><Label value="action"/></RectangleLabels>'
IMAGE = '<Image name="img" value="$image"/>' + BOX.format("img")
SAID = "cook the dumplings"


@pytest.fixture(scope="module")
def film() -> bytes:
    """Two seconds at 10 frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            pixels = np.zeros((48, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, film: bytes) -> Media:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"))
    media = Media(chosen, Connections(chosen))
    media.open = lambda reference, **_: io.BytesIO(  # type: ignore[method-assign,assignment]
        film if str(reference).endswith(".mp4") else png()
    )
    return media


class Comparing(FakeGrounder):
    """Finds texts similar to the frame the longer they are."""

    def similarity(self, clip: Clip, texts: list[str]) -> np.ndarray:
        return np.array([float(len(text)) for text in texts])


def predict(media: Media, config: str, data: dict[str, Any]) -> tuple[Outcome, list[str]]:
    """The outcome, and the sentences that were grounded."""
    labeling = parse_labeling(config)
    labeling.require_targets()
    grounder = Comparing()
    [outcome] = predict_many(
        [{"id": 7, "data": data}],
        Project(1, config, labeling, "v1"),
        batcher=Batcher(grounder),
        media=media,
    )
    return outcome, [text for _, texts in grounder.calls for text in texts]


def grounded(media: Media, config: str, data: dict[str, Any]) -> list[str]:
    outcome, texts = predict(media, config, data)
    assert outcome.error is None
    assert outcome.prediction is not None
    assert outcome.prediction["result"]
    assert not LabelInterface(config).validate_prediction(outcome.prediction, return_errors=True)
    return texts


# --- the cases -----------------------------------------------------------------------------------


def test_of_a_header_with_several_fields_the_narration_is_grounded(media: Media) -> None:
    config = (CASES / "header_mixed.xml").read_text()
    assert grounded(media, config, {"n": 3, "narration": SAID, "image": URL}) == [SAID]


def test_tags_and_entities_are_no_words(media: Media) -> None:
    config = (CASES / "hypertext.xml").read_text()
    said = "<style>p {color: red}</style><p>cook&nbsp;the <b>dumplings</b> &amp; stir</p>"
    assert grounded(media, config, {"narration": said, "image": URL}) == [f"{SAID} & stir"]


def test_a_repeater_is_refused_with_what_to_write_instead() -> None:
    labeling = parse_labeling((CASES / "repeater.xml").read_text())
    with pytest.raises(InputError, match=r"Repeater .* valueList=\"\$images\""):
        labeling.require()


def test_a_repeater_beside_a_plain_image_is_left_alone(media: Media) -> None:
    inside = (CASES / "repeater.xml").read_text().partition("<Repeater")[2]
    config = f'<View>{IMAGE}<Text name="t" value="$narration"/><Repeater{inside}'
    assert grounded(media, config, {"narration": SAID, "image": URL, "images": []}) == [SAID]
    assert "Repeater are left alone" in " ".join(parse_labeling(config).notes)


def test_the_address_of_a_text_is_never_taken_for_the_text(media: Media) -> None:
    config = (CASES / "valuetype_url.xml").read_text()
    with pytest.raises(InputError, match=r"behind an address.*model_narration"):
        parse_labeling(config).require()
    told = config.replace("<View>", '<View model_narration="$said">')
    data = {"text_url": "https://x.org/a.txt", "said": SAID, "image": URL}
    assert grounded(media, told, data) == [SAID]
    beside = config.replace("<Image", '<Text name="u" value="$said"/><Image')
    assert grounded(media, beside, data) == [SAID]


# --- which field is the narration ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "data", "said"),
    [
        ('<Header value="$a and $b"/>', {"a": "cut it", "b": "stir it"}, "cut it and stir it"),
        ('<Text name="t" value="$verb the $object."/>', {"verb": "cut", "object": "egg"},
         "cut the egg."),
        ('<Text name="i" value="$id"/><Text name="t" value="$what"/>', {"id": 4, "what": SAID},
         SAID),
        ('<Header value="Clip $clip_id at $time"/><Text name="t" value="$what"/>',
         {"clip_id": "a7", "time": 3, "what": SAID}, SAID),
        ('<Header value="It costs $5"/><Text name="t" value="$what"/>', {"what": SAID}, SAID),
        ('<Text name="t" value="$steps[1].say"/>', {"steps": [0, {"say": SAID}]}, SAID),
        ('<Paragraphs name="t" value="$talk" textKey="utterance" nameKey="who"/>',
         {"talk": [{"who": "Ann", "utterance": SAID, "text": "no"}]}, SAID),
    ],
)  # fmt: skip
def test_what_is_grounded(media: Media, tags: str, data: dict[str, Any], said: str) -> None:
    assert grounded(media, f"<View>{tags}{IMAGE}</View>", {**data, "image": URL}) == [said]


def test_which_field_was_taken_is_told() -> None:
    config = f'<View><Text name="i" value="$clip"/><Text name="t" value="$say"/>{IMAGE}</View>'
    [note] = parse_labeling(config).notes
    assert "taken from 'clip', not from say" in note and "model_narration" in note
    plain = f'<View><Text name="t" value="$say"/>{IMAGE}</View>'
    assert parse_labeling(plain).notes == ()


def test_indexed_images(media: Media) -> None:
    config = (
        '<View><Text name="t" value="$say"/><Image name="a" value="$images[0].url"/>'
        f'<Image name="b" value="$images[1].url"/>{BOX.format("b")}</View>'
    )
    assert grounded(media, config, {"say": SAID, "images": [{"url": URL}, {"url": URL}]}) == [SAID]


TWO = [
    # Each image with its text in a View of its own.
    '<View><View><Text name="t" value="$x"/><Image name="a" value="$i"/></View>'
    '<View><Text name="u" value="$y"/><Image name="b" value="$j"/></View>{}</View>',
    # By turns, the text first or the image first.
    '<View><Text name="t" value="$x"/><Image name="a" value="$i"/>'
    '<Text name="u" value="$y"/><Image name="b" value="$j"/>{}</View>',
    '<View><Image name="a" value="$i"/><Header value="$x"/>'
    '<Image name="b" value="$j"/><Header value="$y"/>{}</View>',
]


@pytest.mark.parametrize("config", TWO)
def test_two_images_with_a_text_each(media: Media, config: str) -> None:
    boxes = BOX.format("a") + BOX.format("b").replace('"box"', '"other"')
    data = {"x": "cut it", "y": "stir it", "i": URL, "j": URL}
    assert grounded(media, config.format(boxes), data) == ["cut it", "stir it"]


def test_one_text_for_two_images(media: Media) -> None:
    config = (
        '<View><Text name="n" value="$id"/><Text name="t" value="$say"/>'
        '<Image name="a" value="$i"/><Image name="b" value="$i"/>'
        f"{BOX.format('a')}{BOX.format('b').replace('box', 'other')}</View>"
    )
    assert grounded(media, config, {"id": 1, "say": SAID, "i": URL}) == [SAID, SAID]


def test_one_control_for_two_images(media: Media) -> None:
    images = '<Image name="a" value="$i"/><Image name="b" value="$j"/>'
    text = '<Text name="t" value="$say"/>'
    for controls in (
        BOX.format("a,b"),
        '<Labels name="l" toName="a,b"><Label value="x"/></Labels>'
        '<Rectangle name="r" toName="a,b"/>',
    ):
        config = f"<View>{text}{images}{controls}</View>"
        outcome, _ = predict(media, config, {"say": SAID, "i": URL, "j": URL})
        assert outcome.prediction is not None
        result = outcome.prediction["result"]
        assert {region["to_name"] for region in result} == {"a", "b"}
        ids = {(region["to_name"], region["id"]) for region in result}
        assert len({id_ for _, id_ in ids}) == 2
        assert LabelInterface(config).validate_prediction(outcome.prediction)


def test_blanks_between_two_names_are_refused() -> None:
    config = f'<View>{IMAGE}<Image name="b" value="$j"/>{BOX.format("img, b")}</View>'
    with pytest.raises(InputError, match='write toName="img,b"'):
        parse_labeling(config).require()


# --- times ---------------------------------------------------------------------------------------

VIDEO = (
    '<View><Video name="v" value="$film" framerate="10"/><Text name="t" value="$say"/>'
    '<TimelineLabels name="when" toName="v"><Label value="a"/></TimelineLabels></View>'
)


def ranges(media: Media, **data: Any) -> list[tuple[int, int]]:
    outcome, _ = predict(media, VIDEO, {"film": "x.mp4", **data})
    assert outcome.error is None and outcome.prediction is not None
    found = [region["value"]["ranges"][0] for region in outcome.prediction["result"]]
    return [(each["start"], each["end"]) for each in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"say": SAID, "start": "0.5", "end": "1.5"}, [(6, 16)]),
        ({"say": SAID, "start": "0:00.5", "end": "00:00:01,500"}, [(6, 16)]),
        ({"say": SAID, "time": "0:01"}, [(11, 11)]),
        ({"say": SAID, "start": "", "end": None}, [(1, 20)]),
        ({"say": [{"start": "0:00", "end": "0:01", "text": "<i>cut</i> it"}]}, [(1, 11)]),
        ({"say": "0:00 cut it\n0:01 stir it"}, [(1, 11), (11, 20)]),
        ({"say": "0:01 cut it"}, [(11, 20)]),
        ({"say": "<p>cut it</p><p>stir it</p>"}, [(1, 11), (11, 20)]),
        ({"say": "bake it for 5:30 minutes\nstir it"}, [(1, 11), (11, 20)]),
        ({"say": "WEBVTT\n\n00:00.500 --> 00:01.000\n<v Ann>cut it"}, [(6, 11)]),
    ],
)
def test_times_as_people_write_them(
    media: Media, data: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    assert ranges(media, **data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            {"say": SAID, "start": "soon", "end": "1"},
            "start must be a number of seconds or",
        ),
        ({"say": SAID, "start": 1}, "end must be a number"),
        ({"say": SAID, "start": 1.5, "end": 0.5}, "lies after its end"),
        ({"say": SAID, "time": "later"}, "time must be a number"),
        ({"say": SAID, "time": 9}, "after the video's end"),
        ({"say": SAID, "start": "8", "end": "9"}, "after the video's end"),
        ({"say": [{"start": 7.5, "end": 8, "text": SAID}]}, "after the video's end.*7.5 s"),
        ({"say": "Start: 1 | cut it\nStart: 2 | stir it"}, "looks as if it gave a time"),
        ({"say": "<p></p>"}, "holds no narration"),
    ],
)
def test_what_gives_no_prediction_has_a_reason(
    media: Media, data: dict[str, Any], reason: str
) -> None:
    outcome, _ = predict(media, VIDEO, {"film": "x.mp4", **data})
    assert outcome.prediction is None
    assert outcome.error is not None
    assert re.search(reason, outcome.error), outcome.error


def test_cues_after_the_end_are_left_out_and_told(media: Media) -> None:
    said = [{"start": 0.5, "end": 1, "text": SAID}, {"start": 8, "end": 9, "text": "stir it"}]
    outcome, texts = predict(media, VIDEO, {"film": "x.mp4", "say": said})
    assert outcome.prediction is not None
    [region] = outcome.prediction["result"]
    assert set(texts) == {SAID}
    assert "1 of 2 cues are left out: they start after the video's end" in str(region["meta"])


# --- every combination ---------------------------------------------------------------------------

LABELS = {
    "KeyPointLabels": "Label", "RectangleLabels": "Label", "BrushLabels": "Label",
    "BitmaskLabels": "Label", "EllipseLabels": "Label", "PolygonLabels": "Label",
    "VectorLabels": "Label", "TimelineLabels": "Label", "TimeSeriesLabels": "Label",
    "Choices": "Choice", "Taxonomy": "Choice", "Labels": "Label", "HyperTextLabels": "Label",
    "ParagraphLabels": "Label",
}  # fmt: skip
BARE = (
    "KeyPoint", "Rectangle", "Brush", "Bitmask", "Ellipse", "Polygon", "Vector", "VideoRectangle",
    "TextArea", "Rating", "Number", "DateTime", "MagicWand",
)  # fmt: skip
SOURCES = {
    "image": '<Image name="{}" value="$image"/>',
    "list": '<Image name="{}" valueList="$frames"/>',
    "video": '<Video name="{}" value="$film" framerate="10"/>',
}
TEXTS = (
    "", '<Text name="t" value="$say"/>', '<HyperText name="t" value="$say"/>',
    '<Header value="$id: $say"/>', '<Paragraphs name="t" value="$talk" layout="dialogue"/>',
    '<Text name="t" value="$place" valueType="url"/>',
)  # fmt: skip
DATA = {
    "image": URL, "frames": [URL, URL], "film": "x.mp4", "say": SAID, "id": 3,
    "talk": [{"author": "Ann", "text": SAID, "start": 0.2, "end": 0.9}], "place": "https://x.org",
}  # fmt: skip


@st.composite
def configs(draw: st.DrawFn) -> str:
    """One or two objects, a text or none, and controls of any kind for any of them."""
    kinds = draw(st.lists(st.sampled_from(sorted(SOURCES)), min_size=1, max_size=2))
    names = [f"o{place}" for place in range(len(kinds))]
    objects = [SOURCES[kind].format(name) for kind, name in zip(kinds, names, strict=True)]
    text = draw(st.sampled_from(TEXTS))
    targets = [*names, ",".join(names), *(["t"] if 'name="t"' in text else [])]
    chosen = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*LABELS, *BARE]),
                st.sampled_from(targets),
                st.lists(st.sampled_from(("action", "verb", "cut")), unique=True, max_size=2),
            ),
            min_size=1,
            max_size=4,
        )
    )
    controls = []
    for place, (tag, target, labels) in enumerate(chosen):
        child = LABELS.get(tag)
        inside = "".join(f'<{child} value="{label}"/>' for label in labels) if child else ""
        controls.append(f'<{tag} name="c{place}" toName="{target}">{inside}</{tag}>')
    tags = draw(st.permutations([*objects, *([text] if text else []), *controls]))
    return f"<View>{''.join(tags)}</View>"


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(config=configs())
def test_every_combination_works_or_is_refused_in_words(media: Media, config: str) -> None:
    labeling = parse_labeling(config)
    if labeling.problems:
        assert all(len(problem.split()) > 5 for problem in labeling.problems)
        return
    outcome, texts = predict(media, config, DATA)
    assert outcome.error is None, (config, outcome.error)
    assert outcome.prediction is not None
    assert "https://x.org" not in texts and "3" not in texts
    errors = LabelInterface(config).validate_prediction(outcome.prediction, return_errors=True)
    assert not errors, (config, errors)
    kinds = {control.kind for target in labeling.targets for control in target.controls}
    assert outcome.prediction["result"] or kinds == {"choices"}  # no choice may fit
