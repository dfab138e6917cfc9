"""A row holds what its grounding was, so that a prediction can be made of it later."""

from dataclasses import replace

import numpy as np
import pytest

from backend.bulk.rows import Read, arrow_schema, grounding_of, row_of
from backend.bulk.units import Ask
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Signals

SIGNALS = Signals(0.9, 0.8, 0.3, 0.1, 0.2, 0.21, 0.22, 0.01, 0.08, others=-0.1)


@pytest.mark.parametrize("signals", [SIGNALS, None])
def test_signals_travel_with_the_row(signals: Signals | None) -> None:
    clip = Clip.from_image(np.zeros((8, 8, 3), np.uint8))
    grounding = replace(FakeGrounder().ground(clip, ["cut it"])[0], signals=signals)
    row = row_of(Read("a.png", Ask("1", "cut it"), clip), grounding)
    again = grounding_of(row, "fake-1", lambda: np.zeros((3, 8, 8), np.float32))
    assert again.signals == signals
    del row["signals"]  # as before there were any
    assert grounding_of(row, "fake-1", lambda: np.zeros((3, 8, 8))).signals is None


def test_a_table_holds_the_same() -> None:
    import pyarrow as pa

    clip = Clip.from_image(np.zeros((8, 8, 3), np.uint8))
    grounding = replace(FakeGrounder().ground(clip, ["cut it"])[0], signals=SIGNALS)
    row = row_of(Read("a.png", Ask("1", "cut it"), clip), grounding)
    (read,) = pa.Table.from_pylist([row], schema=arrow_schema()).to_pylist()
    assert grounding_of(read, "fake-1", lambda: np.zeros((3, 8, 8))).signals == SIGNALS
