"""VideoGEM: where in a frame does the narrated action happen? (CVPR 2025)

The method from top to bottom:

1. one pass of the image tower collects each block's own output and its self-self attention;
2. the narration becomes verb, object and action prompts; of several verbs or objects the ones most
   similar to the frame are used;
3. each prompt weights the collected blocks and compares them with its text: a heatmap;
4. the heatmaps become one point and one box.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from videogem.backbones.base import fit_clip
from videogem.backbones.names import planned_version
from videogem.backbones.token_cache import TokenCache, clip_key
from videogem.backbones.zoo import load_backbone
from videogem.grounder import Grounder
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.boxes import action_box
from videogem.method.confidence import agreement_score
from videogem.method.heatmaps import merge_points, min_max_normalize, peak
from videogem.method.settings import MethodSettings, method_settings, version_string
from videogem.method.similarity import frame_similarities, patch_similarities, upsample
from videogem.narration.prompts import Words, parse
from videogem.structures import PROMPT_NAMES, Clip, Grounding, Prompts


class VideoGEM(Grounder):
    """The method, or one of its baselines, on one backbone. Safe to share between threads.

    Tokens of the frames last seen are kept (up to ``cache_megabytes``), so that grounding another
    sentence in the same frame skips the image tower.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: MethodSettings | None = None,
        *,
        version: str | None = None,
        cache_megabytes: int = 256,
        batch_size: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.settings = settings or MethodSettings()
        self._version = version or version_string(backbone.name, self.settings)
        self._cache = TokenCache(cache_megabytes * 2**20)
        self._batch_size = batch_size or (32 if backbone.device.type == "cuda" else 8)

    @property
    def version(self) -> str:
        return self._version

    @property
    def num_frames(self) -> int:
        return self.backbone.num_frames

    @property
    def batch_size(self) -> int:
        return self._batch_size

    def prepare(self, clips: Sequence[Clip]) -> None:
        self.encode(clips)

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        return self.ground_batch([clip], [narrations])[0]

    def ground_batch(
        self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
    ) -> list[list[Grounding]]:
        """Ground several clips; their frames go through the image tower in batches."""
        words = [[self._parse(text) for text in texts] for texts in narrations]
        clips = [fit_clip(clip, self.backbone.num_frames) for clip in clips]
        tokens = self.encode(clips)
        return [
            [self.ground_words(clip, t, text, w) for text, w in zip(texts, ws, strict=True)]
            for clip, t, texts, ws in zip(clips, tokens, narrations, words, strict=True)
        ]

    @torch.inference_mode()
    def encode(self, clips: Sequence[Clip]) -> list[ImageTokens]:
        """Tokens of each clip, from the cache or by the image tower in batches."""
        clips = [fit_clip(clip, self.backbone.num_frames) for clip in clips]
        keys = [clip_key(clip) for clip in clips]
        found = {key: tokens for key in keys if (tokens := self._cache.get(key)) is not None}
        missing = {k: clip for k, clip in zip(keys, clips, strict=True) if k not in found}
        pending = list(missing.items())
        for start in range(0, len(pending), self._batch_size):
            batch = pending[start : start + self._batch_size]
            pixels = self.backbone.preprocess([clip for _, clip in batch])
            tokens = self.backbone.encode_frames(pixels, self.settings.attention)
            for index, (key, _) in enumerate(batch):
                found[key] = tokens.sample(index)
                self._cache.put(key, found[key])
        return [found[key] for key in keys]

    @torch.inference_mode()
    def similarity(self, clip: Clip, texts: Sequence[str]) -> Float[np.ndarray, " P"]:
        """Cosine between the whole frame (or clip) and each text."""
        return self._frame_similarity(self.encode([clip])[0], texts)

    @torch.inference_mode()
    def heatmaps(
        self, clip: Clip, tokens: ImageTokens, texts: Sequence[str]
    ) -> Float[np.ndarray, "P H W"]:
        """A heatmap in [0, 1] of the clip's target frame for each text."""
        embeddings = self.backbone.encode_texts(texts)
        similarities = patch_similarities(self.backbone, tokens, embeddings, self.settings)
        rows, columns, frames = tokens.grid
        patch = self.backbone.patch_size
        target = similarities[..., clip.target if frames > 1 else 0]
        return min_max_normalize(upsample(target, (rows * patch, columns * patch)))

    @torch.inference_mode()
    def ground_words(
        self, clip: Clip, tokens: ImageTokens, narration: str, words: Words
    ) -> Grounding:
        """Ground a parsed narration in a clip whose tokens are at hand."""
        prompts = self._select_prompts(tokens, words)
        heatmaps = self.heatmaps(clip, tokens, prompts.texts)
        weights = self.settings.prompt_weights
        point = merge_points(heatmaps, weights, self.settings.merge)
        return Grounding(
            narration=narration,
            prompts=prompts,
            points=dict(zip(PROMPT_NAMES, map(peak, heatmaps), strict=True)),
            point=point,
            box=action_box(heatmaps, weights, self.settings.box_threshold),
            score=agreement_score(heatmaps, weights, point),
            heatmaps=heatmaps,
            frame_index=clip.frame_index,
            time=clip.time,
            size_wh=clip.size_wh,
            method=self.settings.method,
            model_version=self._version,
            window=tuple(clip.times.tolist()),
        )

    def _parse(self, text: str) -> Words:
        return parse(text, style=self.settings.label_style, spacy_model=self.settings.spacy_model)

    def _select_prompts(self, tokens: ImageTokens, words: Words) -> Prompts:
        """Of several verbs or objects, those whose prompt is most similar to the frame."""
        verb = object_ = 0
        if len(words.verbs) > 1:
            verb = int(self._frame_similarity(tokens, words.verb_prompts).argmax())
        if len(words.objects) > 1:
            object_ = int(self._frame_similarity(tokens, words.object_prompts).argmax())
        return words.select(verb, object_)

    def _frame_similarity(
        self, tokens: ImageTokens, texts: Sequence[str]
    ) -> Float[np.ndarray, " P"]:
        embeddings = self.backbone.encode_texts(texts)
        return frame_similarities(self.backbone, tokens, embeddings).float().cpu().numpy()


def load_grounder(
    model: str = "demo",
    method: str = "videogem",
    *,
    device: str = "auto",
    image_size: int | None = None,
    **settings: Any,
) -> VideoGEM:
    """A grounder by model name (see `videogem.backbones.names`) and method, other settings by name.

    Raises:
        InputError: unknown model or method, missing weights, or a setting out of its range.
    """
    version = planned_version(model, method, image_size=image_size, **settings)
    backbone = load_backbone(model, device=device, image_size=image_size)
    return VideoGEM(backbone, method_settings(method, **settings), version=version)
