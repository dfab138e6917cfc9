"""What people do wrong ends with exit code 2 and a sentence: what was expected, came, is to do."""

import os
import shlex
import shutil
from pathlib import Path

import pytest

import backend.web.server
from backend.demo.processes import free_port
from tests.backend.commands.conftest import Run
from tests.backend.commands.mistakes import make_files

CLIP = Path(__file__).parents[3] / "videogem/data/demo/clips/kitchen.mp4"
PREFIX = "VIDEOGEM_"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    make_files(folder)
    shutil.copy(CLIP, folder / "clip.mp4")
    return folder


@pytest.fixture
def place(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Within the folder of files; a backend that would start after all ends the test."""

    def started(*_: object, **__: object) -> None:
        raise AssertionError("the backend started")

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(backend.web.server, "Servers", started)
    monkeypatch.chdir(files)
    return files


GROUND, CUES = "ground a.png --narration x", "tasks clip.mp4 --subtitles"
A_SRT = f"{CUES} a.srt --dry-run"
PREDICT = "predict a.png --narration x --out"
SCORE = "qa score --annotations boxes.jsonl --predictions"
MISTAKES = [
    # Paths and media
    ("ground none.png --narration x", "There is no file or folder 'none.png'"),
    ("ground folder --narration x", "holds no frames"),
    ("ground empty.png --narration x", "is empty (0 bytes)"),
    ("ground cut.png --narration x", "truncated"),
    ("ground text.mp4 --narration x", "cannot be read as a video"),
    ("ground clip.mp4 --narration x --time 1000", "give one from 0 to 7.000 s"),
    ("ground clip.mp4 --narration x --time nan", "give one from 0 to 7.000 s"),
    ("ground a.png --narration ' '", "The narration is empty"),
    # Numbers and choices
    ("ground clip.mp4 --narration x --step -1", "above 0, got -1"),
    ("ground clip.mp4 --narration x --step nan", "finite number, got nan"),
    (f"{GROUND} --image-size 7", "multiple of the patch size"),
    (f"{GROUND} --image-size 1000000", "at most 1536"),
    (f"{GROUND} --merge nope", "positions, maps, product"),
    (f"{GROUND} --dtype float16", "auto, float32, bfloat16"),
    (f"{GROUND} --nope", "No such option: --nope"),
    (f"{PREDICT} o.jsonl --workers 100000", "at most"),
    (f"{PREDICT} o.jsonl --workers 0", "greater than or equal to 1"),
    ("evaluate --processes 100000", "at most"),
    # Weights
    (f"{GROUND} --model ViT-B-16:text.safetensors", "'text.safetensors' cannot be read"),
    (f"{GROUND} --model ViT-B-16:empty.safetensors", "cannot be read"),
    (f"{GROUND} --model ViT-B-16:text.pt", "'text.pt' cannot be read"),
    (f"{GROUND} --model ViT-B-16:folder", "no weights file 'folder'"),
    ("models --fetch nope", "Unknown model 'nope'"),
    # Subtitles and narrations
    (f"{CUES} none.srt --dry-run", "no narration file none.srt"),
    (f"{CUES} folder.srt --dry-run", "no narration file folder.srt"),
    (f"{CUES} empty.srt --dry-run", "no cue with words"),
    (f"{CUES} binary.srt --dry-run", "not a text file"),
    (f"{CUES} a.png --dry-run", "not a text file"),
    (f"{CUES} bad.json --dry-run", "not valid JSON"),
    (f"{CUES} number.json --dry-run", "no known narration"),
    ("tasks clip.mp4 --dry-run", "name them with --subtitles"),
    ("tasks a.png --subtitles a.srt --dry-run", "is no video"),
    (f"{A_SRT} --every 0", "above 0, got 0"),
    (f"{A_SRT} --every nan", "finite number"),
    (f"{A_SRT} --offset inf", "finite number"),
    (f"{A_SRT} --format nope", "must be one of vtt"),
    (f"{CUES} a.srt --out a.png", "it is no folder"),
    ("prompts --file bad.jsonl", "a line that is not JSON"),
    ("prompts --file narrations.bin", "not a text file"),
    ("prompts", "Give a narration"),
    ("configs frame.xmll", "there are: actions, frame"),
    # Exports, rows, datasets
    (f"{PREDICT} o.txt", "must end with .jsonl or .parquet"),
    (f"{PREDICT} bad.jsonl", "no row that `videogem predict` wrote"),
    ("predict bad.json --out o.jsonl", "'bad.json' is no JSON"),
    ("predict latin.json --out o.jsonl", "'latin.json' is no JSON"),
    ("predict number.json --out o.jsonl", "expected a list of tasks"),
    (f"{SCORE} none.jsonl", "No such file"),
    (f"{SCORE} folder.jsonl", "Is a directory"),
    (f"{SCORE} bad.jsonl", "line 1: not JSON"),
    (f"{SCORE} twice.jsonl", "already on line 1"),
    (f"{SCORE} texts.jsonl", "finite numbers"),
    (f"{SCORE} list.jsonl", "JSON object"),
    (f"{SCORE} latin.jsonl", "not UTF-8"),
    ("datasets jsonl --root a.png", "is a file; --root takes its folder"),
    ("datasets labelstudio --root folder", "No Label Studio export"),
    ("datasets nope", "choose one of"),
    # The store
    ("qa report --database nonsense", "must look like sqlite"),
    ("qa report --database mysql://x/y", "SQLite or PostgreSQL"),
    ("qa report --database postgresql+nope://x/y", "no driver that is installed"),
    ("qa report --database postgresql://me@127.0.0.1:9/none", "Connection refused"),
    ("qa report --database sqlite:///none.db", "There is no quality store"),
    ("qa report --database sqlite:///text.sqlite", "not a database"),
    ("qa target --project 1 --database sqlite:///text.sqlite", "not a database"),
    ("qa recompute --database sqlite:///folder", "unable to open"),
]  # fmt: skip
SETTINGS = [
    ({"DATABASE_URL": "nonsense"}, "VIDEOGEM_DATABASE_URL must be a URL like"),
    ({"DATABASE_URL": "oracle://x"}, "VIDEOGEM_DATABASE_URL must be a URL like"),
    ({"DATABASE_URL": "sqlite:///text.sqlite"}, "not a database"),
    ({"DATABASE_URL": "sqlite:///folder"}, "VIDEOGEM_DATABASE_URL"),
    ({"DATABASE_URL": "sqlite://"}, "needs a file"),
    ({"PORT": "x"}, "VIDEOGEM_PORT: input should be a valid integer"),
    ({"DATA_DIR": "a.png"}, "it is no folder"),
    ({"DEVICE": "tpu"}, "The device 'tpu' cannot be used here"),
    ({"PREDICT_BUDGET": "nan"}, "VIDEOGEM_PREDICT_BUDGET"),
    ({"BASIC_AUTH_USER": "x"}, "must be set together"),
    ({"MORE_LABEL_STUDIOS": "[1]"}, "must be JSON such as"),
    ({"LABEL_STUDIO_URL": "http://me:pw@x"}, "an address without a user"),
    ({"LABEL_STUDIO_URL": "http://x:port"}, "must be an address like"),
    ({"LABEL_STUDIO_URL": "http://x\\@y"}, "VIDEOGEM_LABEL_STUDIO_URL must be an address"),
    ({"ALLOWED_HOSTS": "999.1.1.1/99"}, "must hold host names"),
    ({"LOG_LEVEL": "LOUD"}, "must be DEBUG, INFO"),
    ({"MODEL_FILE": "none.txt"}, "cannot read none.txt"),
]


def told(run: Run, *arguments: str) -> str:
    """The sentence a mistake is told in."""
    done = run(*arguments)
    assert done.code == 2, done.err
    for word in ("Traceback", "defect", "Errno"):
        assert word not in done.err
    before, _, sentence = done.err.strip().rpartition("Error: ")
    assert before == "" or "Usage:" in before
    assert 20 < len(sentence) < 500
    return sentence


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_in_a_sentence(run: Run, place: Path, line: str, words: str) -> None:
    assert words in told(run, *shlex.split(line))


@pytest.mark.parametrize(("values", "words"), SETTINGS, ids=[str(each) for each, _ in SETTINGS])
def test_a_wrong_setting_is_told_in_a_sentence(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, str], words: str
) -> None:
    for name, value in {"PORT": str(free_port()), **values}.items():
        monkeypatch.setenv(PREFIX + name, value)
    sentence = told(run, "serve")
    assert words in sentence
    assert "pw" not in sentence


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_is_none(run: Run, place: Path, port: str) -> None:
    assert "--port" in told(run, "serve", "--port", port)
