"""`evaluate` asks the batcher: one caller of a tower, many methods from one pass of it."""

import json
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from backend import cli
from backend.commands.support.evaluation_steps import through_batcher
from tests.towers import tiny_backbone
from videogem.backbones import zoo
from videogem.backbones.zoo import load_backbone
from videogem.datasets.base import Item
from videogem.evaluation.demo import demo_dataset
from videogem.evaluation.methods import parse_method
from videogem.evaluation.run import PARTS, RunOptions, run
from videogem.evaluation.tower import TowerPredictor

METHODS = ("clip", "gem", "videogem", "videogem:inverse_temperature=15")
NUM_ITEMS = 16


@pytest.fixture
def items(tmp_path) -> list[Item]:
    """Items two by two on one frame."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(NUM_ITEMS):
        path = tmp_path / f"{index // 2}.png"
        if index % 2 == 0:
            Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path)
        said = f"cut {['tomato', 'onion'][index % 2]}"
        boxes = ((0.1, 0.1, 0.6, 0.6),)
        found.append(Item(str(index), "v", said, "cut", boxes, (60, 40), image=path))
    return found


@pytest.fixture
def tower(monkeypatch):
    """The demo model's name with a small tower, which notes how it is asked."""
    backbone = tiny_backbone()
    encode, backbone.asked = backbone.encode_frames, []

    def encode_frames(pixels, settings, **options):
        backbone.asked.append((threading.current_thread().name, len(pixels)))
        if len(pixels) > backbone.fits:
            raise RuntimeError("CUDA out of memory")
        return encode(pixels, settings, **options)

    backbone.encode_frames, backbone.fits = encode_frames, NUM_ITEMS
    monkeypatch.setattr(zoo, "load_backbone", lambda name, **options: backbone)
    return backbone


def rows(items, **options):
    specs = [parse_method(name) for name in METHODS]
    done: list[int] = []
    found = run("d", items, ["demo"], specs, RunOptions("cpu", **options), advance=done.append)
    return found, done


def test_the_batcher_gives_what_the_methods_give_alone(items, tower) -> None:
    alone, _ = rows(items)
    tower.asked.clear()
    asked, done = rows(items, asks=through_batcher)
    for one, other in zip(alone.rows, asked.rows, strict=True):
        assert one.outcomes == other.outcomes
    # Two attentions among four methods; two items of a frame are one.
    assert sum(count for _, count in tower.asked) == 2 * NUM_ITEMS / 2
    assert {thread for thread, _ in tower.asked} == {"tower"}
    assert sum(done) == NUM_ITEMS
    assert len(done) == PARTS  # of one batch: the bar moves within it


def test_an_items_answer_does_not_depend_on_what_else_is_asked_of_its_frame() -> None:
    drawn = demo_dataset("unseen-pairs", num_scenes=2).items
    predictor = TowerPredictor(load_backbone("demo", device="cpu"), [parse_method("videogem")])
    [together], _ = predictor.answer(drawn, predictor.ground_batch)
    alone = [predictor.answer([item], predictor.ground_batch)[0][0][0] for item in drawn]
    assert len(drawn) > len({item.video for item in drawn}) == 2
    for one, other in zip(together, alone, strict=True):
        assert one.point == pytest.approx(other.point, abs=1e-6)
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_an_evaluation_goes_on_where_memory_runs_out(items, tower, caplog) -> None:
    expected, _ = rows(items)
    tower.fits = 1
    found, _ = rows(items, asks=through_batcher)
    assert [row.outcomes for row in found.rows] == [row.outcomes for row in expected.rows]


def test_an_unreadable_frame_is_left_out_and_told(items, tower) -> None:
    items[0].image.write_bytes(b"no picture")
    found, done = rows(items, asks=through_batcher)
    assert [one.id for one in found.skipped] == ["0", "1"]
    assert {row.share.n for row in found.rows} == {NUM_ITEMS - 2}
    assert sum(done) == NUM_ITEMS


def test_the_command_asks_the_batcher(items, tower, tmp_path, monkeypatch, capsys) -> None:
    lines = [
        {"image": item.image.name, "narration": item.narration, "boxes": [[6, 4, 36, 24]]}
        for item in items
    ]
    (tmp_path / "annotations.jsonl").write_text("\n".join(map(json.dumps, lines)))
    given = ["--dataset", "jsonl", "--root", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", ["videogem", "evaluate", *given])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert {row["n"] for row in json.loads(capsys.readouterr().out)} == {NUM_ITEMS}
    assert {thread for thread, _ in tower.asked} == {"tower"}
