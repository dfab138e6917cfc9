"""`words=` and `action=` from the command to the rows: other sentences, kept apart."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import cli
from tests.towers import tiny_backbone
from videogem.backbones import zoo

PAPER = "videogem"
PHRASE = "videogem:words=everyday,action=phrase"
SAID = "Okay, and now you just want to go ahead and cook the dumplings."


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sentences that the text tower of the demo model's name is asked for."""
    backbone, texts = tiny_backbone(), []
    encode = backbone.encode_texts

    def encode_texts(given):
        texts.extend(given)
        return encode(given)

    backbone.encode_texts = encode_texts
    monkeypatch.setattr(zoo, "load_backbone", lambda name, **options: backbone)
    return texts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    frame = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(frame).save(folder / "0.png")
    row = {"image": "0.png", "narration": SAID, "boxes": [[0, 0, 40, 48]], "style": "narration"}
    (folder / "annotations.jsonl").write_text(json.dumps(row))
    return folder


def evaluate(monkeypatch: pytest.MonkeyPatch, root: Path, out: Path, *methods: str) -> None:
    given = ["--dataset", "jsonl", "--root", str(root), "--out", str(out), "--json"]
    for method in methods:
        given += ["--method", method]
    monkeypatch.setattr(sys, "argv", ["videogem", "evaluate", *given])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def test_each_asks_its_own_sentences_and_keeps_its_own_predictions(
    asked: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    evaluate(monkeypatch, root, out, PAPER)
    paper = set(asked)
    asked.clear()
    evaluate(monkeypatch, root, out, PHRASE)  # is not answered from what the other left there
    phrase = set(asked)
    assert any(SAID.rstrip(".") in text for text in paper), paper
    assert not any("go ahead" in text for text in phrase), phrase
    assert "A photo of a person cook the dumplings." in phrase
    assert "A photo of a person cook the dumplings." not in paper

    kept = [path.read_text() for path in sorted((out / "predictions").rglob("*.jsonl"))]
    assert len(kept) == 2
    asked.clear()
    evaluate(monkeypatch, root, out, PAPER, PHRASE)
    assert not asked  # both are there by now


def test_the_papers_words_of_a_dataset_are_the_default(
    asked: list[str], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(monkeypatch, root, tmp_path / "a", PAPER)
    default = list(asked)
    asked.clear()
    evaluate(monkeypatch, root, tmp_path / "b", "videogem:words=paper,action=sentence")
    assert asked == default
