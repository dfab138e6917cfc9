"""The ready labeling configs, and configs that can never work, in a real Label Studio."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.demo.local_label_studio import LabelStudioServer
from tests.e2e.service_helpers import (
    NARRATION,
    SlowGrounder,
    call,
    config,
    frame_tasks,
    make_frames,
    predictions,
    refused,
    retrieve,
    task_ids,
)

Make = Callable[..., Any]
LABEL = "Object point"


def types_of(server: LabelStudioServer, project: int) -> list[tuple[str, Any]]:
    """Type and item of every region of the only prediction."""
    [prediction] = predictions(server, project)
    return [(region["type"], region.get("item_index")) for region in prediction["result"]]


def test_frame_list(
    label_studio: LabelStudioServer,
    make_project: Make,
    start_backend: Make,
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    addresses = [frame_url(path) for path in make_frames(frames, 3)]
    task = {"frames": addresses, "narration": NARRATION}
    project = make_project(config("frame_list"), [task], start_backend(SlowGrounder(0)))
    retrieve(label_studio, project)
    expected = [(kind, n) for n in range(3) for kind in ("keypointlabels", "rectanglelabels")]
    assert types_of(label_studio, project) == expected


def test_actions_as_labels(
    label_studio: LabelStudioServer,
    make_project: Make,
    start_backend: Make,
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    [task] = frame_tasks(frames, frame_url, 1)
    project = make_project(config("actions"), [task], start_backend(SlowGrounder(0)))
    retrieve(label_studio, project)
    [prediction] = predictions(label_studio, project)
    labels = {region["value"][region["type"]][0] for region in prediction["result"]}
    assert labels <= {"cut tomato", "pour water", "TakingPhotosOrVideos"}
    assert {region["type"] for region in prediction["result"]} == {
        "keypointlabels",
        "rectanglelabels",
    }


def test_interactive(
    label_studio: LabelStudioServer,
    make_project: Make,
    start_backend: Make,
    frames: Path,
    frame_url: Callable[[Path], str],
) -> None:
    token = label_studio.credentials.token
    backend = start_backend(SlowGrounder(0))
    project = make_project(config("interactive"), frame_tasks(frames, frame_url, 1), backend)
    [connected] = call(f"{label_studio.url}/api/ml?project={project}", token)
    url = f"{label_studio.url}/api/ml/{connected['id']}"
    call(url, token, "PATCH", {"is_interactive": True, "url": backend.url, "project": project})
    [task] = task_ids(label_studio, project)
    value = {"x": 80, "y": 70, "width": 0.3, "labels": [LABEL], "keypointlabels": [LABEL]}
    click = {
        "id": "click", "type": "keypointlabels", "from_name": "point", "to_name": "frame",
        "value": value, "is_positive": True, "origin": "manual",
    }  # fmt: skip
    body = {"task": task, "context": {"result": [click]}}
    answer = call(f"{url}/interactive-annotating", token, "POST", body)
    point, box = answer["data"]["result"]
    assert point["value"]["keypointlabels"] == [LABEL]
    assert abs(point["value"]["x"] - 80) < 20
    assert box["type"] == "rectanglelabels"


@pytest.mark.parametrize(
    ("hopeless", "words"),
    [
        ('<View><Image name="i" value="$i"/><Ellipse name="e" toName="i"/></View>', "KeyPoint"),
        (
            '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
            '<KeyPoint name="k" toName="i" model_score_threshold="high"/></View>',
            "model_score_threshold",
        ),
    ],
)  # fmt: skip
def test_the_connect_dialog_says_why_a_config_can_never_work(
    label_studio: LabelStudioServer,
    make_project: Make,
    start_backend: Make,
    hopeless: str,
    words: str,
) -> None:
    project = make_project(hopeless)
    body = {"project": project, "url": start_backend(SlowGrounder(0)).url}
    with refused(400) as said:
        call(f"{label_studio.url}/api/ml", label_studio.credentials.token, "POST", body)
    assert words in said[0]
