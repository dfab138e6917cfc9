"""The image tower's output for the frames last seen, so that another sentence costs no pass."""

import hashlib
import threading
from collections import OrderedDict

from torch import Tensor

from videogem.method.backbone import ImageTokens
from videogem.structures import Clip


def clip_key(clip: Clip) -> bytes:
    """Equal for clips of equal pixels, whatever file they come from."""
    digest = hashlib.blake2b(repr(clip.frames.shape).encode(), digest_size=16)
    digest.update(repr(clip.target).encode())
    digest.update(clip.frames.tobytes())
    return digest.digest()


def pixels_key(pixels: Tensor, target: int) -> bytes:
    """Equal for equal inputs of a tower, whose tokens are then equal too."""
    digest = hashlib.blake2b(repr((tuple(pixels.shape), target)).encode(), digest_size=16)
    digest.update(pixels.cpu().numpy().tobytes())
    return digest.digest()


class TokenCache:
    """Least recently used tokens under a cap of bytes; safe between threads."""

    def __init__(self, max_bytes: int) -> None:
        self._entries: OrderedDict[bytes, ImageTokens] = OrderedDict()
        self.max_bytes = max_bytes
        self._num_bytes = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> ImageTokens | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: bytes, tokens: ImageTokens) -> None:
        with self._lock:
            if key in self._entries or tokens.num_bytes > self.max_bytes:
                return
            self._entries[key] = tokens
            self._num_bytes += tokens.num_bytes
            while self._num_bytes > self.max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._num_bytes -= dropped.num_bytes
