"""`videogem ground` and `videogem models` as people run them."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from backend.commands.ground import grounding_json
from tests.fakes import FakeGrounder
from videogem.structures import Clip


@pytest.fixture
def picture(tmp_path: Path, random_frame: np.ndarray) -> Path:
    path = tmp_path / "kitchen.png"
    Image.fromarray(random_frame).save(path)
    return path


def test_json_is_all_that_is_printed_and_a_picture_is_written(run, picture, tmp_path):
    out = tmp_path / "pictures"
    done = run("ground", picture, "--narration", "now cook the carrot", "--json", "--out", out)
    assert done.code == 0, done.err
    data = json.loads(done.out)
    assert list(data) == [
        "point",
        "box",
        "score",
        "scoring",
        "components",
        "frame_index",
        "time",
        "size",
        "model_version",
        "method",
        "presence",
        "signals",
    ]
    assert data["size"] == [90, 60]
    x1, y1, x2, y2 = data["box"]
    assert 0 <= x1 < x2 <= 90 and 0 <= y1 < y2 <= 60
    assert data["components"]["verb"]["prompt"] == "A photo of a person cook something."
    assert (data["frame_index"], data["time"], data["method"]) == (0, 0.0, "videogem")
    with Image.open(out / "kitchen_000000.png") as image:
        assert image.size == (960, 2 * (320 + 26))


@pytest.mark.parametrize(
    ("option", "prompts"),
    [
        ((), ["pick up something.", "using cutting board.", "pick up the cutting board."]),
        (
            ("--paper-words",),
            ["pick something.", "using board.", "Now you pick up the cutting board."],
        ),
    ],
)
def test_paper_words_cut_as_the_paper_does(run, picture, option, prompts):
    said = "Now you pick up the cutting board."
    done = run("ground", picture, "--narration", said, "--json", *option)
    parts = json.loads(done.out)["components"]
    asked = [part["prompt"].removeprefix("A photo of a person ") for part in parts.values()]
    assert asked == prompts


def test_pixels_are_those_of_the_source_frame():
    clip = Clip.from_image(np.zeros((200, 400, 3), dtype=np.uint8))
    grounding = FakeGrounder({"cut tomato": (0.25, 0.5)}).ground(clip, ["cut tomato"])[0]
    data = grounding_json(grounding)
    assert data["point"] == [100.0, 100.0]
    assert data["box"] == [60.0, 80.0, 140.0, 120.0]
    assert data["components"]["action"]["point"] == [100.0, 100.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--narration": "  "}, "narration is empty"),
        ({"source": "no-such-file.png"}, "no file or folder 'no-such-file.png'"),
        ({"--model": "resnet"}, "Unknown model 'resnet'"),
        ({"--model": "ViT-B-16:/no/weights.pt"}, "no weights file '/no/weights.pt'"),
        ({"--method": "magic"}, "method must be one of videogem"),
        ({"--device": "quantum"}, "device 'quantum' cannot be used"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(run, picture, change, message):
    options = {"--narration": "cut tomato", "--model": "demo"} | change
    source = options.pop("source", picture)
    done = run("ground", source, *[part for option in options.items() for part in option], "--json")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_time_outside_the_clip_is_told(run, tmp_path):
    path = tmp_path / "short.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    done = run("ground", path, "--narration", "cut tomato", "--time", "7", "--json")
    assert (done.code, done.out) == (2, "")
    assert "The time 7 s is outside short.mp4" in done.err
    done = run("ground", path, "--narration", "cut tomato", "--json")
    assert json.loads(done.out)["frame_index"] == 5


def test_a_file_that_is_no_picture_is_told(run, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    done = run("ground", path, "--narration", "cut tomato")
    assert done.code == 2
    assert "Traceback" not in done.err and "notes.mp4" in done.err


def test_models_lists_what_is_here(run):
    done = run("models", "--contains", "demo")
    assert done.code == 0
    assert "demo" in done.out and "here" in done.out


def test_help_needs_no_heavy_imports():
    code = (
        "import sys\nfrom backend import cli\n"
        "heavy = {'torch', 'spacy', 'av', 'sqlalchemy', 'label_studio_sdk'} & sys.modules.keys()\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
