"""'Not in this frame': what is not shown is not pointed at, and never silently."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.batcher import Batcher
from backend.prediction.predict import Outcome, predict_many
from backend.prediction.task_fields import Project
from backend.settings import Settings
from tests.clips import encode
from tests.fakes import FakeGrounder
from tests.images import image_url
from videogem.errors import InputError
from videogem.structures import Clip, Grounding

SHOWN = {"cut tomato": 0.9, "stir soup": 0.1, "fry egg": 0.4}
CONFIG = (
    '<View {view}><Image name="i" value="$shot"/><Paragraphs name="p" value="$cues"/>'
    '<KeyPoint name="k" toName="i" {point}/><Rectangle name="r" toName="i"/></View>'
)
FILM = (
    '<View model_presence_threshold="0.5"><Video name="v" value="$film" framerate="10"/>'
    '<Paragraphs name="p" value="$cues"/><VideoRectangle name="r" toName="v"/></View>'
)


class Knowing(FakeGrounder):
    """Says how likely a frame shows what is said."""

    def _ground(self, clip: Clip, narration: str) -> Grounding:
        found = super()._ground(clip, narration)
        return replace(found, presence=SHOWN[narration], scoring="fake")


@pytest.fixture
def media(tmp_path: Path) -> Media:
    settings = Settings(data_dir=tmp_path)
    return Media(settings, Connections(settings))


def predict(media: Media, config: str, *said: str, grounder: FakeGrounder | None = None) -> Outcome:
    labeling = parse_labeling(config)
    assert labeling.problems == ()
    cues = [{"start": i, "end": i + 0.9, "text": text} for i, text in enumerate(said)]
    task = {"id": 7, "data": {"shot": image_url(64, 48), "film": "x.mp4", "cues": cues}}
    project = Project(1, config, labeling, "v1")
    batcher = Batcher(grounder or Knowing())
    [outcome] = predict_many([task], project, batcher=batcher, media=media)
    return outcome


def config(view: str = "", point: str = "") -> str:
    return CONFIG.format(view=view, point=point)


def test_without_a_threshold_all_is_pointed_at(media: Media) -> None:
    outcome = predict(media, config(), "stir soup")
    assert outcome.prediction is not None
    assert len(outcome.prediction["result"]) == 2


def test_a_task_that_shows_nothing_of_it_has_a_reason_and_no_prediction(media: Media) -> None:
    outcome = predict(media, config('model_presence_threshold="0.5"'), "stir soup", "fry egg")
    assert outcome.prediction is None
    assert outcome.error == (
        "Not in this frame: 'stir soup' (0.10 of the 0.5 asked for); "
        "'fry egg' (0.40 of the 0.5 asked for)."
    )


def test_what_is_shown_is_pointed_at_and_the_rest_told_in_its_details(media: Media) -> None:
    threshold = 'model_presence_threshold="0.5"'
    outcome = predict(media, config(threshold), "stir soup", "cut tomato")
    assert outcome.prediction is not None
    regions = outcome.prediction["result"]
    assert [region["from_name"] for region in regions] == ["k", "r"]
    assert regions[0]["meta"]["text"] == [
        "Not in this frame: 'stir soup' (0.10 of the 0.5 asked for)."
    ]


def test_a_control_may_ask_for_more_than_the_others(media: Media) -> None:
    asked = config('model_presence_threshold="0.3"', 'model_presence_threshold="0.8"')
    outcome = predict(media, asked, "fry egg")
    assert outcome.prediction is not None
    assert [region["from_name"] for region in outcome.prediction["result"]] == ["r"]


def test_tracks_of_what_is_not_shown_are_left_out_and_told(
    media: Media, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(tmp_path / "x.mp4", frames=30)
    film = (tmp_path / "x.mp4").read_bytes()
    monkeypatch.setattr(media, "open", lambda *_, **__: io.BytesIO(film))
    outcome = predict(media, FILM, "cut tomato", "stir soup")
    assert outcome.prediction is not None, outcome.error
    [track] = outcome.prediction["result"]
    assert track["meta"]["text"][0].startswith("Not in this frame: 'stir soup'")
    outcome = predict(media, FILM, "fry egg", "stir soup")
    assert outcome.prediction is None
    assert "'fry egg'" in str(outcome.error) and "'stir soup'" in str(outcome.error)


def test_a_model_without_a_calibrated_score_cannot_tell(media: Media) -> None:
    asked = config('model_presence_threshold="0.5"')
    outcome = predict(media, asked, "cut tomato", grounder=FakeGrounder())
    assert outcome.prediction is None
    assert "take the attribute out of the labeling config" in str(outcome.error)


def test_a_threshold_is_a_share() -> None:
    with pytest.raises(InputError, match=r"model_presence_threshold must be a number in \[0, 1\]"):
        parse_labeling(config('model_presence_threshold="often"')).require()
