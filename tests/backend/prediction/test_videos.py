"""Videos: frames counted as Label Studio counts them, boxes that begin and end with the cue."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.task_fields import Project
from backend.qa.regions import read_result
from backend.settings import Settings
from tests.fakes import FakeGrounder
from videogem.structures import Clip

CONFIG = """<View>
  <Video name="film" value="$film" framerate="{rate}"/>
  <Paragraphs name="said" value="$said"/>
  <VideoRectangle name="box" toName="film"/>
  <VideoRectangle name="dot" toName="film" model_output="point"/>
  <Labels name="what" toName="film"><Label value="Action"/></Labels>
  <TimelineLabels name="when" toName="film"><Label value="Action"/></TimelineLabels>
  <TextArea name="prompt" toName="film"/>
</View>"""
CUES = [
    {"start": 0.0, "end": 1.0, "text": "cut tomato"},
    {"start": 1.5, "end": 1.8, "text": "pour"},
]


class Comparing(FakeGrounder):
    """Sees 'cut' in the first second and 'pour' later."""

    def similarity(self, clip: Clip, texts: list[str]) -> np.ndarray:
        return np.array([("cut" in text) == (clip.time < 1) for text in texts], float)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds at 10 frames a second."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(20):
            pixels = np.full((48, 64, 3), shade * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.fixture
def media(tmp_path: Path, film: bytes, monkeypatch: pytest.MonkeyPatch) -> Media:
    settings = Settings(data_dir=tmp_path)
    media = Media(settings, Connections(settings))
    monkeypatch.setattr(media, "open", lambda *_, **__: io.BytesIO(film))
    return media


def predict(media: Media, config: str, said: Any, **fields: Any) -> Outcome:
    project = Project(1, config, parse_labeling(config), "v1")
    assert project.labeling.problems == ()
    task = {"id": 3, "data": {"film": "x.mp4", "said": said, **fields}}
    [outcome] = predict_many([task], project, batcher=Batcher(Comparing()), media=media)
    return outcome


def by_control(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    assert outcome.error is None
    assert outcome.prediction is not None
    found: dict[str, list[dict[str, Any]]] = {}
    for region in outcome.prediction["result"]:
        found.setdefault(region["from_name"], []).append(region)
    return found


def test_every_cue_gets_a_box_a_point_and_its_moment(media: Media) -> None:
    found = by_control(predict(media, CONFIG.format(rate="10"), CUES))
    assert {name: len(regions) for name, regions in found.items()} == {
        "box": 2, "dot": 2, "when": 2, "prompt": 2
    }  # fmt: skip
    sequence = found["box"][0]["value"]["sequence"]
    assert [step["frame"] for step in sequence] == [1, 6, 11]
    assert [step["enabled"] for step in sequence] == [True, True, False]
    assert {step["rotation"] for step in sequence} == {0}
    assert found["box"][0]["value"]["labels"] == ["Action"]
    assert found["when"][0]["value"]["ranges"] == [{"start": 1, "end": 11}]
    assert found["when"][1]["value"]["ranges"] == [{"start": 16, "end": 19}]
    dot = found["dot"][0]["value"]["sequence"][0]
    assert (dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2) == (50.0, 25.0)
    assert len({region["id"] for regions in found.values() for region in regions}) == 8


def test_each_region_is_named_by_its_sentence_where_the_config_asks(media: Media) -> None:
    text = '<TextArea name="prompt" toName="film"/>'
    named = text.replace("/>", ' perRegion="true" displayMode="region-list"/>')
    plain = by_control(predict(media, CONFIG.format(rate="10").replace(text, ""), CUES))
    outcome = predict(media, CONFIG.format(rate="10").replace(text, named), CUES)
    found = by_control(outcome)
    names = found.pop("prompt")
    sentences = {region["id"]: region["value"]["text"] for region in names}
    assert len(names) == len(sentences) == 6  # box, dot and moment of two sentences
    for control in ("box", "dot", "when"):
        for region, cue in zip(found[control], CUES, strict=True):
            assert sentences[region["id"]] == [cue["text"]]
    # What has a place is what it was, and so is what is read back of it.
    assert {name: len(regions) for name, regions in found.items()} == {
        name: len(regions) for name, regions in plain.items()
    }
    assert outcome.prediction is not None
    whole = read_result(outcome.prediction["result"])
    alone = read_result([region for regions in found.values() for region in regions])
    assert sorted(map(str, whole.regions)) == sorted(map(str, alone.regions))


def test_frames_follow_the_configured_rate_and_a_wrong_one_is_told(media: Media) -> None:
    found = by_control(predict(media, CONFIG.format(rate="20"), CUES))
    sequence = found["box"][0]["value"]["sequence"]
    assert [step["frame"] for step in sequence] == [1, 11, 21]
    assert "10.000 frames" in found["box"][0]["meta"]["text"][0]


@pytest.mark.parametrize(("rate", "fields"), [("$fps", {"fps": 10}), ("0.1", {})])
def test_rates_from_the_task_and_as_seconds_per_frame(
    media: Media, rate: str, fields: dict[str, Any]
) -> None:
    found = by_control(predict(media, CONFIG.format(rate=rate), CUES, **fields))
    assert found["box"][0]["value"]["sequence"][-1]["frame"] == 11
    assert found["box"][0]["meta"]["text"] == [f"Said: {CUES[0]['text']}"]


def test_one_sentence_counts_for_the_whole_video(media: Media) -> None:
    found = by_control(predict(media, CONFIG.format(rate="10"), "cut tomato"))
    assert found["when"][0]["value"]["ranges"] == [{"start": 1, "end": 20}]


def test_one_sentence_at_one_time(media: Media) -> None:
    found = by_control(predict(media, CONFIG.format(rate="10"), "cut tomato", time=1.0))
    assert [step["frame"] for step in found["box"][0]["value"]["sequence"]] == [11]


def test_subtitles_as_text(media: Media) -> None:
    srt = "1\n00:00:00,500 --> 00:00:01,000\ncut tomato\n"
    found = by_control(predict(media, CONFIG.format(rate="10"), srt))
    assert found["when"][0]["value"]["ranges"] == [{"start": 6, "end": 11}]


def test_actions_are_spotted_where_they_fit(media: Media) -> None:
    config = (
        '<View><Video name="film" value="$film" framerate="10"/>'
        '<TimelineLabels name="when" toName="film"><Label value="cut tomato"/>'
        '<Label value="pour water"/></TimelineLabels></View>'
    )
    found = by_control(predict(media, config, ""))["when"]
    assert [region["value"] for region in found] == [
        {"ranges": [{"start": 1, "end": 11}], "timelinelabels": ["cut tomato"]},
        {"ranges": [{"start": 11, "end": 20}], "timelinelabels": ["pour water"]},
    ]


@pytest.mark.parametrize(
    ("said", "rate", "reason"),
    [
        ("", "10", "no narration"),
        (5, "10", "must hold a text"),
        ("/etc/hostname", "$fps", "no field 'fps'"),
    ],
)
def test_reasons(media: Media, said: Any, rate: str, reason: str) -> None:
    outcome = predict(media, CONFIG.format(rate=rate), said)
    assert outcome.prediction is None
    assert reason in (outcome.error or "")
