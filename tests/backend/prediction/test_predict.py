"""Tasks -> predictions: every control, whatever its name, and nothing invalid."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.task_fields import Project
from backend.prediction.writing import Writer
from backend.settings import Settings
from tests.fakes import FakeGrounder
from tests.images import image_url
from tests.no_threads import no_threads
from videogem.structures import Clip

IMAGE = '<Image name="picture" value="$shot"/><Text name="said" value="$words"/>'
LABELS = '<Label value="tool"/><Label value="hand"/>'
TASK = {"id": 7, "data": {"shot": image_url(64, 48), "words": "cut tomato"}}


class Comparing(FakeGrounder):
    """Finds texts similar to the frame the longer they are."""

    def similarity(self, clip: Clip, texts: list[str]) -> np.ndarray:
        return np.array([float(len(text)) for text in texts])


@pytest.fixture
def media(tmp_path: Path) -> Media:
    settings = Settings(data_dir=tmp_path)
    return Media(settings, Connections(settings))


def predict(
    media: Media,
    config: str,
    task: Any = TASK,
    grounder: FakeGrounder | None = None,
    **options: Any,
) -> Outcome:
    labeling = parse_labeling(config)
    assert labeling.problems == ()
    project = Project(1, config, labeling, "v1", **options)
    [outcome] = predict_many(
        [task], project, batcher=Batcher(grounder or FakeGrounder()), media=media
    )
    return outcome


def regions(media: Media, config: str, **options: Any) -> list[dict[str, Any]]:
    outcome = predict(media, config, **options)
    assert outcome.error is None
    assert outcome.prediction is not None
    return outcome.prediction["result"]


@pytest.mark.parametrize(
    ("control", "type_", "keys"),
    [
        (f'<KeyPointLabels name="c" toName="picture">{LABELS}</KeyPointLabels>',
         "keypointlabels", {"x", "y", "width", "keypointlabels"}),
        ('<KeyPoint name="c" toName="picture"/>', "keypoint", {"x", "y", "width"}),
        (f'<RectangleLabels name="c" toName="picture">{LABELS}</RectangleLabels>',
         "rectanglelabels", {"x", "y", "width", "height", "rotation", "rectanglelabels"}),
        ('<Rectangle name="c" toName="picture"/>',
         "rectangle", {"x", "y", "width", "height", "rotation"}),
        (f'<BrushLabels name="c" toName="picture">{LABELS}</BrushLabels>',
         "brushlabels", {"format", "rle", "brushlabels"}),
        (f'<BitmaskLabels name="c" toName="picture">{LABELS}</BitmaskLabels>',
         "bitmasklabels", {"format", "imageDataURL", "bitmasklabels"}),
        ('<TextArea name="c" toName="picture"/>', "textarea", {"text"}),
        ('<Choices name="c" toName="picture"><Choice value="cut"/><Choice value="pour"/></Choices>',
         "choices", {"choices"}),
        ('<Choices name="c" toName="said"><Choice value="cut"/><Choice value="pour"/></Choices>',
         "choices", {"choices"}),
    ],
)  # fmt: skip
def test_every_control_of_an_image(media: Media, control: str, type_: str, keys: set[str]) -> None:
    [region] = regions(media, f"<View>{IMAGE}{control}</View>")
    assert region["type"] == type_
    assert region["from_name"] == "c"
    assert set(region["value"]) == keys


def test_a_separate_labels_tag_labels_the_same_region(media: Media) -> None:
    config = (
        f'<View>{IMAGE}<Labels name="which" toName="picture">{LABELS}</Labels>'
        '<Rectangle name="c" toName="picture"/></View>'
    )
    shape, label = regions(media, config)
    assert (shape["type"], label["type"]) == ("rectangle", "labels")
    assert shape["id"] == label["id"]
    assert label["from_name"] == "which"
    assert label["value"]["labels"] == ["tool"]


def test_regions_are_the_same_in_every_run_and_have_ids_of_their_own(media: Media) -> None:
    config = (
        f'<View>{IMAGE}<KeyPoint name="a" toName="picture"/><Rectangle name="b" toName="picture"/>'
        "</View>"
    )
    first, again = regions(media, config), regions(media, config)
    assert first == again
    assert len({region["id"] for region in first}) == 2


def test_a_frame_list_gets_regions_on_every_frame(media: Media) -> None:
    config = (
        '<View><Image name="frames" valueList="$shots"/><Text name="t" value="$words"/>'
        '<KeyPoint name="c" toName="frames"/></View>'
    )
    shots = [image_url(64, 48), image_url(32, 32), image_url(64, 48)]
    task = {"id": 1, "data": {"shots": shots, "words": "cut tomato"}}
    found = regions(media, config, task=task)
    assert [region["item_index"] for region in found] == [0, 1, 2]
    assert [region["original_width"] for region in found] == [64, 32, 64]
    assert len({region["id"] for region in found}) == 3


def test_labels_that_are_actions(media: Media) -> None:
    config = (
        '<View><Image name="picture" value="$shot"/><KeyPointLabels name="c" toName="picture">'
        '<Label value="cut tomato"/><Label value="TakingPhotosOrVideos"/></KeyPointLabels></View>'
    )
    grounder = Comparing()
    [region] = regions(media, config, grounder=grounder)
    assert region["value"]["keypointlabels"] == ["TakingPhotosOrVideos"]
    assert grounder.calls[0][1] == ("TakingPhotosOrVideos",)


def test_the_frame_is_compared_only_where_words_leave_it_open(media: Media) -> None:
    asked: list[list[str]] = []

    class Asked(Comparing):
        def similarity(self, clip: Clip, texts: list[str]) -> np.ndarray:
            asked.append(texts)
            return super().similarity(clip, texts)

    config = (
        f'<View>{IMAGE}<RectangleLabels name="c" toName="picture">'
        '<Label value="tomato"/><Label value="cucumbers"/></RectangleLabels></View>'
    )
    [region] = regions(media, config, grounder=Asked())
    assert (region["value"]["rectanglelabels"], asked) == (["tomato"], [])
    other = {"id": 8, "data": {**TASK["data"], "words": "pour milk"}}
    [region] = regions(media, config, task=other, grounder=Asked())
    assert region["value"]["rectanglelabels"] == ["cucumbers"]
    assert asked == [["tomato", "cucumbers"]]


def test_more_actions_and_controls_that_lack_one(media: Media) -> None:
    config = (
        '<View model_top="2"><Image name="picture" value="$shot"/>'
        '<KeyPointLabels name="c" toName="picture"><Label value="cut tomato"/>'
        '<Label value="pour water"/></KeyPointLabels>'
        '<RectangleLabels name="d" toName="picture"><Label value="pour water"/></RectangleLabels>'
        "</View>"
    )
    found = regions(media, config, grounder=Comparing())
    labels = [(region["from_name"], region["value"].get("keypointlabels")) for region in found]
    assert sorted(labels, key=str) == [
        ("c", ["cut tomato"]), ("c", ["pour water"]), ("d", None)
    ]  # fmt: skip


def test_labels_from_the_task(media: Media) -> None:
    config = f'<View>{IMAGE}<KeyPointLabels name="c" toName="picture" value="$kinds"/></View>'
    task = {"id": 1, "data": {**TASK["data"], "kinds": [{"value": "tomato"}, {"value": "knife"}]}}
    [region] = regions(media, config, task=task)
    assert region["value"]["keypointlabels"] == ["tomato"]


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ([f"kind {k}" for k in range(2001)], "has 2,001 labels; at most 2,000"),
        (["tomato", {"value": "x" * 1001}], "a label of 1,001 characters; at most 1,000"),
    ],
)
def test_more_labels_than_people_choose_from_are_refused(
    media: Media, kinds: list[Any], reason: str
) -> None:
    """Each is compared with the frame: a megabyte of them would hold the model for hours."""
    grounder = Comparing()
    task = {"id": 1, "data": {**TASK["data"], "kinds": kinds}}
    for shown in (IMAGE, '<Image name="picture" value="$shot"/>'):
        config = f'<View>{shown}<KeyPointLabels name="c" toName="picture" value="$kinds"/></View>'
        outcome = predict(media, config, task=task, grounder=grounder)
        assert reason in (outcome.error or "")
    assert grounder.calls == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"words": "x"}, "no field 'shot'"),
        ({"shot": image_url()}, "no field 'words'"),
        ({"shot": image_url(), "words": "  "}, "holds no narration"),
        ({"shot": None, "words": "x"}, "must hold an address"),
        ({"shot": "frame.jpg", "words": "x"}, "could not"),
        ({"shot": "file:///etc/passwd", "words": "x"}, "could not"),
        ({"shot": "/etc/passwd", "words": "x"}, "address is not known"),
        ({"shot": "data:image/png;base64,!!", "words": "x"}, "base64"),
    ],
)
def test_a_task_that_cannot_be_predicted_has_a_reason(
    media: Media, data: dict[str, Any], reason: str
) -> None:
    config = f'<View>{IMAGE}<KeyPoint name="c" toName="picture"/></View>'
    outcome = predict(media, config, task={"id": 1, "data": data})
    assert outcome.prediction is None
    assert reason in (outcome.error or "")


def test_low_scores_leave_an_empty_prediction(media: Media) -> None:
    config = f'<View>{IMAGE}<KeyPoint name="c" toName="picture"/></View>'
    outcome = predict(media, config, score_threshold=0.9)
    assert outcome.prediction == {"result": [], "score": 0.0, "model_version": "v1"}


def test_a_threshold_of_one_control(media: Media) -> None:
    config = (
        f'<View>{IMAGE}<KeyPoint name="c" toName="picture" model_score_threshold="0.9"/>'
        '<Rectangle name="d" toName="picture"/></View>'
    )
    assert [region["from_name"] for region in regions(media, config)] == ["d"]


def test_cues_and_paragraphs_are_grounded_one_by_one(media: Media) -> None:
    config = (
        '<View><Image name="picture" value="$shot"/><Paragraphs name="p" value="$cues"/>'
        '<KeyPoint name="c" toName="picture"/></View>'
    )
    cues = [{"start": 0, "end": 2, "text": "cut tomato"}, {"text": ""}, {"text": "pour water"}]
    grounder = FakeGrounder()
    task = {"id": 1, "data": {"shot": image_url(), "cues": cues}}
    assert len(regions(media, config, task=task, grounder=grounder)) == 2
    assert grounder.calls[0][1] == ("cut tomato", "pour water")


def test_tasks_are_predicted_by_as_many_threads_as_there_are(media: Media) -> None:
    config = f'<View>{IMAGE}<KeyPoint name="c" toName="picture"/></View>'
    project = Project(1, config, parse_labeling(config), "v1")
    batcher = Batcher(FakeGrounder())

    def predicted() -> int:
        tasks = [{**TASK, "id": number} for number in range(4)]
        found = predict_many(tasks, project, batcher=batcher, media=media)
        return sum(outcome.prediction is not None for outcome in found)

    with no_threads("read", but=1):
        assert predicted() == 4
    with no_threads("read"), pytest.raises(RuntimeError):
        predicted()
    assert predicted() == 4
    assert batcher.room.num_clips == 0


def test_what_is_written_after_the_deadline_is_left(
    media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All may be grounded and wait to be written by then."""
    config = f'<View>{IMAGE}<KeyPoint name="c" toName="picture"/></View>'
    add = Writer.add

    def slow(self: Writer, *given: Any) -> None:
        time.sleep(0.3)
        add(self, *given)

    monkeypatch.setattr(Writer, "add", slow)
    batcher = Batcher(FakeGrounder())
    begun = time.monotonic()
    found = predict_many(
        [{**TASK, "id": number} for number in range(20)],
        Project(1, config, parse_labeling(config), "v1"),
        batcher=batcher,
        media=media,
        deadline=begun + 1.0,
    )
    assert time.monotonic() - begun < 4.0  # all would take 6 s
    assert {outcome.late for outcome in found} == {False, True}
    while batcher.room.num_clips:  # what is being grounded gives its room back
        assert time.monotonic() - begun < 30.0
        time.sleep(0.02)
