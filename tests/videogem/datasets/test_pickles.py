"""Annotations in pickles: plain values come back, calls are refused."""

import os
import pickle

import numpy as np
import pytest

from videogem.datasets import pickles
from videogem.errors import InputError

RAN: list[str] = []


class Malicious:
    def __reduce__(self):
        return RAN.append, ("yes",)


class Shell:
    def __reduce__(self):
        return os.system, ("exit 0",)


class Allocates:
    def __reduce__(self):
        return np.ndarray, ((10**9,),)


class HugeReconstruct:
    def __reduce__(self):
        return np._core.multiarray._reconstruct, (np.ndarray, (10**9,), b"b")


@pytest.mark.parametrize(
    "payload", [Malicious(), Shell(), Allocates(), HugeReconstruct(), {"a": eval}]
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_that_call_anything_are_refused(tmp_path, payload, protocol):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(payload, protocol=protocol))
    with pytest.raises(InputError, match=r"x\.pkl"):
        pickles.load_pickle(path)
    assert RAN == []


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_and_arrays_come_back(tmp_path, protocol):
    value = {
        "a": [1, 2.5, None, True, "äö"],
        "set": {("v", 1, 2)},
        "array": np.array([[0.25, 0.1], [0.75, 0.9]]),
        "ints": np.arange(3, dtype=np.int32),
        "scalar": np.float64(1.5),
    }
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    got = pickles.load_pickle(path)
    assert isinstance(got, dict)
    assert got["a"] == value["a"]
    assert got["set"] == value["set"]
    assert np.array_equal(got["array"], value["array"])
    assert np.array_equal(got["ints"], value["ints"])
    assert got["scalar"] == 1.5


def test_text_that_is_no_pickle_is_refused(tmp_path):
    path = tmp_path / "x.pkl"
    for content in (b"", b'{"a": 1}', b"\x80\x05garbage"):
        path.write_bytes(content)
        with pytest.raises(InputError):
            pickles.load_pickle(path)
