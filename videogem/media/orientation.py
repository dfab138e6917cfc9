"""Turn video frames the way the file says they are to be seen."""

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type
from jaxtyping import UInt8

Matrix = tuple[int, int, int, int]


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """Signs of the 2x2 part of the display matrix: x' = a x + c y, y' = b x + d y; y points down.

    Only quarter turns and mirrorings are kept, as players do.
    """
    # PyAV's annotations call the keys str; they are members of Type.
    data = cast(Mapping[Type, Buffer], frame.side_data).get(Type.DISPLAYMATRIX)
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(memoryview(data), dtype=np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return -1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1
    return 0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0


def swaps_sides(matrix: Matrix | None) -> bool:
    return matrix is not None and matrix[0] == 0


def degrees_clockwise(matrix: Matrix | None) -> int:
    """The quarter turns in the matrix; a mirroring is left out of account."""
    if matrix is None:
        return 0
    a, b, _, _ = matrix
    if a != 0:
        return 0 if a > 0 else 180
    return 90 if b > 0 else 270


def upright(image: UInt8[np.ndarray, "H W 3"], matrix: Matrix | None) -> UInt8[np.ndarray, "A B 3"]:
    """Apply the matrix; sides swap where it turns by a quarter."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if a == 0:
        image = image.swapaxes(0, 1)
    if min(a, c) < 0:
        image = image[:, ::-1]
    if min(b, d) < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
