"""`videogem tasks`: the right frame for every cue, the same tasks on every run."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from backend.cli import app
from backend.commands.support.task_building import build_tasks, choose_best, plan_moments
from tests import clips
from videogem.errors import InputError
from videogem.media.video import probe
from videogem.narration.reading import Cue, read_cues

CUES = [
    Cue(0.4, 0.8, "crack two eggs"),
    Cue(1.0, 2.6, "whisk them"),
    Cue(1.2, 1.6, "it's very hot"),
    Cue(3.6, 4.4, "pour the milk"),
    Cue(9.0, 9.5, "bake it"),
]
SRT = "\n".join(
    f"{number}\n00:00:0{cue.start:.3f} --> 00:00:0{cue.end:.3f}\n{cue.text}\n"
    for number, cue in enumerate(CUES, start=1)
)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    clips.require_ffmpeg()
    folder = tmp_path_factory.mktemp("videos")
    path = clips.encode(folder / "my kitchen.mp4", "-c:v", "libx264", "-bf", "2", "-g", "30")
    path.with_suffix(".srt").write_text(SRT)
    return path


def number_in(path):
    with Image.open(path) as image:
        return clips.frame_number(np.asarray(image.convert("RGB")))


def run(*args):
    result = CliRunner().invoke(app, ["tasks", *map(str, args)], catch_exceptions=False)
    return result


class TestFrames:
    def test_each_cue_gets_the_frame_of_its_middle(self, video, tmp_path):
        tasks = build_tasks(video, CUES[:4], kind="frame", out_dir=tmp_path)
        numbers = []
        for task, cue in zip(tasks, CUES, strict=False):
            data = task["data"]
            assert data["narration"] == cue.text
            assert data["time"] == pytest.approx((cue.start + cue.end) / 2)
            assert data["frame"].startswith("/data/local-files/?d=my%20kitchen/")
            name = data["frame"].rpartition("/")[2]
            numbers.append(number_in(tmp_path / "my kitchen" / name))
        assert numbers == [15, 45, 35, 99]  # the last cue ends after the video: its last frame

    def test_same_tasks_and_files_again(self, video, tmp_path):
        first = build_tasks(video, CUES[:4], out_dir=tmp_path)
        files = {path.name: path.read_bytes() for path in (tmp_path / "my kitchen").iterdir()}
        assert build_tasks(video, CUES[:4], out_dir=tmp_path) == first
        assert {p.name: p.read_bytes() for p in (tmp_path / "my kitchen").iterdir()} == files
        ids = [task["data"]["id"] for task in first]
        assert len(set(ids)) == 4
        # Leaving out a cue does not rename the others.
        fewer = build_tasks(video, CUES[1:4], out_dir=tmp_path)
        assert [task["data"]["id"] for task in fewer] == ids[1:]

    def test_every_so_many_seconds(self, video, tmp_path):
        tasks = build_tasks(video, CUES[1:2], out_dir=tmp_path, every=0.4)
        assert [task["data"]["time"] for task in tasks] == [1.0, 1.4, 1.8, 2.2, 2.6]
        assert len({task["data"]["id"] for task in tasks}) == 5

    def test_paths_start_at_the_files_root(self, video, tmp_path):
        tasks = build_tasks(
            video,
            CUES[:1],
            out_dir=tmp_path / "a" / "b",
            files_root=tmp_path,
            url_prefix="http://x/",
        )
        assert tasks[0]["data"]["frame"] == "http://x/a/b/my%20kitchen/00000600.jpg"
        with pytest.raises(InputError, match="outside the folder that is served"):
            build_tasks(video, CUES[:1], out_dir=tmp_path / "a", files_root=tmp_path / "b")


class TestFrameLists:
    def test_window_round_the_moment(self, video, tmp_path):
        (task,) = build_tasks(video, CUES[1:2], kind="frames", out_dir=tmp_path)
        names = [url.rpartition("/")[2] for url in task["data"]["frames"]]
        numbers = [number_in(tmp_path / "my kitchen" / name) for name in names]
        assert numbers == [20, 26, 32, 38, 45, 51, 57, 63]
        assert numbers[task["data"]["target"]] == 45

    def test_no_frame_twice_at_the_ends(self, video, tmp_path):
        (task,) = build_tasks(video, CUES[:1], kind="frames", out_dir=tmp_path)
        assert len(task["data"]["frames"]) == 7  # two of eight lie before the start
        target = task["data"]["frames"][task["data"]["target"]]
        assert target.endswith("/00000600.jpg")


class TestVideos:
    def test_one_task_with_all_cues(self, video, tmp_path):
        (task,) = build_tasks(video, CUES[:4], kind="video", out_dir=tmp_path)
        data = task["data"]
        assert data["fps"] == 25.0
        assert data["narration"][0] == {"start": 0.4, "end": 0.8, "text": "crack two eggs"}
        assert data["narration"][3]["end"] == 4.0
        assert data["video"] == "/data/local-files/?d=my%20kitchen/my%20kitchen.mp4"
        copy = tmp_path / "my kitchen" / "my kitchen.mp4"  # Label Studio serves no root folder
        assert copy.read_bytes() == video.read_bytes()

    def test_a_served_video_is_not_copied(self, video, tmp_path):
        out = video.parent / "out"
        (task,) = build_tasks(video, CUES, kind="video", out_dir=out, files_root=video.parent)
        assert task["data"]["video"] == "/data/local-files/?d=my%20kitchen.mp4"
        assert not out.exists()


def test_best_of_five_takes_the_frame_that_scores_highest(video):
    asked = []

    def score(clip, text):
        number = clips.frame_number(clip.target_frame)
        asked.append((number, text))
        return -abs(number - 33)

    moments = choose_best(video, plan_moments(CUES[1:2], probe(video)), score)
    assert asked == [(number, "whisk them") for number in (29, 37, 45, 53, 61)]
    assert moments[0].time == pytest.approx(1.16)
    assert moments[0].choice == "best of 5"


class TestCommand:
    def test_writes_import_json(self, video, tmp_path):
        result = run(video, "--out", tmp_path, "--actions-only")
        assert result.exit_code == 0
        tasks = json.loads((tmp_path / "tasks.json").read_text())
        assert [task["data"]["narration"] for task in tasks] == [
            "crack two eggs",
            "whisk them",
            "pour the milk",
        ]
        assert "3 tasks" in result.stdout and "cues left out: 2 of 5" in result.stdout

    def test_dry_run_shows_times_prompts_and_reasons_and_writes_nothing(self, video, tmp_path):
        result = run(video, "--out", tmp_path / "none", "--actions-only", "--dry-run")
        assert result.exit_code == 0
        assert not (tmp_path / "none").exists()
        rows = {
            line.split("│")[1].strip(): line for line in result.stdout.splitlines() if "│" in line
        }
        assert "1.80" in rows["1.00-2.60"]
        assert "A photo of a person whisk them." in rows["1.00-2.60"]
        assert "no verb" in rows["1.20-1.60"]
        assert "starts after the video ends (4.0 s)" in rows["9.00-9.50"]

    def test_subtitles_beside_the_video_are_found(self, video):
        assert read_cues(video.with_suffix(".srt")) == CUES

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (["--kind", "movie"], "--kind must be"),
            (["--at", "centre"], "--at must be"),
            (["--format", "docx"], "--format must be"),
            (["--subtitles", "nothing.srt"], "no narration file"),
        ],
    )
    def test_bad_options_are_told(self, video, args, said):
        with pytest.raises(InputError, match=said):
            run(video, *args)

    @pytest.mark.parametrize("every", ["0", "-1", "nan"])
    def test_a_step_is_positive(self, video, every):
        result = run(video, "--every", every)
        assert result.exit_code == 2
        assert "--every" in result.stderr and every in result.stderr


def test_a_dry_run_as_json(video, tmp_path):
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,200 --> 00:00:01,000\nPlace chicken in oven.\n\n"
        "2\n00:00:01,200 --> 00:00:02,000\n[Music]\n"
    )
    args = (video, "--subtitles", tmp_path / "a.srt", "--actions-only", "--dry-run", "--json")
    assert json.loads(run(*args).stdout) == [
        {
            "start": 0.2,
            "end": 1.0,
            "text": "Place chicken in oven.",
            "time": 0.6,
            "verb": "place",
            "object": "chicken",
            "kept": True,
            "reason": None,
        },
        {
            "start": 1.2,
            "end": 2.0,
            "text": "[Music]",
            "time": None,
            "verb": None,
            "object": "Music",
            "kept": False,
            "reason": "no words, only sound",
        },
    ]
