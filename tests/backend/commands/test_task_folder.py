"""`videogem tasks` into one folder, again and again: nothing in it is lost or left half."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.cli import app
from backend.commands.support import task_folder
from backend.commands.support.task_building import build_tasks
from backend.commands.support.task_folder import add_tasks, claim_folder, content_of, whole_file
from backend.labeling.ready import ready_configs
from tests import clips
from videogem.errors import InputError
from videogem.narration.reading import Cue

SRT = "1\n00:00:00,200 --> 00:00:01,000\ncut the tomato\n"
CUE = Cue(0.2, 1.0, "cut the tomato")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two clips of one name in two folders."""
    clips.require_ffmpeg()
    folder = tmp_path_factory.mktemp("videos")
    made = []
    for name, options in (("a", ("-g", "30")), ("b", ("-vf", "negate"))):
        (folder / name).mkdir()
        path = clips.encode(folder / name / "clip.mp4", "-c:v", "libx264", *options)
        path.with_suffix(".srt").write_text(SRT)
        made.append(path)
    return made[0], made[1]


def run(*args: object):
    return CliRunner().invoke(app, ["tasks", *map(str, args)], catch_exceptions=False)


def frames_of(tasks: list, out: Path) -> list[Path]:
    return [out / task["data"]["frame"].partition("?d=")[2] for task in tasks]


def test_a_second_clip_adds_to_the_tasks(videos, tmp_path):
    first, second = videos
    run(first, "--out", tmp_path)
    before = json.loads((tmp_path / "tasks.json").read_text())
    pixels = frames_of(before, tmp_path)[0].read_bytes()
    other = tmp_path / "other name.mp4"
    shutil.copy(second, other)
    told = run(other, "--subtitles", second.with_suffix(".srt"), "--out", tmp_path).stdout
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert tasks[:1] == before and len(tasks) == 2
    assert "2 tasks in" in told and "1 new, 0 written again, 1 of other runs" in told
    assert frames_of(tasks, tmp_path)[0].read_bytes() == pixels


def test_clips_of_one_name_keep_their_own_frames_and_ids(videos, tmp_path):
    for video in videos:
        run(video, "--out", tmp_path)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    first, second = frames_of(tasks, tmp_path)
    assert first.parent.name == "clip" and second.parent.name.startswith("clip-")
    assert first.name == second.name and first.read_bytes() != second.read_bytes()
    assert tasks[0]["data"]["id"] != tasks[1]["data"]["id"]
    # Whichever runs again finds its own folder.
    again = run(videos[1], "--out", tmp_path).stdout
    assert "0 new, 1 written again, 1 of other runs" in again
    assert json.loads((tmp_path / "tasks.json").read_text()) == tasks


def test_copied_videos_of_one_name_do_not_overwrite_each_other(videos, tmp_path):
    made = [
        build_tasks(video, [CUE], kind="video", out_dir=tmp_path)[0]["data"] for video in videos
    ]
    copies = [tmp_path / data["video"].partition("?d=")[2] for data in made]
    assert [content_of(copy) for copy in copies] == [content_of(video) for video in videos]
    assert made[0]["id"] != made[1]["id"]


def test_served_videos_of_one_name_have_ids_of_their_own(videos, tmp_path):
    root = videos[0].parents[1]
    ids = {
        build_tasks(video, [CUE], kind="video", out_dir=tmp_path, files_root=root)[0]["data"]["id"]
        for video in videos
    }
    assert len(ids) == 2


def test_a_folder_of_somebody_else_is_left_alone(videos, tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "mine.txt").write_text("mine")
    assert claim_folder(tmp_path, videos[0]).startswith("clip-")


def test_a_run_that_is_stopped_leaves_no_half_file(videos, tmp_path, monkeypatch):
    run(videos[0], "--out", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def stopped(self, fp, *_, **__):
        Path(fp).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stopped)
    assert CliRunner().invoke(app, ["tasks", str(videos[1]), "--out", str(tmp_path)]).exit_code
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    notes = {path for path in left if task_folder.NOTES in path.parts}
    assert {path: left[path] for path in left if path not in notes - before.keys()} == before


def test_a_file_that_is_not_written_whole_is_not_there(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text("old")

    def write():
        with whole_file(path) as part:
            part.write_text("ne")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", "half a fi"])
def test_a_file_without_tasks_is_refused_before_anything_is_written(videos, tmp_path, content):
    (tmp_path / "tasks.json").write_text(content)
    with pytest.raises(InputError, match=r"holds no list of tasks.*--out"):
        run(videos[0], "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.json"]
    assert (tmp_path / "tasks.json").read_text() == content


def test_tasks_that_were_there_keep_their_place(tmp_path):
    def task(id_, text):
        return {"data": {"id": id_, "narration": text}}

    foreign = {"data": {"image": "x.jpg"}}
    (tmp_path / "tasks.json").write_text(json.dumps([task("a", "old"), foreign, task("b", "b")]))
    added = add_tasks(tmp_path, [task("c", "c"), task("a", "new")])
    assert (added.new, added.renewed, added.kept, added.total) == (1, 1, 2, 4)
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert tasks == [task("a", "new"), foreign, task("b", "b"), task("c", "c")]


@pytest.mark.parametrize("kind", ["frame", "frames", "video"])
def test_it_ends_with_the_next_three_steps(videos, tmp_path, kind):
    said = run(videos[0], "--out", tmp_path, "--kind", kind).stdout
    steps = said[said.index("Next:") :].splitlines()
    assert [line[:2] for line in steps[1:]] == ["1.", "2.", "3."]
    config = steps[1].partition("videogem configs ")[2].partition("'")[0]
    assert config in ready_configs()
    # The folder to add is one below the document root, as Label Studio demands.
    assert f"DOCUMENT_ROOT={tmp_path}," in steps[1] and f"add {tmp_path / 'clip'} under" in steps[1]
    assert str(tmp_path / "tasks.json") in steps[2]
    assert "Retrieve predictions" in steps[3]


def test_the_steps_name_the_folder_below_a_larger_root(videos, tmp_path):
    out = tmp_path / "kitchen" / "out"
    said = run(videos[0], "--out", out, "--files-root", tmp_path).stdout
    assert f"DOCUMENT_ROOT={tmp_path}," in said and f"add {out} under" in said
    said = run(videos[0], "--out", out, "--url-prefix", "https://x.org/").stdout
    assert f"files below {out} can be had at https://x.org/" in said
