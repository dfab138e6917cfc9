"""A frame's numbers are the same to the last bit in whatever batch it comes."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from videogem.backbones.base import TextCache
from videogem.grounding import VideoGEM, load_grounder
from videogem.method.rows import FEWEST, never_alone, with_enough_rows
from videogem.structures import Clip, Grounding

SENTENCES = (
    "cut the tomato",
    "mix",
    "someone walks into the kitchen and takes the red cup from the shelf above the sink",
    "wash and dry the plates",
    "he is judging the honey pot",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a lane of the batcher, and in a worker of a cluster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    gc.collect()


def clips_of(grounder: VideoGEM) -> list[Clip]:
    rng = np.random.default_rng(0)
    count = grounder.num_frames
    return [
        Clip(
            rng.integers(0, 256, (count, 60, 80, 3), dtype=np.uint8),
            np.arange(count) / 8,
            np.arange(count),
            target=count // 2,
        )
        for _ in SENTENCES
    ]


def told(grounding: Grounding) -> Any:
    """All of a grounding that is a number."""
    return (
        *(grounding.point, grounding.box, grounding.score, grounding.presence, grounding.points),
        *(grounding.prompts.texts, grounding.signals, grounding.heatmaps.tobytes()),
    )


@pytest.mark.parametrize(
    ("model", "method"),
    [("demo", "videogem"), ("demo", "clip_surgery"), ("demo-viclip", "videogem")],
)
def test_a_grounding_does_not_depend_on_its_batch(model: str, method: str) -> None:
    grounder = load_grounder(model, method, device="cpu")
    fresh = VideoGEM(grounder.backbone, grounder.settings, scoring=grounder.scoring,
                     cache_megabytes=0, batch_size=len(SENTENCES))  # fmt: skip
    clips = clips_of(fresh)

    def ground(*places: int) -> dict[int, Any]:
        fresh.backbone._texts = TextCache()  # type: ignore[attr-defined]  # nothing seen before
        found = fresh.ground_batch(
            [clips[place] for place in places], [[SENTENCES[place]] for place in places]
        )
        return {place: told(one) for place, [one] in zip(places, found, strict=True)}

    alone: dict[int, Any] = {}
    for place in range(len(SENTENCES)):
        alone |= ground(place)
    for places in ((4, 3, 2, 1, 0), (1, 4), (0, 2, 3)):
        for place, found in ground(*places).items():
            assert found == alone[place], (places, place)


@pytest.mark.parametrize("count", [1, 5, FEWEST, 40])
def test_rows_are_those_of_the_function(count: int) -> None:
    rows = torch.randn(count, 1, 24, generator=torch.Generator().manual_seed(count))
    layer = torch.nn.Linear(24, 8)
    seen: list[int] = []

    def counted(given: torch.Tensor) -> torch.Tensor:
        seen.append(given.shape[:-1].numel())
        return layer(given)

    torch.testing.assert_close(with_enough_rows(counted, rows), layer(rows))
    assert seen == [max(count, FEWEST)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_samples_are_those_of_the_function(count: int) -> None:
    first, second = torch.randn(2, count, 3, 4)
    found = never_alone(lambda a, b: a @ b.mT, first, second)
    assert found.shape == (count, 3, 3)
    torch.testing.assert_close(found, first @ second.mT)


def test_nothing_is_filled_where_there_is_nothing() -> None:
    assert with_enough_rows(torch.relu, torch.empty(0, 4)).shape == (0, 4)


def test_a_row_alone_stays_one() -> None:
    table, row = torch.randn(8, 5), torch.randn(8)
    torch.testing.assert_close(with_enough_rows(lambda rows: rows @ table, row), row @ table)
