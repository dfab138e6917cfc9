"""Rows of a bulk run in Label Studio: each task's once, as the service would have written them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import SecretStr

from backend import cli
from backend.bulk.files import RowFile
from backend.bulk.imports import FromFile
from backend.bulk.local import ground_here
from backend.bulk.rows import Row
from backend.bulk.units import Ask, units_of
from backend.label_studio.client import LabelStudio
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.annotate import Here, Tally, annotate
from backend.prediction.batcher import Batcher
from backend.prediction.model import BackgroundModel, Models
from backend.settings import Settings
from tests.clips import encode
from tests.fake_label_studio import FakeLabelStudio, fake_label_studio
from tests.fakes import FakeGrounder
from videogem.errors import InputError

CONFIG = (
    '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
    '<KeyPointLabels name="k" toName="i"><Label value="verb"/><Label value="object"/>'
    '<Label value="action"/></KeyPointLabels><RectangleLabels name="r" toName="i">'
    '<Label value="tomato"/><Label value="soup"/></RectangleLabels>'
    '<TextArea name="a" toName="i"/></View>'
)
LOCAL = "/data/local-files/?d="
POINTS = {"cut tomato": (0.25, 0.5), "stir soup": (0.75, 0.25)}


def ground(folder: Path, *asked: tuple[str, Ask]) -> Path:
    """A finished file of rows about pictures (and one clip) in a folder."""
    for name in dict.fromkeys(source for source, _ in asked):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".mp4":
            encode(path, frames=75)
        else:
            Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    units = [unit for name, ask in asked for unit in units_of(str(folder / name), [ask])]
    with RowFile(folder / "rows.jsonl", "fake-1") as file:
        results = ground_here(units, Batcher(FakeGrounder(POINTS)))
        file.add([row for row in results if isinstance(row, dict)])
        file.finish()
    return folder / "rows.jsonl"


def task(id: int, image: str, text: str) -> dict[str, Any]:
    return {"id": id, "data": {"i": image, "t": text}}


@pytest.fixture
def server() -> Iterator[FakeLabelStudio]:
    tasks = [
        task(1, LOCAL + "frames/a.png", "cut tomato"),
        task(2, "/data/upload/1/0a1b2c3d-b.png", "stir soup"),
        task(3, "http://elsewhere/other/b.png", "stir soup"),
        task(4, LOCAL + "frames/a.png", "peel banana"),
    ]
    with fake_label_studio(CONFIG, tasks) as fake:
        yield fake


def save(server: FakeLabelStudio, predictor: Any, **options: Any) -> Tally:
    client = LabelStudio(server.url, SecretStr("t" * 40))
    return annotate(client, 1, predictor=predictor, record=lambda key, pairs: None, **options)


def counted(server: FakeLabelStudio) -> dict[int, int]:
    """Predictions by task, where there are any."""
    return {task: count for task, count in server.count().items() if count}


def test_each_task_gets_its_rows_once(server: FakeLabelStudio, tmp_path: Path) -> None:
    path = ground(
        tmp_path,
        ("frames/a.png", Ask("1", "cut tomato")),
        ("frames/b.png", Ask("2", "stir soup")),
    )
    for num_done, num_there in ((2, 0), (0, 2)):
        tally = save(server, FromFile(path))
        assert (tally.done, tally.skipped) == (num_done, num_there)
        assert [task for task, _ in tally.failures] == [3, 4]
        assert "has no row for it" in tally.failures[0][1]
    assert counted(server) == {1: 1, 2: 1}
    assert {one["model_version"] for one in server.predictions} == {"fake-1"}


def test_it_is_what_the_service_would_have_written(tmp_path: Path) -> None:
    path = ground(tmp_path, ("frames/a.png", Ask("1", "cut tomato")))
    image = (tmp_path / "frames/a.png").read_bytes()
    address = "data:image/png;base64," + base64.b64encode(image).decode()
    settings = Settings(data_dir=tmp_path)
    found = []
    with fake_label_studio(CONFIG, [task(1, address, "cut tomato")]) as server:
        media = Media(settings, Connections(settings))
        models = Models(BackgroundModel.of(FakeGrounder(POINTS)))
        assert save(server, Here(models, media)).done == 1
        found.append(server.predictions[0])
    with fake_label_studio(CONFIG, [task(1, LOCAL + "frames/a.png", "cut tomato")]) as server:
        assert save(server, FromFile(path)).done == 1
        found.append(server.predictions[0])
    served, imported = ({k: v for k, v in one.items() if k != "id"} for one in found)
    assert len(served["result"]) == 5
    assert imported == served


def test_rows_that_name_their_task(tmp_path: Path) -> None:
    path = ground(
        tmp_path,
        ("one/x.png", Ask("1", "cut tomato", task=1)),
        ("two/x.png", Ask("2", "stir soup", task=2)),
        ("two/y.png", Ask("3", "stir soup", task=3)),
    )
    tasks = [
        task(1, LOCAL + "x.png", "cut tomato"),
        task(2, LOCAL + "two/x.png", "stir soup"),
        task(3, LOCAL + "two/other.png", "stir soup"),
    ]
    with fake_label_studio(CONFIG, tasks) as server:
        tally = save(server, FromFile(path))
        assert counted(server) == {1: 1, 2: 1}
    [(failed, reason)] = tally.failures
    assert failed == 3
    assert "are of 'y.png', which it does not show: are they of another project?" in reason


def test_a_file_that_may_be_several_is_not_guessed(tmp_path: Path) -> None:
    asked = [(f"{name}/x.png", Ask(name, "cut tomato")) for name in ("one", "two")]
    path = ground(tmp_path, *asked)
    with fake_label_studio(CONFIG, [task(1, LOCAL + "x.png", "cut tomato")]) as server:
        [(_, reason)] = save(server, FromFile(path)).failures
        assert server.predictions == []
    assert "which may be any of" in reason


def test_a_video_becomes_tracks(tmp_path: Path) -> None:
    config = (
        '<View><Video name="v" value="$v" framerate="25"/><Text name="t" value="$t"/>'
        '<VideoRectangle name="r" toName="v"/><Labels name="l" toName="v">'
        '<Label value="tomato"/><Label value="soup"/></Labels></View>'
    )
    assert parse_labeling(config).problems == ()
    said = [("cut tomato", 0.0, 2.0, (0.5, 1.5)), ("stir soup", 2.0, 3.0, (2.5,))]
    asked = [
        ("clip.mp4", Ask(f"{text} {time}", text, time, start, end))
        for text, start, end, times in said
        for time in times
    ]
    path = ground(tmp_path, *asked)
    shown = {"id": 1, "data": {"v": LOCAL + "clip.mp4", "t": "whatever"}}
    with fake_label_studio(config, [shown]) as server:
        assert save(server, FromFile(path)).done == 1
        [prediction] = server.predictions
    tracks = [one["value"] for one in prediction["result"] if one["type"] == "videorectangle"]
    assert [[key["frame"] for key in track["sequence"]] for track in tracks] == [
        [13, 38], [63],
    ]  # fmt: skip


def test_masks_are_not_in_rows(tmp_path: Path) -> None:
    path = ground(tmp_path, ("a.png", Ask("1", "cut tomato")))
    config = CONFIG.replace('<TextArea name="a" toName="i"/>', '<Brush name="b" toName="i"/>')
    with fake_label_studio(config, [task(1, LOCAL + "a.png", "cut tomato")]) as server:
        [(_, reason)] = save(server, FromFile(path)).failures
        assert server.predictions == []
    assert "run 'videogem annotate' without --from" in reason


def change(path: Path, **fields: Any) -> None:
    rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()]
    rows[-1] |= fields
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    "fields", [{"size": [0, 0]}, {"point": [1]}, {"box": None}, {"prompts": 3}, {"score": "x"}]
)
def test_a_damaged_row_takes_no_other_down(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = ground(
        tmp_path, ("a.png", Ask("1", "cut tomato")), ("b.png", Ask("2", "stir soup"))
    )  # fmt: skip
    change(path, **fields)
    tasks = [task(2, LOCAL + "b.png", "stir soup"), task(1, LOCAL + "a.png", "cut tomato")]
    with fake_label_studio(CONFIG, tasks) as server:
        [(failed, reason)] = save(server, FromFile(path)).failures
        assert counted(server) == {1: 1}
    assert (failed, "are damaged" in reason) == (2, True)


def test_files_that_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        FromFile(tmp_path / "gone.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no rows"):
        FromFile(tmp_path / "empty.jsonl")
    path = ground(tmp_path, ("a.png", Ask("1", "cut")), ("b.png", Ask("2", "stir")))
    change(path, model_version="fake-2")
    with pytest.raises(InputError, match=r"several models \(fake-1, fake-2\)"):
        FromFile(path).version(parse_labeling(CONFIG))


def test_the_command_saves_them_and_tells_what_has_no_row(
    server: FakeLabelStudio,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = ground(tmp_path, ("frames/a.png", Ask("1", "cut tomato")))
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", server.url)
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "t" * 40)
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("sys.argv", ["videogem", "annotate", "--project", "1", "--from", str(path)])
    for done, there in ((1, 0), (0, 1)):
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        assert ended.value.code == 1
        assert f"{done} predicted, {there} had a prediction of this version, 3 failed" in told.out
        assert "task 2: " in told.err
    assert counted(server) == {1: 1}
