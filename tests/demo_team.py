"""Webhooks of four people who correct the demo's frames, for pictures of the quality pages.

The predictions are the demo model's; who corrects draws the true box of the clip's world, and now
and then makes a mistake.
"""

import base64
import io
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from PIL import Image

from backend.demo.tasks import CLIPS
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import CONFIG
from videogem.grounder import Grounder
from videogem.media.video import open_frames
from videogem.structures import Clip

PARTS = (0.25, 0.5, 0.75)  # of the time of each sentence: a frame at each
START = datetime(2026, 11, 16, 8, tzinfo=UTC)
PER_DAY, STEP = 24, timedelta(minutes=9)
PEOPLE = [
    {"id": 1, "first_name": "Ana", "last_name": "Lima", "email": "ana@example.org"},
    {"id": 2, "first_name": "Ben", "last_name": "Okafor", "email": "ben@example.org"},
    {"id": 3, "first_name": "Chiara", "last_name": "Rossi", "email": "chiara@example.org"},
    {"id": 4, "first_name": "Dao", "last_name": "Nguyen", "email": "dao@example.org"},
]  # as Label Studio lists them
MISTAKES = ("elsewhere", "whole", "none", "tiny")


def demo_events(grounder: Grounder, seed: int = 1) -> list[dict[str, Any]]:
    """One event for each sentence and part of its time, in project 7."""
    rng = random.Random(seed)
    frames = list(_frames())
    rng.shuffle(frames)
    return [_event(i, *frame, grounder, rng) for i, frame in enumerate(frames, start=1)]


def _frames() -> Iterator[tuple[str, np.ndarray, str, tuple[float, ...]]]:
    """Name of the clip, frame (H, W, 3), sentence, and true box (x, y, width, height) in %."""
    for path in sorted(CLIPS.glob("*.json")):
        clip = json.loads(path.read_text())
        width, height = clip["size"]
        with open_frames(path.with_suffix(".mp4")) as reader:
            for cue in clip["cues"]:
                for part in PARTS:
                    time = cue["start"] + part * (cue["end"] - cue["start"])
                    [frame] = reader.frames_at([time])
                    x0, y0, x1, y1 = clip["pairs"][cue["pair"]]["boxes"][frame.index]
                    truth = (100 * x0 / width, 100 * y0 / height,
                             100 * (x1 - x0) / width, 100 * (y1 - y0) / height)  # fmt: skip
                    yield path.stem, frame.image, cue["text"], truth


def _event(
    number: int, clip: str, frame: np.ndarray, words: str, truth: tuple[float, ...],
    grounder: Grounder, rng: random.Random,
) -> dict[str, Any]:  # fmt: skip
    [found] = grounder.ground(Clip.from_image(frame), [words])
    size = {"original_width": frame.shape[1], "original_height": frame.shape[0]}
    x0, y0, x1, y1 = (100 * v for v in found.box)
    regions = [
        point(100 * found.point[0], 100 * found.point[1], id=f"kp{number}", **size),
        box(x0, y0, x1 - x0, y1 - y0, id=f"box{number}", **size),
    ]
    guess = prediction(regions, id=5000 + number, version="demo") | {"score": found.score}
    kept = list(regions)
    is_right = x0 <= truth[0] + truth[2] / 2 <= x1 and y0 <= truth[1] + truth[3] / 2 <= y1
    if number % 13 == 0:
        drawn = _mistaken(MISTAKES[number // 13 % len(MISTAKES)], truth)
    elif is_right and rng.random() < 0.5:
        drawn = None
    else:
        drawn = truth
    if drawn is not None:
        kept[1] = box(*drawn, id=f"box{number}", origin="prediction-changed", **size)
    at = START + timedelta(days=number // PER_DAY) + number % PER_DAY * STEP
    made = annotation(
        number, kept, task=number, project=7, prediction=guess, parent_prediction=5000 + number,
        completed_by=1 + number % 4, lead_time=rng.uniform(4, 16),
    )  # fmt: skip
    made |= {"updated_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z"}
    event = created(made, image=_address(frame), narration=words, video=f"{clip}.mp4")
    event["project"] |= {"label_config": CONFIG, "title": "Clips"}
    return event


def _mistaken(kind: str, truth: tuple[float, ...]) -> tuple[float, ...]:
    x, y, width, height = truth
    return {
        "elsewhere": ((x + 50) % (100 - width), y, width, height),
        "whole": (0.0, 0.0, 100.0, 100.0),
        "none": (x, y, 0.0, height),
        "tiny": (x, y, 0.6, 0.9),
    }[kind]


def _address(frame: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
