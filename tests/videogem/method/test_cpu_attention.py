"""Self-self attention of single precision on the CPU, against PyTorch's attention in double."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from videogem.method import cpu_attention
from videogem.method.attention import KeptRows, iterated_attention, self_self_attention


@given(
    num_heads=st.integers(1, 5),
    num_tokens=st.integers(1, 40),
    iterations=st.integers(1, 3),
    cached=st.sampled_from([1, 300, 5000, 10**6]),  # one row and head at a time, some, all
    largest=st.sampled_from([0.01, 1.0, 8.0]),
    kept=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_it_is_attention(num_heads, num_tokens, iterations, cached, largest, kept, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    qkv = torch.randn(3, 2, num_heads, num_tokens, 4, generator=generator)
    beta = torch.rand(2, generator=generator) * largest
    index = torch.arange(0, num_tokens, 2)
    rows = KeptRows(0, 2, index) if kept else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu_attention, "CACHED", cached)
        patch.setattr(cpu_attention, "FEWEST_ROWS", 3)
        found = self_self_attention(qkv, beta, iterations=iterations, rows=rows)
    expected = self_self_attention(qkv.double(), beta.double(), iterations=iterations, rows=rows)
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=2e-5)


def test_a_temperature_near_zero_is_no_number_too_large() -> None:
    qkv, beta = torch.randn(3, 1, 2, 9, 4), torch.tensor([300.0])  # e^300 is none
    expected = self_self_attention(qkv.double(), beta.double())
    torch.testing.assert_close(self_self_attention(qkv, beta).double(), expected, atol=1e-3, rtol=0)


def test_values_may_be_others_than_the_third_projection() -> None:
    qkv, values, beta = torch.randn(3, 2, 2, 9, 4), torch.randn(2, 2, 9, 4), torch.ones(2)
    found = iterated_attention(qkv, values, beta, 1)
    expected = iterated_attention(qkv.double(), values.double(), beta.double(), 1)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_it_is_taken_where_it_fits_and_nowhere_else(monkeypatch) -> None:
    qkv, beta = torch.randn(3, 1, 2, 9, 4), torch.ones(1)
    assert not cpu_attention.fits(qkv.clone().requires_grad_())
    assert not cpu_attention.fits(qkv.to("meta"))
    assert not cpu_attention.fits(qkv.bfloat16())  # processors multiply it in units of its own
    monkeypatch.setattr(F, "scaled_dot_product_attention", None)
    self_self_attention(qkv, beta)
