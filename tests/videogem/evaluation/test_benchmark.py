import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from backend import cli
from videogem.errors import InputError
from videogem.evaluation import demo as evaluation_demo
from videogem.evaluation.benchmark import METHODS, PARTS, SMALL, as_content, as_markdown, measure
from videogem.evaluation.demo import demo_dataset
from videogem.evaluation.run import RunOptions

DOCS = Path(__file__).resolve().parents[3] / "docs"
KEPT = json.loads((DOCS / "demo_benchmark.json").read_text())


def test_markdown_is_made_from_the_numbers_kept_beside_it():
    assert (DOCS / "demo_benchmark.md").read_text() == as_markdown(KEPT)


def test_every_part_was_measured_in_full():
    assert [part["part"] for part in KEPT["parts"]] == [part.name for part in PARTS]
    for part in KEPT["parts"]:
        assert [row["method"] for row in part["rows"]] == list(METHODS)
        assert len({row["n"] for row in part["rows"]}) == 1
        assert part["rows"][0]["n"] >= 30


def test_the_demo_models_promise_holds():
    (part,) = [part for part in KEPT["parts"] if part["part"] == "unseen pairs, 3 actors"]
    rows = {row["method"]: row for row in part["rows"]}
    assert rows["videogem"]["accuracy"] >= 0.95
    assert rows["videogem"]["n"] == 600


def test_small_part_made_again_gives_the_kept_numbers():
    *scenes, clips = SMALL
    options = RunOptions(device="cpu", batch_size=6)
    # Clips differ in size, which the shape checker does not allow within one batch.
    one_by_one = replace(options, batch_size=1)
    found = as_content([*measure(scenes, options), *measure([clips], one_by_one)])
    for again, kept in zip(found, KEPT["small"], strict=True):
        assert again["part"] == kept["part"]
        for new, old in zip(again["rows"], kept["rows"], strict=True):
            assert (new["method"], new["n"]) == (old["method"], old["n"])
            # Another processor rounds differently, which may move one point across an edge.
            assert abs(new["hits"] - old["hits"]) <= 1
            assert new["box_iou"] == pytest.approx(old["box_iou"], abs=0.03)


def command(monkeypatch, capsys, *arguments) -> str:
    start = ["videogem", "evaluate", "--num-scenes", "1", "--actors", "1"]
    monkeypatch.setattr(sys, "argv", [*start, *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_tables_and_figures_of_the_paper_on_the_demo_world(monkeypatch, capsys, tmp_path):
    # Drawn once, as the renderer's start is most of the time here.
    monkeypatch.setattr(evaluation_demo, "demo_dataset", cache(demo_dataset))
    for table, count in (("1", 2), ("1+", 6), ("2", 4), ("3", 4), ("4", 4)):
        rows = json.loads(command(monkeypatch, capsys, "--table", table, "--json"))
        assert [row["n"] for row in rows] == [1] * count
    for figure, count in (("3", 8), ("4", 8), ("cosine", 3 * 7)):
        command(monkeypatch, capsys, "--figure", figure, "--out", str(tmp_path))
        assert len(json.loads((tmp_path / f"figure_{figure}.json").read_text())) == count
        assert (tmp_path / f"figure_{figure}.png").stat().st_size > 5000


def test_demo_splits():
    for split in ("unseen-pairs", "unseen-style"):
        dataset = demo_dataset(split, num_scenes=2, actors=2)
        assert len(dataset.items) == 4
        assert len({item.video for item in dataset.items}) == 2
        first, second = dataset.items[:2]
        assert first.image is second.image
        assert first.narration == f"{first.verb} {first.object}"
    clips = demo_dataset("moving-clips", num_scenes=3)
    assert clips.name == "demo-moving-clips"
    assert all(item.video_path is not None and item.verb is None for item in clips.items)


@pytest.mark.parametrize("values", [{"actors": 4}, {"num_scenes": 0}, {"split": "none"}])
def test_demo_arguments_are_checked(values):
    with pytest.raises(InputError):
        demo_dataset(**values)
