"""Shared by all tests: no network, and a tiny random tower where a real one is not needed."""

import os

import numpy as np
import pytest
from hypothesis import settings

# Model hubs are never reached by a test; code that needs one is tested with a local stand-in.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# How long an example takes says something about the machine, not about the code.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")


@pytest.fixture
def random_frame() -> np.ndarray:
    """RGB noise, 60 x 90 pixels."""
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
