"""Smart tools: whatever is pointed at, the answer lies there."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.interactive import NEIGHBOURHOOD, context_regions, focus, place_of, suggest
from backend.prediction.predict import predict_many
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.fakes import FakeGrounder
from tests.images import image_url
from videogem.errors import InputError
from videogem.structures import Clip, Grounding

CONFIG = (
    '<View><Image name="picture" value="$shot"/><Text name="said" value="$words"/>'
    '<KeyPointLabels name="p" toName="picture" smart="true"><Label value="tip"/>'
    '<Label value="hand"/></KeyPointLabels><RectangleLabels name="b" toName="picture">'
    '<Label value="hand"/></RectangleLabels><TextArea name="t" toName="picture"/></View>'
)
TASK = {"id": 7, "data": {"shot": image_url(64, 48), "words": "cut tomato"}}
percent = st.floats(0, 100)


def click(x: float, y: float, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": ["hand"], "labels": ["hand"]}
    return {
        "id": "c1", "type": "keypointlabels", "from_name": "p", "to_name": "picture",
        "value": value, **more,
    }  # fmt: skip


def box(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rectanglelabels": ["hand"]}
    return {
        "id": "b1", "type": "rectanglelabels", "from_name": "b", "to_name": "picture",
        "value": value,
    }  # fmt: skip


def typed(text: str) -> dict[str, Any]:
    value = {"text": [text]}
    return {
        "id": "t1", "type": "textarea", "from_name": "t", "to_name": "picture", "value": value
    }  # fmt: skip


@pytest.fixture
def media(tmp_path: Path) -> Media:
    settings = Settings(data_dir=tmp_path)
    return Media(settings, Connections(settings))


def answer(
    media: Media, regions: list[dict[str, Any]], grounder: FakeGrounder | None = None
) -> list[dict[str, Any]]:
    project = Project(1, CONFIG, parse_labeling(CONFIG), "v1")
    fake = grounder or FakeGrounder()
    return suggest(TASK, regions, project, batcher=Batcher(fake), media=media)["result"]


@settings(max_examples=50, deadline=None)
@given(x=percent, y=percent, peak_x=st.floats(0, 1), peak_y=st.floats(0, 1))
def test_a_click_is_answered_near_it(x: float, y: float, peak_x: float, peak_y: float) -> None:
    clip = Clip.from_image(np.zeros((48, 64, 3), np.uint8))
    [grounding] = FakeGrounder({"n": (peak_x, peak_y)}).ground(clip, ["n"])
    focused = focus(grounding, place_of(click(x, y), grounding))
    distance = np.hypot(focused.point[0] - x / 100, (focused.point[1] - y / 100) * 48 / 64)
    assert distance <= NEIGHBOURHOOD + 0.03  # and half a pixel of the heatmap
    assert 0 <= focused.score <= grounding.score


@settings(max_examples=50, deadline=None)
@given(x=percent, y=percent, width=percent, height=percent)
def test_a_box_is_answered_inside(x: float, y: float, width: float, height: float) -> None:
    clip = Clip.from_image(np.zeros((48, 64, 3), np.uint8))
    [grounding] = FakeGrounder().ground(clip, ["n"])
    width, height = min(width, 100 - x), min(height, 100 - y)
    focused = focus(grounding, place_of(box(x, y, width, height), grounding))
    pixel = 100 / 28
    assert x - pixel <= focused.point[0] * 100 <= x + width + pixel
    assert y - pixel <= focused.point[1] * 100 <= y + height + pixel
    assert focused.box[0] * 100 >= x - pixel
    assert focused.box[2] * 100 <= x + width + pixel


def test_a_click_gets_its_label_and_a_box_beside_it(media: Media) -> None:
    point, rectangle = answer(media, [click(80, 80)])
    assert point["value"]["keypointlabels"] == ["hand"]
    assert rectangle["value"]["rectanglelabels"] == ["hand"]
    assert abs(point["value"]["x"] - 80) < 15


def test_a_negative_click_is_avoided(media: Media) -> None:
    point, _ = answer(media, [click(50, 25, is_positive=False)])
    away = np.hypot(point["value"]["x"] - 50, (point["value"]["y"] - 25) * 48 / 64)
    assert away >= NEIGHBOURHOOD * 100 - 4


def test_typed_text_is_grounded_instead_of_the_narration(media: Media) -> None:
    grounder = FakeGrounder({"wash carrot": (0.1, 0.9)})
    point, _ = answer(media, [typed("wash carrot")], grounder)
    assert (point["value"]["x"], point["value"]["y"]) == (10.0, 90.0)


def test_a_click_after_a_text_grounds_the_text_there(media: Media) -> None:
    grounder = FakeGrounder()
    answer(media, [typed("A photo of a person washing carrots."), click(20, 20)], grounder)
    assert grounder.calls[-1][1] == ("washing carrots",)


def test_what_answers_the_narration_has_the_ids_of_its_pre_label(media: Media) -> None:
    project = Project(1, CONFIG, parse_labeling(CONFIG), "v1")
    [outcome] = predict_many([TASK], project, batcher=Batcher(FakeGrounder()), media=media)
    assert outcome.prediction is not None
    pre_label = {region["from_name"]: region["id"] for region in outcome.prediction["result"]}

    def ids(*regions: dict[str, Any]) -> dict[str, str]:
        return {region["from_name"]: region["id"] for region in answer(media, list(regions))}

    again = {**click(20, 20), "id": "c2"}
    assert ids(click(80, 80)) == ids(again) == ids(box(5, 5, 50, 50))
    assert ids(click(80, 80)).items() <= pre_label.items()
    other = ids(typed("wash carrot"))  # is about something else: beside the pre-label
    assert not set(other.values()) & set(pre_label.values())


def test_a_region_of_something_else_is_refused(media: Media) -> None:
    stranger = {**click(1, 1), "from_name": "x", "to_name": "audio"}
    with pytest.raises(InputError, match="audio"):
        answer(media, [stranger])


@pytest.mark.parametrize("params", [None, {}, {"context": None}, {"context": {"result": []}}])
def test_ordinary_requests_have_no_context(params: Any) -> None:
    assert context_regions(params) == []


def test_a_click_waits_no_longer_than_a_request_may(media: Media) -> None:
    let_go = threading.Event()

    class Held(FakeGrounder):
        def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
            let_go.wait(20)
            return super().ground(clip, narrations)

    project = Project(1, CONFIG, parse_labeling(CONFIG), "v1")
    begun = time.monotonic()
    with pytest.raises(InputError, match="VIDEOGEM_PREDICT_BUDGET"):
        suggest(TASK, [click(50, 50)], project, batcher=Batcher(Held()), media=media, seconds=0.3)
    assert time.monotonic() - begun < 10
    let_go.set()
