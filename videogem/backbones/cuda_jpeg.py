"""JPEG decoded by the GPU (nvJPEG, by way of torchvision): files go to the device as they are.

Its pixels are not Pillow's to the bit (colours are spread over their pixels in another way), so a
model's version says where its frames were decoded. What nvJPEG is not known to read as others do is
decoded on the CPU.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from videogem.errors import InputError
from videogem.media.stills import EncodedClip
from videogem.structures import Clip

_KNOWN = ("444", "422", "420")
_END = b"\xff\xd9"
_PADDING = 64  # bytes that some cameras put after the end


def is_known(clip: EncodedClip) -> bool:
    """Whether a file is of the usual colours, and whole: nvJPEG says nothing of what is missing."""
    header = clip.header
    known = header.colour == "YCbCr" and header.subsampling in _KNOWN
    return known and _END in clip.data[-_PADDING:]


def decode(
    files: Sequence[bytes | bytearray], device: torch.device
) -> list[UInt8[Tensor, "3 H W"]] | None:
    """Files on the device, their colours apart; None where one of them cannot be decoded there."""
    from torchvision.io import ImageReadMode, decode_jpeg

    data = [
        torch.frombuffer(
            file if isinstance(file, bytearray) else bytearray(file), dtype=torch.uint8
        )
        for file in files
    ]
    try:
        decoded: list[Tensor] = decode_jpeg(data, ImageReadMode.RGB, device=device)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        return None
    return decoded


def frames_of(
    clips: Sequence[Clip], device: torch.device
) -> list[UInt8[Tensor, "3 _ _"] | UInt8[np.ndarray, "_ _ 3"]]:
    """Target frames, on the device where they could be decoded there.

    Raises:
        VideoReadError: a file is damaged.
    """
    known = {
        place: clip.data
        for place, clip in enumerate(clips)
        if isinstance(clip, EncodedClip) and is_known(clip)
    }
    # Where one of them is damaged each is decoded on the CPU, which says what is wrong.
    decoded = (decode(list(known.values()), device) if known else None) or []
    on_device = dict(zip(known, decoded, strict=False))
    frames: list[Any] = []
    for place, clip in enumerate(clips):
        frame = on_device.get(place)
        frames.append(clip.target_frame if frame is None else frame)
    return frames


def check(device: torch.device) -> None:
    """Raise InputError unless this device decodes JPEG here."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(buffer, "JPEG")
    if device.type == "cuda" and decode([buffer.getvalue()], device) is not None:
        return
    raise InputError(
        "JPEG cannot be decoded by the GPU here; that needs an NVIDIA GPU and a torchvision built "
        "for CUDA. Choose 'cpu'."
    )
