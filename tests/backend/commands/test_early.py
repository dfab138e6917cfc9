"""What is wrong in a command line is said in a sentence before anything is loaded."""

import os
import socket
import sys
from pathlib import Path

import pytest
from PIL import Image

from backend.prediction.model import BackgroundModel
from backend.running_demo import RunningDemo, token_file_of
from tests.fakes import FakeGrounder

FILE = "file.txt"
HEAVY = (
    "backend.commands.support.evaluation_steps",
    "backend.commands.support.task_building",
    "backend.demo.run",
    "backend.prediction.batcher",
    "backend.web.app",
    "videogem.grounding",
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a file in it; what loads a model cannot even be imported."""
    monkeypatch.chdir(tmp_path)
    Path(FILE).write_text("text")
    Path("weights.safetensors").write_bytes(b"")
    Path("clip.mp4").write_bytes(b"")
    Image.new("RGB", (8, 8)).save("picture.png")
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", "http://localhost:9")
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "t" * 40)
    for name in HEAVY:
        monkeypatch.setitem(sys.modules, name, None)
    return tmp_path


MEANT = "Did you mean 'ViT-B-16/openai'?"
TAG, SPELLED, NONE = "ViT-B-16/openaii", "vit-b-16-openai", "ViT-B-16:none.pt"
ROWS = "rows.jsonl"
NO_FILE = "There is no weights file 'none.pt'"
NO_FOLDER = f"Nothing can be written to '{FILE}/out': it is no folder"


@pytest.mark.parametrize(
    ("line", "setting", "message"),
    [
        ("serve", {"MODEL": "demoo"}, "Did you mean 'demo'?"),
        ("serve", {"MODEL": TAG}, MEANT),
        ("serve", {"MODEL": NONE}, NO_FILE),
        ("serve", {"MODEL": "weights.safetensors"}, "needs its open_clip model config beside it"),
        ("serve", {"METHOD": "gemm"}, "method must be one of videogem"),
        ("serve", {"METHOD": "gemm"}, "Did you mean 'gem'?"),
        ("serve", {"DATA_DIR": f"{FILE}/out"}, f"{NO_FOLDER} at "),
        ("annotate --project 1", {"MODEL": TAG}, MEANT),
        (f"ground {FILE} --narration x --model demoo", {}, "Did you mean 'demo'?"),
        (f"ground {FILE} --narration x --model {NONE}", {}, NO_FILE),
        (f"ground {FILE} --narration x --out {FILE}/out", {}, NO_FOLDER),
        (f"ground {FILE} --narration x --method clip_sugery", {}, "Did you mean 'clip_surgery'?"),
        (f"ground {FILE} --narration x --merge map", {}, "Did you mean 'maps'?"),
        (f"ground {FILE} --narration x", {}, f"{FILE} cannot be read"),
        ("ground picture.png --narration -", {}, "The narration is empty"),
        ("ground none.png --narration x", {}, "There is no file or folder 'none.png'"),
        (f"predict picture.png --narration x --out {FILE}/out/x.jsonl", {}, NO_FOLDER),
        (f"qa report --out {FILE}/out/x.html", {}, NO_FOLDER),
        (f"qa export --format csv --out {FILE}/out/x.csv", {}, NO_FOLDER),
        (f"qa marks --format csv --out {FILE}/out/x.csv", {}, NO_FOLDER),
        ("qa report --out .", {}, "is a folder; name a file"),
        ("configs fram", {}, "Did you mean 'frame'?"),
        ("datasets yucook", {}, "Did you mean 'youcook'?"),
        (f"evaluate --model {SPELLED}", {}, MEANT),
        (f"evaluate --out {FILE}/out", {}, NO_FOLDER),
        (f"evaluate --cache {FILE}/out", {}, NO_FOLDER),
        ("evaluate --predictions mine=none.jsonl", {}, "no predictions file 'none.jsonl'"),
        ("tasks none.mp4", {}, "There is no video 'none.mp4'"),
        (f"tasks clip.mp4 --out {FILE}/out", {}, NO_FOLDER),
        ("tasks clip.mp4 --format strt", {}, "Did you mean 'srt'?"),
        ("tasks clip.mp4 --kind fram", {}, "Did you mean 'frame'?"),
        ("tasks clip.mp4 --at midle", {}, "Did you mean 'middle'?"),
        (f"predict picture.png --narration x --out {ROWS} --at strat", {}, "Did you mean 'start'?"),
        (f"predict picture.png --out {ROWS} --engine locl", {}, "Did you mean 'local'?"),
        (f"predict picture.png --out {ROWS} --jpeg cpuu", {}, "Did you mean 'cpu'?"),
        ("annotate --project 1 --engine locl", {}, "Did you mean 'local'?"),
        ("evaluate --engine locl", {}, "Did you mean 'local'?"),
        ("evaluate --rule exct", {}, "Did you mean 'exact'?"),
        ("evaluate --figure cosin --out new", {}, "Did you mean 'cosine'?"),
        ("qa export --format jsn", {}, "Did you mean 'json'?"),
        ("qa marks --format tabel", {}, "Did you mean 'table'?"),
        ("qa target --project 1 --of independant", {}, "Did you mean 'independent'?"),
        (f"tasks clip.mp4 --at best --model {TAG}", {}, MEANT),
        (f"demo --model {TAG}", {}, MEANT),
        (f"demo --state {FILE}/out", {}, NO_FOLDER),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_loaded(
    run, place, monkeypatch, line, setting, message
):
    for name, value in setting.items():
        monkeypatch.setenv(f"VIDEOGEM_{name}", value)
    done = run(*line.split())
    assert (done.code, done.out) == (2, ""), done.err
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize("given", ["option", "setting"])
def test_a_port_in_use_is_told_before_anything_is_loaded(run, place, monkeypatch, given):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("VIDEOGEM_PORT", port if given == "setting" else "9090")
        done = run("serve", *(["--port", port] if given == "option" else []))
    assert done.code == 2
    assert f"Port {port} of 127.0.0.1 is in use" in done.err and "--port" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_folder_that_may_not_be_written_is_told(run, place, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    done = run("serve")
    assert done.code == 2
    assert "Nothing can be written to" in done.err and "Permission denied" in done.err
    assert "VIDEOGEM_DATA_DIR" in done.err


def test_the_doctor_finds_a_demo_that_runs_here(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "backend.web.app.configured_model", lambda _: BackgroundModel.of(FakeGrounder())
    )
    state = tmp_path / "var/demo"
    token_file_of(state).parent.mkdir(parents=True)
    token_file_of(state).write_text('{"user": "u", "password": "p", "token": "abc"}')
    demo = RunningDemo(os.getpid(), "http://localhost:9", "http://localhost:9090", {})
    demo.write(state)
    done = run("doctor")
    assert "demo: runs in var/demo" in done.out
    assert "Label Studio at http://localhost:9 cannot be reached" in done.out

    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    RunningDemo(child, "http://localhost:9", "http://localhost:9090", {}).write(state)
    done = run("doctor")
    assert "demo" not in done.out and "its address is not known" in done.out
