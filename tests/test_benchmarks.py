"""The speed that is promised, as counts of operations: seconds say something about the machine."""

import pytest

from benchmarks.operations import count_operations


def test_a_frame_costs_two_thirds_of_the_literal_formulation():
    literal, ours = count_operations()
    assert ours <= 0.67 * literal
    # As counted by hand: 12 blocks of four projections and two layers of 4 D on 197 tokens, the
    # last block's feed-forward part on one; seven output projections of the self-self branch;
    # ordinary and self-self attention; three prompts' projections.
    tokens, width, mlp = 197, 768, 8 * 768
    blocks = 2 * tokens * width * width * (12 * 4 + 7 - 1) + 2 * tokens * width * mlp * 11
    attention = 2 * 2 * tokens * tokens * width * (11 + 7 * 6)
    rest = 2 * 196 * 768 * 768 + 3 * 2 * 196 * 768 * 512
    assert ours == pytest.approx(blocks + attention + rest, rel=0.01)
