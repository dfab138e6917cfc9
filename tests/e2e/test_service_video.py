"""The video config in a real Label Studio: a box and a moment for every cue."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.service_helpers import SlowGrounder, config, predictions, retrieve
from videogem.media.video import probe
from videogem.narration.reading import read_cues

CLIPS = Path(__file__).parents[2] / "videogem" / "data" / "demo" / "clips"


def test_a_demo_clip_with_its_subtitles(
    label_studio: LabelStudioServer,
    make_project: Callable[..., Any],
    start_backend: Callable[..., Any],
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    clip = sorted(CLIPS.glob("*.mp4"))[0]
    info, cues = probe(clip), read_cues(clip.with_suffix(".srt"))
    assert info.fps is not None
    shutil.copy(clip, frames / clip.name)
    narration = [{"start": cue.start, "end": cue.end, "text": cue.text} for cue in cues]
    task = {"video": frame_url(frames / clip.name), "fps": info.fps, "narration": narration}
    project = make_project(config("video"), [task], start_backend(SlowGrounder(0)))
    retrieve(label_studio, project)
    [prediction] = predictions(label_studio, project)
    by_type: dict[str, list[Any]] = {}
    for region in prediction["result"]:
        by_type.setdefault(region["type"], []).append(region["value"])
    assert {kind: len(values) for kind, values in by_type.items()} == {
        "videorectangle": len(cues),
        "timelinelabels": len(cues),
        "textarea": 2 * len(cues),  # the sentence under each of them
    }
    said = sorted(value["text"][0] for value in by_type["textarea"])
    assert said == sorted(cue.text for cue in cues for _ in range(2))
    for cue, box, moment in zip(
        cues, by_type["videorectangle"], by_type["timelinelabels"], strict=True
    ):
        [span] = moment["ranges"]
        assert span["start"] == round(cue.start * info.fps) + 1
        assert [box["sequence"][0]["frame"], box["sequence"][-1]["frame"]] == [
            span["start"],
            span["end"],
        ]
        assert [step["enabled"] for step in box["sequence"]][-2:] == [True, False]
