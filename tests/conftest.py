"""Shared by all tests: no network, and a tiny random tower where a real one is not needed."""

import os
from pathlib import Path

# Two test processes (`make test`) on two cores: more threads would only be in each other's way.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

# Model hubs are never reached by a test; code that needs one is tested with a local stand-in.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

END_TO_END = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what is made for them, the end-to-end tests one Label Studio.

    These take longest, so they begin.
    """
    items.sort(key=lambda item: END_TO_END not in item.path.parents)
    for item in items:
        group = "e2e" if END_TO_END in item.path.parents else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def random_frame() -> np.ndarray:
    """RGB noise, 60 x 90 pixels."""
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
