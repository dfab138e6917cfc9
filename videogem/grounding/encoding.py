"""Clips become tokens: batches of the image tower, and what is kept of them."""

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from videogem.backbones.compiling import TowerGraphs
from videogem.backbones.token_cache import TokenCache, pixels_key
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.settings import AttentionSettings
from videogem.structures import Clip


class ClipEncoder:
    """The image tower of a backbone with one kind of attention. Safe to share between threads.

    On a CPU tokens of the frames last seen are kept (up to ``cache_megabytes``); on a GPU, where
    telling frames apart by their pixels takes longer than another pass, those of prepared clips.
    Clips hold as many frames as the backbone looks at.
    """

    def __init__(
        self, backbone: Backbone, attention: AttentionSettings, *, cache_megabytes: int
    ) -> None:
        self._backbone = backbone
        self._attention = attention
        self._on_gpu = backbone.device.type == "cuda"
        self._cache = TokenCache(cache_megabytes * 2**20)
        self._graphs = TowerGraphs()
        self._prepared: WeakKeyDictionary[Clip, ImageTokens] = WeakKeyDictionary()

    def prepare(self, clips: Sequence[Clip], batch_size: int) -> None:
        """Compute together what later questions about these clips share."""
        for places, tokens in self.batches(clips, batch_size):
            if self._on_gpu:
                for index, place in enumerate(places):
                    self._prepared[clips[place]] = tokens.sample(index)

    def batches(
        self, clips: Sequence[Clip], batch_size: int
    ) -> Iterator[tuple[list[int], ImageTokens]]:
        """Places of clips and their tokens together, clips of one target frame at a time."""
        by_target: dict[int, list[int]] = {}
        for place, clip in enumerate(clips):
            by_target.setdefault(clip.target, []).append(place)
        for target, places in by_target.items():
            for start in range(0, len(places), batch_size):
                batch = places[start : start + batch_size]
                yield batch, self.encode([clips[place] for place in batch], target)

    def encode(self, clips: Sequence[Clip], target: int) -> ImageTokens:
        """Tokens of clips, from the cache or by one pass of the image tower."""
        if self._on_gpu:
            kept = [self._prepared.get(clip) for clip in clips]
            found_all = [one for one in kept if one is not None]
            if len(found_all) == len(clips):
                return ImageTokens.joined(found_all)
        pixels = self._backbone.preprocess(clips)
        attention = self._attention
        if self._on_gpu or self._cache.max_bytes == 0:  # telling frames apart costs time too
            recorded = self._graphs.replay(pixels, (attention, target))
            return recorded or self._backbone.encode_frames(pixels, attention, target=target)
        keys = [pixels_key(each, target) for each in pixels]
        found = {key: tokens for key in keys if (tokens := self._cache.get(key)) is not None}
        missing = {key: index for index, key in enumerate(keys) if key not in found}
        if missing:
            fresh = self._backbone.encode_frames(
                pixels[list(missing.values())], attention, target=target
            )
            for index, key in enumerate(missing):
                found[key] = fresh.sample(index)
                self._cache.put(key, found[key])
        return ImageTokens.joined([found[key] for key in keys])

    def compile(self, batch_size: int) -> Iterator[ImageTokens]:
        """Compile the tower for full batches; on a GPU, gives tokens of each size it records."""
        backbone: Any = self._backbone
        count = backbone.num_frames
        frames = np.zeros((count, 32, 32, 3), np.uint8)
        blank = Clip(frames, np.zeros(count), np.arange(count), target=count // 2)
        pixels = backbone.preprocess([blank] * batch_size)
        attention = self._attention
        target = blank.target

        def encode(pixels: Tensor) -> ImageTokens:
            tokens: ImageTokens = backbone.encode_frames(pixels, attention, target=target)
            return tokens

        backbone.block_forward.prepare(lambda: encode(pixels))
        if self._on_gpu:
            for size in (*self._graphs.sizes, batch_size):
                self._graphs.prepare(encode, pixels[:size], (attention, target))
            for size in self._graphs.sizes:
                yield encode(pixels[:size])
