"""The demo's projects: every sentence of the shipped clips becomes a task, the same each time."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from backend.commands.support.task_building import LOCAL_FILES
from backend.demo.tasks import CLIPS, demo_project
from videogem.errors import InputError
from videogem.narration.reading import read_cues


def local(url: str, root: Path) -> Path:
    assert url.startswith(LOCAL_FILES)
    return root / unquote(url.removeprefix(LOCAL_FILES))


def test_one_frame_for_each_sentence(tmp_path: Path) -> None:
    project = demo_project("frame", tmp_path)
    spoken = [cue.text for path in sorted(CLIPS.glob("*.srt")) for cue in read_cues(path)]
    assert [task["narration"] for task in project.tasks] == spoken
    for task in project.tasks:
        with Image.open(local(task["frame"], tmp_path)) as frame:
            assert frame.width >= 480 and frame.height >= 360
        assert local(task["frame"], tmp_path).is_relative_to(project.folder)
    assert len({task["id"] for task in project.tasks}) == len(spoken)


def test_a_second_run_makes_the_same_tasks(tmp_path: Path) -> None:
    assert demo_project("frame", tmp_path).tasks == demo_project("frame", tmp_path).tasks


def test_missing_clips_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clips"):
        demo_project("frame", tmp_path, clips=tmp_path)
