"""Many sentences are tagged together, and read as each alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tests.towers import tiny_backbone
from videogem.errors import InputError
from videogem.grounding import VideoGEM
from videogem.method.signals import NEUTRAL_PROMPTS
from videogem.narration import tagging
from videogem.narration.prompts import parse, parse_all
from videogem.structures import Clip

SENTENCES = (
    "now crack two eggs into the bowl", "She is cutting the ripe tomatoes.", "Toast bagel",
    "TakingPhotos", "cut_the_onion", "you pick up the cutting board", "stir", "[Music]",
    "Wenn du schneidest, schneide die Tomate", "before you fry it, salt the fish", "42",
)  # fmt: skip


class Counting:
    """spaCy's model, and how often it is asked in which way."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.lang = model.lang
        self.alone: list[str] = []
        self.together: list[list[str]] = []

    def __call__(self, text: str) -> Any:
        self.alone.append(text)
        return self._model(text)

    def pipe(self, texts: Sequence[str]) -> Iterator[Any]:
        self.together.append(list(texts))
        return iter(self._model.pipe(texts))


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    model = Counting(tagging.shared_spacy())
    monkeypatch.setattr(tagging, "shared_spacy", lambda model_name=None: model)
    monkeypatch.setattr(tagging, "_docs", tagging._Docs())
    return model


@pytest.mark.parametrize("words", ["everyday", "paper"])
def test_all_are_read_as_each_alone(words: Any) -> None:
    assert parse_all(SENTENCES, words=words) == [parse(text, words=words) for text in SENTENCES]


def test_a_hundred_sentences_are_a_few_calls(counting: Counting) -> None:
    texts = [f"cut the tomato and stir the soup {number}" for number in range(100)]
    parse_all(texts)
    assert counting.alone == []
    assert len(counting.together) <= 3
    asked = len(counting.together)
    assert [words.verbs for words in parse_all([*texts, texts[0]])] == [("cut", "stir")] * 101
    assert len(counting.together) == asked, "what was tagged is kept"


def test_what_is_not_read_is_told_as_ever(counting: Counting) -> None:
    with pytest.raises(InputError, match="narration is empty"):
        parse_all(["cut the tomato", "  "])
    assert parse("cut the tomato").verbs == ("cut",)
    assert counting.alone, "after an error a text alone is tagged again"


def test_more_texts_than_are_kept(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging, "KEPT", 2)
    assert parse_all(SENTENCES) == [parse(text) for text in SENTENCES]


def test_a_batch_is_tagged_together_and_each_prompt_encoded_once(counting: Counting) -> None:
    backbone = tiny_backbone()
    rows: list[int] = []
    encode = backbone.encode_tokens

    def counted(tokens: torch.Tensor) -> torch.Tensor:
        rows.append(len(tokens))
        return encode(tokens)

    backbone.encode_tokens = counted  # type: ignore[method-assign]
    grounder = VideoGEM(backbone, batch_size=3)
    clips = [Clip.from_image(np.full((8, 8, 3), n, np.uint8)) for n in range(9)]
    narrations = [[f"cut the {thing}"] for thing in ("leek", "fish", "egg")] * 3
    found = grounder.ground_batch(clips, narrations)
    assert counting.alone == [] and len(counting.together) <= 3
    prompts = {text for each in found for one in each for text in one.prompts.texts}
    grounder.ground_batch(clips, narrations)
    assert sum(rows) == len(prompts | {*NEUTRAL_PROMPTS})
