"""Decoded frames as players show them: 8-bit RGB of a standard screen.

What a file leaves out is filled in as browsers do: the matrix of BT.709 from 720 lines on, of
BT.601 below, limited range. Wide colours and high dynamic range are brought to the standard screen,
and what is transparent lies on white, as in still images (`videogem.media.stills`).

Source: ITU-R BT.709, BT.601, BT.2020, BT.2100 (PQ and HLG), BT.2408 (white of 203 cd/m2);
IEC 61966-2-1 (sRGB); the codes are those of ITU-T H.273.
"""

from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from jaxtyping import Float32, UInt8, UInt16

from videogem.media.stills import on_white

HD_LINES = 720
PQ, HLG = 16, 18  # transfer characteristics
BT2020 = 9  # colour primaries
WHITE = 203.0  # cd/m2 of white paper in a programme of high dynamic range
HLG_PEAK = 1000.0  # cd/m2 of the screen that HLG is graded on
KNEE = 0.75  # of white: what is darker stays as it is, what is brighter is pressed below 1
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_FULL_RANGE = 2
# Linear light of BT.2020's primaries -> that of BT.709's (BT.2087, inverted)
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)


def to_rgb(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A frame in the colours that a player shows."""
    wide = frame.color_primaries == BT2020 or frame.color_trc in (PQ, HLG)
    transparent = any(component.is_alpha for component in frame.format.components)
    if wide and not transparent:
        return _to_standard_screen(_converted(frame, "rgb48le"), frame.color_trc)
    if transparent:
        return on_white(_converted(frame, "rgba"))
    return _converted(frame, "rgb24")


def _converted(frame: av.VideoFrame, format: str) -> np.ndarray:
    if frame.format.is_rgb:
        return frame.to_ndarray(format=format)
    matrix = _MATRICES.get(int(frame.colorspace))
    if matrix is None:
        matrix = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
    full = int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return frame.to_ndarray(
        format=format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )


def _to_standard_screen(
    image: UInt16[np.ndarray, "H W 3"], transfer: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Linear light, pressed below white where it is brighter, in BT.709's primaries, as sRGB."""
    light = _light_by_level(transfer)[image]
    if transfer == HLG:
        # The scene's light -> the screen's: brighter parts of the picture gain contrast.
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
        light *= (HLG_PEAK / WHITE) * np.power(luminance, 0.2, dtype=np.float32)[..., None]
    light = light @ _TO_BT709.T
    np.maximum(light, 0.0, out=light)
    if transfer in (PQ, HLG):
        brightest = light.max(axis=-1, keepdims=True)
        np.maximum(brightest, 1e-6, out=brightest)
        light *= _pressed(brightest) / brightest
    levels = np.minimum(light * 65535 + 0.5, 65535).astype(np.uint16)
    return _srgb_by_level()[levels]


def _pressed(light: Float32[np.ndarray, "H W 1"]) -> Float32[np.ndarray, "H W 1"]:
    room = np.float32(1 - KNEE)
    above = np.maximum(light - np.float32(KNEE), 0.0)
    return np.minimum(light, np.float32(KNEE)) + room * -np.expm1(-above / room)


@cache
def _light_by_level(transfer: int) -> Float32[np.ndarray, " L"]:
    """Linear light of each 16-bit level; 1 is white (of HLG: the scene's brightest)."""
    signal = np.arange(65536) / 65535
    if transfer == PQ:
        power = np.power(signal, 32 / 2523)
        light = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
        return (10000 / WHITE * np.power(light, 8192 / 1305)).astype(np.float32)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        low = np.square(signal) / 3
        high = (np.exp((np.maximum(signal, 0.5) - c) / a) + b) / 12
        return np.where(signal <= 0.5, low, high).astype(np.float32)
    curve = np.power((signal + 0.055) / 1.055, 2.4)
    return np.where(signal <= 0.04045, signal / 12.92, curve).astype(np.float32)


@cache
def _srgb_by_level() -> UInt8[np.ndarray, " L"]:
    """The 8-bit sRGB value of each 16-bit level of light."""
    light = np.arange(65536) / 65535
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)
    return (255 * signal + 0.5).astype(np.uint8)
