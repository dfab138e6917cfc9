"""Products whose rows do not depend on how many are computed together.

On a CPU few rows are multiplied by another kernel than many, and a batch of one by another than
several: sums are rounded in another order, so the last digits of a frame would depend on the batch
it came in. From 16 rows, or two samples, on each is the same however many there are, as
`tests/videogem/method/test_rows.py` holds. On a GPU nothing is changed: its kernels go by the size
of the whole product.

Source: measured with MKL (torch 2.14) on products of the towers' sizes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

FEWEST = 16


def with_enough_rows(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """The function of rows (on all axes but the last), computed for at least `FEWEST`."""
    count = rows.shape[:-1].numel()
    if rows.is_cuda or not 0 < count < FEWEST:
        return function(rows)
    flat = rows.reshape(count, -1)  # one row alone has no axis for it
    padded = torch.cat([flat, flat[:1].expand(FEWEST - count, -1)])
    return function(padded)[:count].reshape(*rows.shape[:-1], -1)


def never_alone(function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """The function of batches (on the first axis), computed for at least two samples."""
    if len(batches[0]) != 1 or batches[0].is_cuda:
        return function(*batches)
    return function(*(batch.expand(2, *batch.shape[1:]) for batch in batches))[:1]
