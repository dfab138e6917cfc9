"""`videogem predict`: every source, resumed, in one order, and what failed beside it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from backend import cli
from backend.bulk.files import read_rows
from backend.bulk.local import ground_here
from backend.bulk.models import ModelChoice
from backend.bulk.rows import FIELDS
from backend.prediction.batcher import Batcher
from tests.clips import encode
from tests.fakes import FakeGrounder
from videogem.errors import InputError

Videogem = Callable[..., tuple[int, str, str]]


@pytest.fixture
def grounder(monkeypatch: pytest.MonkeyPatch) -> FakeGrounder:
    grounder = FakeGrounder()
    monkeypatch.setattr(ModelChoice, "load", lambda choice: Batcher(grounder))
    monkeypatch.setattr(ModelChoice, "version", property(lambda choice: grounder.version))
    return grounder


@pytest.fixture
def videogem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Videogem:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["videogem", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Three pictures that say what happens in them, one that does not, one that is none."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("b", "a", "c", "silent"):
        picture(folder / f"{name}.png")
    (folder / "a.txt").write_text("cut tomato\nhold knife\n")
    (folder / "b.txt").write_text("stir soup")
    (folder / "c.txt").write_text("пить чай")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (folder / "broken.txt").write_text("pour milk")
    return folder


def picture(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_folder_of_pictures(videogem: Videogem, frames: Path, grounder: FakeGrounder) -> None:
    code, out, _ = videogem("predict", "frames", "--out", "rows.jsonl")
    assert code == 1
    assert "4 rows in rows.jsonl: 4 new, 0 of earlier runs; 2 failed" in out
    assert "videogem annotate --project NUMBER --from rows.jsonl" in out
    found = rows(Path("rows.jsonl"))
    assert [tuple(row) for row in found] == [FIELDS] * 4
    assert [(row["source"], row["narration"]) for row in found[2:]] == [
        ("frames/b.png", "stir soup"),
        ("frames/c.png", "пить чай"),
    ]
    failed = {row["source"]: row["reason"] for row in rows(Path("rows.jsonl.failed.jsonl"))}
    assert failed.keys() == {"frames/silent.png", "frames/broken.jpg"}
    assert "give --narration, or write it into silent.txt" in failed["frames/silent.png"]

    (frames / "silent.txt").write_text("peel banana")
    picture(frames / "broken.jpg")
    code, out, _ = videogem("predict", "frames", "--out", "rows.jsonl")
    assert code == 0
    assert "6 rows in rows.jsonl: 2 new, 4 of earlier runs; 0 failed" in out
    assert not Path("rows.jsonl.failed.jsonl").exists()
    assert len(grounder.calls) == 6


def test_killed_at_any_moment_it_does_what_is_left(
    videogem: Videogem, frames: Path, grounder: FakeGrounder
) -> None:
    videogem("predict", "frames", "--out", "rows.jsonl")
    whole = Path("rows.jsonl").read_bytes()
    for end in range(0, len(whole), 97):
        Path("rows.jsonl").write_bytes(whole[:end])
        grounder.calls.clear()
        videogem("predict", "frames", "--out", "rows.jsonl")
        assert Path("rows.jsonl").read_bytes() == whole
        assert len(grounder.calls) == 4 - whole[:end].count(b"\n")


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_run_that_breaks_off_keeps_what_came_and_what_was_there(
    engine: str, videogem: Videogem, frames: Path, grounder: FakeGrounder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    videogem("predict", "frames", "--out", "rows.jsonl")
    [first, second] = rows(Path("rows.jsonl.failed.jsonl"))  # broken.jpg, silent.png
    (frames / "silent.txt").write_text("peel banana")  # it would be found; nothing is said of it
    picture(frames / "broken.jpg")
    picture(frames / "late.png")
    (frames / "late.txt").write_text("open door")
    (frames / "mute.png").write_bytes((frames / "a.png").read_bytes())

    def some(units: Any, *_: Any, **__: Any) -> Any:
        [unit] = [unit for unit in units if unit.source == "frames/late.png"]
        yield next(ground_here([unit], Batcher(grounder)))
        raise InputError("The cluster is gone.")

    monkeypatch.setattr("backend.bulk.on_ray.spread", some)
    monkeypatch.setattr("backend.bulk.local.ground_here", some)
    code, _, err = videogem("predict", "frames", "--out", "rows.jsonl", "--engine", engine)
    assert (code, err.splitlines()[-1]) == (2, "Error: The cluster is gone.")
    assert [row["narration"] for row in rows(Path("rows.jsonl"))][-1] == "open door"
    assert len(rows(Path("rows.jsonl"))) == 5
    third, fourth, new = rows(Path("rows.jsonl.failed.jsonl"))
    assert ([third, fourth], new["source"]) == ([first, second], "frames/mute.png")


def test_a_video_with_its_subtitles(
    videogem: Videogem, tmp_path: Path, grounder: FakeGrounder
) -> None:
    encode(tmp_path / "clip.mp4", frames=100)
    (tmp_path / "clip.srt").write_text(
        "1\n00:00:00,000 --> 00:00:02,000\ncut the tomato\n\n"
        "2\n00:00:02,000 --> 00:00:03,000\nthank you\n\n"
        "3\n00:00:09,000 --> 00:00:10,000\nstir the soup\n"
    )
    code, _, _ = videogem("predict", "clip.mp4", "--actions-only", "--out", "rows.jsonl")
    assert code == 1
    [row] = rows(Path("rows.jsonl"))
    assert (row["narration"], row["start"], row["end"], row["time"], row["frame_index"]) == (
        "cut the tomato", 0.0, 2.0, 1.0, 25,
    )  # fmt: skip
    failed = [row["reason"] for row in rows(Path("rows.jsonl.failed.jsonl"))]
    assert len(failed) == 2
    assert "starts after the video ends (4.0 s)" in failed[1]


def test_an_export_of_label_studio(
    videogem: Videogem, tmp_path: Path, grounder: FakeGrounder
) -> None:
    for name in ("one", "two", "three"):
        picture(tmp_path / f"media/{name}.png")
    encode(tmp_path / "media/clip.mp4", frames=50)
    local = "/data/local-files/?d="
    tasks = [
        {"id": 7, "data": {"frame": local + "media/one.png", "text": "cut tomato"}},
        {"id": 8, "data": {"frame": [local + "media/two.png", local + "media/three.png"],
                           "text": ["stir soup", "pour milk"]}},
        {"id": 9, "data": {"frame": local + "media/clip.mp4", "text": "peel banana", "time": 0.4}},
        {"id": 10, "data": {"frame": local + "media/clip.mp4",
                            "text": [{"start": 1, "end": 1.5, "text": "eat"}]}},
        {"id": 11, "data": {"frame": local + "media/gone.png", "text": "fry egg"}},
        {"id": 12, "data": {"text": "fry egg"}},
        "no task",
    ]  # fmt: skip
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    code, _, _ = videogem("predict", "export.json", "--out", "rows.jsonl")
    assert code == 1
    found = rows(Path("rows.jsonl"))
    assert sorted((row["task"], row["item_index"], row["narration"], row["time"]) for row in found
                  if row["task"] != 8) == [
        (7, None, "cut tomato", 0.0), (9, None, "peel banana", 0.4), (10, None, "eat", 1.24),
    ]  # fmt: skip
    lists = [(row["id"], row["item_index"], row["source"]) for row in found if row["task"] == 8]
    assert sorted(lists) == [("8#0", 0, "media/two.png"), ("8#1", 1, "media/three.png")]
    failed = {row["source"]: row["reason"] for row in rows(Path("rows.jsonl.failed.jsonl"))}
    assert failed.keys() == {f"export.json, task {name}" for name in (11, 12, 7)}
    assert "say with --files-root" in failed["export.json, task 11"]


def test_lines_and_ids_that_are_given(
    videogem: Videogem, frames: Path, grounder: FakeGrounder
) -> None:
    lines = [
        {"image": "frames/a.png", "narration": "cut tomato", "id": "first"},
        {"image": "frames/b.png", "narration": "stir soup", "id": "first"},
        {"image": "frames/b.png", "narration": "stir soup"},
        {"image": "frames/b.png", "narration": "stir soup"},
        {"image": "frames/b.png", "narration": "stir \ud800"},
        {"narration": "stir soup"},
        {"image": "frames/b.png", "time": float("nan"), "narration": "cut"},
    ]
    Path("lines.jsonl").write_text("\n".join([*map(json.dumps, lines), "{", "[" * 99999]))
    code, out, _ = videogem("predict", "lines.jsonl", "--out", "rows.jsonl")
    assert code == 1
    assert "2 rows" in out
    assert rows(Path("rows.jsonl"))[0]["id"] == "first"
    failed = [(row["source"], row["reason"]) for row in rows(Path("rows.jsonl.failed.jsonl"))]
    assert [source for source, _ in failed] == [
        "frames/b.png", *(f"lines.jsonl, line {number}" for number in (5, 6, 7, 8, 9)),
    ]  # fmt: skip
    assert "Another entry has the same id" in failed[0][1]


def test_parquet_holds_the_same_and_is_resumed(
    videogem: Videogem, frames: Path, grounder: FakeGrounder
) -> None:
    videogem("predict", "frames", "--out", "rows.jsonl")
    grounder.calls.clear()
    code, _, _ = videogem("predict", frames / "a.png", "frames/b.png", "--out", "rows.parquet")
    assert code == 0
    assert not Path("rows.parquet.part.jsonl").exists()
    picture(frames / "broken.jpg")
    videogem("predict", frames / "a.png", "frames", "--narration", "eat", "--out", "rows.parquet")
    assert len(grounder.calls) == 3 + 5
    found = {(row["source"], row["narration"]): row for row in read_rows(Path("rows.parquet"))}
    for row in read_rows(Path("rows.jsonl")):
        assert found[row["source"], row["narration"]] == row


def test_the_order_of_work_does_not_show(
    videogem: Videogem, frames: Path, grounder: FakeGrounder
) -> None:
    videogem("predict", "frames/a.png", "frames/b.png", "frames/c.png", "--out", "one.jsonl")
    videogem("predict", "frames/c.png", "--out", "two.jsonl")
    videogem("predict", "frames/b.png", "frames/a.png", "frames/a.png", "--out", "two.jsonl")
    assert Path("one.jsonl").read_bytes() == Path("two.jsonl").read_bytes()


def test_rows_of_another_model_are_left_alone(
    videogem: Videogem, frames: Path, grounder: FakeGrounder
) -> None:
    videogem("predict", "frames", "--out", "rows.jsonl")
    before = Path("rows.jsonl").read_bytes()
    grounder._version = "fake-2"
    code, _, err = videogem("predict", "frames", "--out", "rows.jsonl")
    assert code == 2
    assert "holds rows of fake-1, and this run makes those of fake-2" in err
    assert Path("rows.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("frames", "--out", "rows.csv"), "must end with .jsonl or .parquet"),
        (("nowhere", "--out", "rows.jsonl"), "There is no file or folder 'nowhere'"),
        (("frames/a.txt", "--out", "rows.jsonl"), "is of no kind that is read"),
        (("frames/silent.png", "--out", "rows.jsonl"), "Nothing could be grounded"),
        (("frames", "--at", "noon", "--out", "rows.jsonl"), "--at must be one of start, middle"),
        (("frames", "--out", "frames/a.txt.jsonl"), "Line 1 of 'frames/a.txt.jsonl' is no row"),
        (("frames", "--out", "rows.jsonl", "--engine", "ray", "--workers", "2"), "say --cores"),
        (("frames", "--out", "taken.jsonl"), "Another run writes to 'taken.jsonl'"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(
    videogem: Videogem, frames: Path, grounder: FakeGrounder, given: tuple[str, ...], told: str
) -> None:
    (frames / "a.txt.jsonl").write_text('{"id": 3}\n')
    with FileLock(".taken.jsonl.lock"):
        code, _, err = videogem("predict", *given)
    assert code == 2
    assert told in err
    assert (frames / "a.txt.jsonl").read_text() == '{"id": 3}\n'
    assert not Path("rows.jsonl").exists()
    assert Path("rows.jsonl.failed.jsonl").exists() == ("has the reasons" in err)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_run_that_finds_nothing_leaves_no_file(
    videogem: Videogem, frames: Path, grounder: FakeGrounder, name: str
) -> None:
    Path("none.jsonl").touch()
    code, _, err = videogem("predict", "none.jsonl", "--out", name)
    assert code == 2
    assert "nothing to ground" in err and f"No '{name}' is written" in err
    assert not list(Path().glob("rows*"))


def test_without_pyarrow_the_extra_is_named(
    videogem: Videogem, frames: Path, grounder: FakeGrounder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    code, _, err = videogem("predict", "frames", "--out", "rows.parquet")
    assert code == 2
    assert "pip install 'videogem-label-studio[parquet]'" in err
    assert not grounder.calls


def test_a_row_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n{")
    with pytest.raises(InputError, match="Line 1"):
        list(read_rows(tmp_path / "rows.jsonl"))


def test_every_field_of_a_row_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/bulk.md").read_text()
    table = page.split("## A row")[1]
    named = [name for line in re.findall(r"^\| (`.*?) \|", table, re.M) for name in
             re.findall(r"`(\w+)`", line)]  # fmt: skip
    assert tuple(named) == FIELDS
