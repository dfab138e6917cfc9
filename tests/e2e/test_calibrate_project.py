"""`videogem calibrate --project` with a real Label Studio: its annotations, then predictions."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from label_studio_sdk.client import LabelStudio
from PIL import Image

from backend.demo.local_label_studio import LabelStudioServer
from backend.label_studio.project_setup import ensure_backend, retrieve_predictions
from backend.settings import Settings
from backend.web.app import configured_model
from benchmarks.confidence.groundings import drawn
from tests.e2e.servers import Backend
from tests.e2e.service_helpers import call, config, predictions, task_ids
from videogem.structures import Box

SCENES, SEED = 50, 3
USED, BIASED = 60, 4  # tasks that count, and tasks corrected with a prediction in sight


def region(box: Box, **more: Any) -> dict[str, Any]:
    left, top, right, bottom = (100 * side for side in box)
    value = {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    return {
        "type": "rectanglelabels", "from_name": "box", "to_name": "frame", "image_rotation": 0,
        "original_width": 224, "original_height": 224,
        "value": {**value, "rectanglelabels": ["Action box"]}, **more,
    }  # fmt: skip


def scenes(folder: Path) -> list[tuple[Path, str, Box]]:
    """Sentences of scenes in a style that the model was not made for, with their true boxes."""
    found = []
    for frame in drawn("unseen-style", SCENES, SEED):
        path = folder / f"calibrate-{frame.name.replace('/', '-')}.png"
        Image.fromarray(frame.image).save(path)
        found += [(path, *each) for each in zip(frame.said, frame.boxes, strict=True)]
    return found[: USED + BIASED + 1]


def versions(server: LabelStudioServer, project: int, tasks: Sequence[int]) -> list[str]:
    """Model versions of the newest predictions of some tasks."""
    found = {each["task"]: each["model_version"] for each in sorted(
        predictions(server, project), key=lambda each: int(each["id"])
    )}  # fmt: skip
    return [str(found[task]) for task in tasks]


def test_corrections_become_a_profile_and_one_command_takes_it_back(
    label_studio: LabelStudioServer,
    client: LabelStudio,
    make_project: Callable[..., int],
    start_backend: Callable[..., Backend],
    frames: Path,
    frame_url: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    folder, token = tmp_path / "data", label_studio.credentials.token
    truth = scenes(frames)
    tasks = [{"frame": frame_url(path), "narration": said} for path, said, _ in truth]
    project = make_project(config("frame"), tasks)
    ids = task_ids(label_studio, project)
    assert len(ids) == USED + BIASED + 1  # the last is annotated by nobody
    for number, (task, (_, _, box)) in enumerate(zip(ids[:-1], truth, strict=False)):
        biased = number >= USED
        body = {
            "result": [region(box, **({"origin": "prediction"} if biased else {}))],
            "ground_truth": number % 2 == 0 and not biased,
            "lead_time": 6.0,
        }
        call(f"{label_studio.url}/api/tasks/{task}/annotations/", token, "POST", body)

    def calibrate(*options: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", "from backend.cli import main; main()", "calibrate", *options],
            env=os.environ
            | {
                "VIDEOGEM_DATA_DIR": str(folder),
                "VIDEOGEM_LABEL_STUDIO_URL": label_studio.url,
                "VIDEOGEM_LABEL_STUDIO_API_KEY": token,
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    before = configured_model(Settings(data_dir=folder)).version
    told = calibrate("--project", str(project))
    videos = len({path for path, _, _ in truth[:USED]})
    assert f"{USED} corrections of {videos} videos" in told
    assert f"{BIASED + 1} x no annotation that was drawn without a prediction in sight" in told
    assert "score fitted" in told
    name = f"project-{project}"
    assert f"{name}  (in use)" in calibrate("--list")
    own = configured_model(Settings(data_dir=folder)).version
    assert own != before

    some = ids[:2]
    ensure_backend(client, project, start_backend(data_dir=folder).url)
    list(retrieve_predictions(client, project, some))
    assert versions(label_studio, project, some) == [own, own]
    assert "In use: shipped" in calibrate("--undo")
    assert configured_model(Settings(data_dir=folder)).version == before
