"""Weights of the residual terms."""

import pytest
import torch

from videogem.errors import InputError
from videogem.method.layer_weights import STATIC_WEIGHTS, dynamic_weights, layer_weights

SIMILARITIES = torch.tensor([[0.10, 0.20, 0.15], [0.3, 0.1, 0.1]])


def test_none_is_ones_and_static_is_the_papers_table():
    assert layer_weights("none", SIMILARITIES, depth=7).tolist() == [[1.0] * 8] * 2
    static = layer_weights("static", SIMILARITIES, depth=7)
    torch.testing.assert_close(static, torch.tensor([STATIC_WEIGHTS] * 2))


def test_dynamic_gives_most_to_the_block_whose_absence_hurts_most():
    weights = dynamic_weights(SIMILARITIES)
    assert weights.argmax(dim=1).tolist() == [0, 1]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    assert weights[1, 1] == weights[1, 2]


@pytest.mark.parametrize(("method", "total"), [("dynamic", 8.0), ("combined", 5.2)])
def test_dynamic_part_keeps_the_sum(method, total):
    weights = layer_weights(method, SIMILARITIES, depth=7)
    torch.testing.assert_close(weights.sum(dim=1), torch.full((2,), total))
    base = torch.tensor(STATIC_WEIGHTS) if method == "combined" else torch.ones(8)
    torch.testing.assert_close(weights[:, -3:], base[-3:] - 1 / 3 + dynamic_weights(SIMILARITIES))


def test_static_table_of_the_wrong_length_names_the_numbers():
    with pytest.raises(InputError, match=r"depth \+ 1 = 6 numbers.*got 8"):
        layer_weights("static", SIMILARITIES, depth=5)
