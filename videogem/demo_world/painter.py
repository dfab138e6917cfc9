"""Paint one frame of the demo world at full size, antialiased: an independent second renderer.

The training renderer samples small textures on a square; this one warps each sprite onto a frame of
any size with cubic interpolation and keeps exact outlines, so that what works on its frames does
not owe anything to the renderer the model has learnt from.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from videogem.demo_world.sprites import VISIBLE_OPACITY

_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Placement:
    """A sprite on a frame: centre and side in pixels, turn in radians, mirrored or not."""

    sprite: int
    x: float
    y: float
    size: float
    turn: float = 0.0
    mirrored: bool = False

    def matrix(self, side: int) -> Float[np.ndarray, "2 3"]:
        """Texel coordinates (texel centres at 0.5, 1.5, ...) -> frame pixels."""
        scale = self.size / side
        cos, sin = math.cos(self.turn) * scale, math.sin(self.turn) * scale
        flip = -1.0 if self.mirrored else 1.0
        linear = np.array([[flip * cos, -sin], [flip * sin, cos]])
        offset = np.array([self.x, self.y]) - linear @ np.array([side / 2, side / 2])
        return np.column_stack([linear, offset])


def paint(
    background: UInt8[np.ndarray, "H W 3"],
    sprites: UInt8[np.ndarray, "S side side 4"],
    placements: Sequence[Placement],
) -> UInt8[np.ndarray, "H W 3"]:
    """The background with the sprites over it, in their order."""
    canvas = background.astype(np.float32)
    for placement in placements:
        _blend(canvas, sprites[placement.sprite], placement)
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def visible_outline(sprite: UInt8[np.ndarray, "side side 4"]) -> Float[np.ndarray, "n 2"]:
    """Corners of the visible texels' convex hull, in texels."""
    rows, columns = np.nonzero(sprite[..., 3] > VISIBLE_OPACITY * 255)
    corners = [(columns + dx, rows + dy) for dx in (0, 1) for dy in (0, 1)]
    points = np.concatenate([np.stack(corner, axis=1) for corner in corners])
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(float)


def placement_box(
    outline: Float[np.ndarray, "n 2"], placement: Placement, side: int
) -> tuple[float, float, float, float]:
    """Box of a placed sprite's visible part in frame pixels, which may reach out of the frame."""
    matrix = placement.matrix(side)
    points = outline @ matrix[:, :2].T + matrix[:, 2]
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _blend(
    canvas: Float[np.ndarray, "H W 3"],
    sprite: UInt8[np.ndarray, "side side 4"],
    placement: Placement,
) -> None:
    """Warp onto the window that the sprite touches, at twice the size, and blend in place."""
    height, width = canvas.shape[:2]
    side = sprite.shape[0]
    reach = placement.size * 0.75 + 2
    left, right = max(0, math.floor(placement.x - reach)), math.ceil(placement.x + reach)
    top, bottom = max(0, math.floor(placement.y - reach)), math.ceil(placement.y + reach)
    right, bottom = min(width, right), min(height, bottom)
    if left >= right or top >= bottom:
        return
    matrix = placement.matrix(side)
    # OpenCV puts the centre of the first texel, and of the first pixel, at 0 instead of 0.5.
    matrix[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5]) - np.array([left, top])
    matrix = matrix * _SUPERSAMPLING
    matrix[:, 2] -= 0.5
    opacity = sprite[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([sprite[..., :3] * opacity, 255 * opacity], axis=2)
    warped = cv2.warpAffine(
        premultiplied.astype(np.float32),
        matrix,
        ((right - left) * _SUPERSAMPLING, (bottom - top) * _SUPERSAMPLING),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
    )
    small = cv2.resize(warped, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    cover = np.clip(small[..., 3:] / 255, 0, 1)
    colours = np.clip(small[..., :3], 0, 255 * cover)
    window = canvas[top:bottom, left:right]
    window *= 1 - cover
    window += colours


def paint_room(size_wh: tuple[int, int], rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """A wall, a floor and some furniture in quiet colours, as wide as a camera will pan over."""
    width, height = size_wh
    wall, floor = _quiet_colour(rng, 150, 225), _quiet_colour(rng, 90, 170)
    horizon = int(height * rng.uniform(0.5, 0.68))
    rows = np.linspace(-12, 12, height, dtype=np.float32)[:, None, None]
    room = np.empty((height, width, 3), np.float32)
    room[:horizon], room[horizon:] = wall, floor
    room += rows
    board = max(2, height // 90)
    room[horizon : horizon + board] = wall * 0.7
    for _ in range(round(width / height * 3)):
        _paint_furniture(room, horizon, rng)
    planks = int(height * rng.uniform(0.1, 0.2))
    for x in range(int(rng.integers(planks)), width, planks):
        cv2.line(
            room,
            (x, horizon + board),
            (x + (x - width // 2) // 3, height),
            (floor * 0.93).tolist(),
            max(1, height // 240),
            cv2.LINE_AA,
        )
    return np.clip(room, 0, 255).astype(np.uint8)


def _paint_furniture(
    room: Float[np.ndarray, "H W 3"], horizon: int, rng: np.random.Generator
) -> None:
    """A window, picture or cupboard: a framed rectangle on the wall."""
    height, width = room.shape[:2]
    wide, high = int(height * rng.uniform(0.12, 0.3)), int(height * rng.uniform(0.12, 0.3))
    x, y = int(rng.integers(-wide // 2, width)), int(rng.integers(0, max(1, horizon - high)))
    frame, inside = _quiet_colour(rng, 90, 200), _quiet_colour(rng, 130, 220)
    edge = max(2, height // 100)
    cv2.rectangle(room, (x, y), (x + wide, y + high), frame.tolist(), -1, cv2.LINE_AA)
    cv2.rectangle(
        room,
        (x + edge, y + edge),
        (x + wide - edge, y + high - edge),
        inside.tolist(),
        -1,
        cv2.LINE_AA,
    )
    if rng.random() < 0.5:
        middle = (x + wide // 2, y), (x + wide // 2, y + high)
        cv2.line(room, *middle, frame.tolist(), edge, cv2.LINE_AA)


def _quiet_colour(rng: np.random.Generator, low: int, high: int) -> Float[np.ndarray, " 3"]:
    """A colour near grey."""
    return rng.uniform(low, high) + rng.uniform(-32, 32, 3)
