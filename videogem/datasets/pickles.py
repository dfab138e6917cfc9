"""Pickles of published datasets, read without letting them run anything.

Only what the published files need is rebuilt: plain containers, numbers, text, sets and numpy
arrays. Everything else, above all any callable, is refused by name.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from videogem.errors import InputError

_ARRAY_TYPE = "numpy.ndarray"  # stands for the class, which a file only names and never calls


def _empty_array(subtype: object, shape: tuple[int, ...], typecode: object) -> np.ndarray:
    # What numpy's _reconstruct is called with; another shape would let a file allocate at will.
    if subtype != _ARRAY_TYPE or tuple(shape) != (0,):
        raise pickle.UnpicklingError(f"array of type {subtype!r} and shape {shape!r}")
    return np.ndarray((0,), dtype=np.int8)


def _latin1_bytes(text: str, encoding: str = "latin1") -> bytes:
    # Python 3 writes bytes into old pickle protocols as _codecs.encode(text, 'latin1').
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"text encoding {encoding!r}")
    return text.encode("latin1")


def _scalar(dtype: np.dtype, data: bytes | str = b"") -> object:
    if dtype.hasobject:
        raise pickle.UnpicklingError("numpy scalar of objects")
    raw = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(raw, dtype=dtype, count=1)[0]


def _from_buffer(
    data: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: str
) -> np.ndarray:
    # What numpy writes under protocol 5; the shape cannot ask for more than the data holds.
    if dtype.hasobject or order not in ("C", "F"):
        raise pickle.UnpicklingError("array of objects")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


_ALLOWED: dict[tuple[str, str], Callable[..., object] | str] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("collections", "OrderedDict"): dict,
    ("numpy", "ndarray"): _ARRAY_TYPE,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1_bytes,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ALLOWED[_module, "_reconstruct"] = _empty_array
    _ALLOWED[_module, "scalar"] = _scalar
for _module in ("numpy.core.numeric", "numpy._core.numeric"):
    _ALLOWED[_module, "_frombuffer"] = _from_buffer


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"'{module}.{name}'") from None


def load_pickle(path: Path) -> object:
    """Read a pickle of containers, numbers, text and numpy arrays, also one of Python 2.

    Raises:
        InputError: the file holds anything else, or is no pickle.
    """
    try:
        # latin1 is how numpy arrays written by Python 2 come back unharmed.
        return _RestrictedUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise InputError(
            f"'{path}' was refused: a dataset pickle may hold plain values and numpy arrays only, "
            f"this one is damaged or asks for {error}; get the published file again."
        ) from error
    except (EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is no readable pickle ({error}); get the published file again."
        ) from error
