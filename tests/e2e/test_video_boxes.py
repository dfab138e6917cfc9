"""A `<Video>` project: boxes follow the action on key frames, between them, and end with the cue.

The video shows a square on a straight path, so where the box belongs in any frame is known, and the
page itself shows it: the drawn outline has to lie on the square's edge.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from backend.commands.support.task_building import build_tasks
from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.browser import SELECTED, image_area, show_frame
from tests.e2e.moving_square import FPS, NUM_FRAMES, SquareGrounder, box_in, make_video
from tests.e2e.servers import Backend
from tests.e2e.service_helpers import config, predictions, retrieve, task_ids
from videogem.narration.reading import Cue
from videogem.structures import Box

CUES = [Cue(1.0, 3.0, "push the square"), Cue(4.0, 5.0, "lift the square")]
TEAL = (0x17, 0xBE, 0xBB)  # of the label 'Action box' in the ready config 'video'


@pytest.fixture
def project(
    label_studio: LabelStudioServer,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
) -> int:
    """A project with one predicted video task, made by the code of `videogem tasks`."""
    video = make_video(frames / "square.mp4")
    [task] = build_tasks(
        video, CUES, kind="video", out_dir=frames, files_root=label_studio.files_root
    )
    number = make_project(config("video"), [task["data"]], start_backend(SquareGrounder()))
    retrieve(label_studio, number)
    return number


def test_sequences_and_timeline(label_studio: LabelStudioServer, project: int) -> None:
    [prediction] = predictions(label_studio, project)
    boxes = [r["value"] for r in prediction["result"] if r["type"] == "videorectangle"]
    moments = [r["value"] for r in prediction["result"] if r["type"] == "timelinelabels"]
    assert [[step["frame"] for step in box["sequence"]] for box in boxes] == [
        [11, 16, 21, 26, 31],
        [41, 46, 51],
    ]
    for box in boxes:
        assert [step["enabled"] for step in box["sequence"]][-2:] == [True, False]
        for step in box["sequence"]:
            x1, y1, x2, y2 = (100 * edge for edge in box_in(step["frame"] - 1))
            drawn = (step["x"], step["y"], step["x"] + step["width"], step["y"] + step["height"])
            assert drawn == pytest.approx((x1, y1, x2, y2), abs=0.6)  # two pixels: compression
            assert step["rotation"] == 0
    assert [moment["ranges"] for moment in moments] == [
        [{"start": 11, "end": 31}],
        [{"start": 41, "end": 51}],
    ]


def test_boxes_lie_on_the_picture(
    label_studio: LabelStudioServer, project: int, page: Page, artifacts: Path
) -> None:
    [task] = task_ids(label_studio, project)
    page.goto(f"{label_studio.url}/projects/{project}/data?task={task}")
    page.wait_for_function(f"{SELECTED}?.regions?.length === 4")
    page.wait_for_function(f"{SELECTED}.names.get('video').length === {NUM_FRAMES}")
    page.wait_for_load_state("networkidle")
    shown = {11: "key", 14: "between", 16: "key", 29: "between", 44: "between", 46: "key"}
    for frame, where in shown.items():
        picture = artifacts / f"video_frame_{frame}_{where}.png"
        square, outline = seen_in_frame(page, frame, picture)
        expected = box_in(frame - 1)
        assert square is not None and outline is not None, f"frame {frame}: no box drawn"
        # From frame to frame the square moves by 0.0125 of the width.
        assert centre(square) == pytest.approx(centre(expected), abs=0.004), f"not frame {frame}"
        assert centre(outline) == pytest.approx(centre(square), abs=0.004), f"off in {frame}"
        assert outline == pytest.approx(square, abs=0.015), f"another size in frame {frame}"
    for frame in (5, 36, 56):
        picture = artifacts / f"video_frame_{frame}_outside.png"
        _, outline = seen_in_frame(page, frame, picture)
        assert outline is None, f"a box is drawn in frame {frame}, outside every cue"


def centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


Seen = Box | None


def seen_in_frame(page: Page, frame: int, picture: Path) -> tuple[Seen, Seen]:
    """Go to a frame as the timeline does; where the square and the box's outline are, in shares."""
    show_frame(page, frame, fps=FPS)
    page.wait_for_timeout(500)  # the canvas follows the video in its next frames
    page.screenshot(path=picture)
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    left, top, width, height = (round(side) for side in image_area(page))
    canvas = pixels[top : top + height, left : left + width]
    grey = np.abs(canvas - 110).max(axis=-1) < 12
    red, green, blue = canvas[..., 0], canvas[..., 1], canvas[..., 2]
    square = (red > 140) & (green < 110) & (blue > 140)
    rows, columns = np.flatnonzero(grey.mean(axis=1) > 0.3), np.flatnonzero(grey.mean(axis=0) > 0.3)
    video = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    outline = np.abs(video - TEAL).max(axis=-1) < 70
    return _extent(inside), _extent(outline)


def _extent(found: np.ndarray) -> Seen:
    """Box round the pixels found; a handful of them is an accident."""
    if found.sum() < 40:
        return None
    height, width = found.shape
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )
