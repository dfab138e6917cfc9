"""VideoGEM: where in a frame does the narrated action happen? (CVPR 2025)

The method from top to bottom:

1. one pass of the image tower collects each block's own output and its self-self attention;
2. the narration becomes verb, object and action prompts; of several verbs or objects the ones most
   similar to the frame are used;
3. each prompt weights the collected blocks and compares them with its text: a heatmap;
4. the heatmaps become one point and one box.
"""

import logging
import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videogem.backbones.base import fit_clip
from videogem.backbones.compiling import PlaceGraphs
from videogem.confidence.model import Scoring
from videogem.grounding.choice import choose_prompts
from videogem.grounding.encoding import ClipEncoder
from videogem.grounding.lanes import BackboneGrounder
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.confidence import agreement_score
from videogem.method.places import Places, find_packed, find_places, has_kernel, unpack
from videogem.method.settings import MethodSettings, version_string
from videogem.method.signals import NEUTRAL_PROMPTS, Measured, compared, frame_signals, measure
from videogem.method.similarity import frame_similarities, patch_similarities
from videogem.narration.prompts import Words, parse_all
from videogem.structures import PROMPT_NAMES, Clip, Grounding, Prompts

logger = logging.getLogger(__name__)

SENTENCES_AT_ONCE = 8  # per clip, so that their features stay small beside the tower's


class VideoGEM(BackboneGrounder):
    """The method, or one of its baselines, on one backbone. Safe to share between threads.

    On a CPU tokens of the frames last seen are kept (up to ``cache_megabytes``), so that grounding
    another sentence in the same frame skips the image tower; on a GPU those of prepared clips.
    """

    def __init__(
        self,
        backbone: Backbone,
        settings: MethodSettings | None = None,
        *,
        version: str | None = None,
        scoring: Scoring | None = None,
        cache_megabytes: int = 256,
        batch_size: int | None = None,
    ) -> None:
        super().__init__(backbone, batch_size=batch_size)
        self.settings = settings or MethodSettings()
        self._scoring = scoring
        scored = "" if scoring is None else scoring.suffix
        self._version = version or version_string(backbone.name, self.settings) + scored
        self._encoder = ClipEncoder(
            backbone, self.settings.attention, cache_megabytes=cache_megabytes
        )
        self._place_graphs = PlaceGraphs()

    @property
    def version(self) -> str:
        return self._version

    @property
    def scoring(self) -> Scoring | None:
        """What makes the scores; None: they are uncalibrated."""
        return self._scoring

    @property
    def takes_encoded(self) -> bool:
        return bool(getattr(self.backbone, "jpeg_on_device", False))

    @torch.inference_mode()
    def prepare(self, clips: Sequence[Clip]) -> None:
        self._encoder.prepare(self._fit(clips), self._batch_size)

    def compile_soon(self) -> threading.Thread | None:
        """Begin to compile the image tower for full batches; until it is done all goes on as ever.

        The thread that does so is returned; None for a tower that cannot be compiled.
        """
        if not getattr(self.backbone, "compiles", False):
            logger.warning("'%s' runs as written: its tower is not compiled.", self.backbone.name)
            return None
        thread = threading.Thread(target=self._compile, name="compile", daemon=True)
        thread.start()
        return thread

    @torch.inference_mode()
    def _compile(self) -> None:
        for tokens in self._encoder.compile(self._batch_size):
            self._record_places(tokens)

    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        return self.ground_batch([clip], [narrations])[0]

    @torch.inference_mode()
    def ground_batch(
        self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
    ) -> list[list[Grounding]]:
        """Ground several clips; frames, texts and heatmaps are computed in batches."""
        parsed = iter(self.parse_all([text for texts in narrations for text in texts]))
        words = [[next(parsed) for _ in texts] for texts in narrations]
        fitted = self._fit(clips)
        found: dict[int, list[Grounding]] = {}
        for places, tokens in self._encoder.batches(fitted, self._batch_size):
            groundings = self.ground_tokens(
                [fitted[place] for place in places],
                tokens,
                [narrations[place] for place in places],
                [words[place] for place in places],
            )
            found.update(zip(places, groundings, strict=True))
        return [found[place] for place in range(len(fitted))]

    @torch.inference_mode()
    def similarity(self, clip: Clip, texts: Sequence[str]) -> Float[np.ndarray, " P"]:
        """Cosine between the whole frame (or clip) and each text."""
        _, tokens = next(self._encoder.batches(self._fit([clip]), 1))
        embeddings = self.backbone.encode_texts(texts)[None]
        return frame_similarities(self.backbone, tokens, embeddings)[0].cpu().numpy()

    @torch.inference_mode()
    def places(
        self, clips: Sequence[Clip], tokens: ImageTokens, embeddings: Float[Tensor, "B P E"]
    ) -> Places:
        """Peaks and regions in each clip's target frame for each of its prompts."""
        rows, columns, frames = tokens.grid
        patch = self.backbone.patch_size
        if (packed := self._place_graphs.replay(tokens, embeddings)) is not None:
            return unpack(packed, (rows, columns), (rows * patch, columns * patch))
        similarities = patch_similarities(self.backbone, tokens, embeddings, self.settings)
        if frames > 1:
            target = torch.tensor([clip.target for clip in clips], device=similarities.device)
            target = target.view(-1, 1, 1, 1, 1).expand(*similarities.shape[:-1], 1)
            similarities = similarities.gather(-1, target)
        size_hw = (rows * patch, columns * patch)
        signals = frame_signals(self.backbone, tokens, embeddings, self._neutral)
        return find_places(similarities[..., 0], size_hw, self.settings.box_threshold, signals)

    def _record_places(self, tokens: ImageTokens) -> None:
        """Record `places` of one narration a clip, where all of it is computed on the device."""
        rows, columns, frames = tokens.grid
        size_hw = (rows * self.backbone.patch_size, columns * self.backbone.patch_size)
        neutral = self._neutral
        if frames > 1 or self.settings.attention.baselines or not has_kernel(neutral, size_hw):
            return

        def find(tokens: ImageTokens, embeddings: Tensor) -> Tensor:
            similarities = patch_similarities(self.backbone, tokens, embeddings, self.settings)
            signals = frame_signals(self.backbone, tokens, embeddings, neutral)
            threshold = self.settings.box_threshold
            return find_packed(similarities[..., 0].float(), size_hw, threshold, signals)

        embeddings = neutral[: len(PROMPT_NAMES)].expand(tokens.batch_size, -1, -1)
        self._place_graphs.prepare(find, tokens, embeddings)

    @cached_property
    def _neutral(self) -> Float[Tensor, "Q E"]:
        """Embeddings of the neutral prompts, which every frame is compared with."""
        with torch.inference_mode():
            return self.backbone.encode_texts(NEUTRAL_PROMPTS)

    @torch.inference_mode()
    def ground_tokens(
        self,
        clips: Sequence[Clip],
        tokens: ImageTokens,
        narrations: Sequence[Sequence[str]],
        words: Sequence[Sequence[Words]],
    ) -> list[list[Grounding]]:
        """Ground parsed narrations in clips whose tokens are at hand, as one batch."""
        prompts, found = self.measure_tokens(clips, tokens, words)
        return [
            [
                self._grounding(clips[place], narrations[place][index], prompts[place][index], each)
                for index, each in enumerate(own)
            ]
            for place, own in enumerate(found)
        ]

    @torch.inference_mode()
    def measure_tokens(
        self, clips: Sequence[Clip], tokens: ImageTokens, words: Sequence[Sequence[Words]]
    ) -> tuple[list[list[Prompts]], list[list[Measured]]]:
        """The prompts of each clip's narrations, and what maps and frame say of them."""
        prompts = choose_prompts(self.backbone, tokens, words)
        counts = [len(each) for each in words]
        found: list[list[Measured]] = [[] for _ in clips]
        for start in range(0, max(counts, default=0), SENTENCES_AT_ONCE):
            members = [place for place, count in enumerate(counts) if count > start]
            stop = min(start + SENTENCES_AT_ONCE, max(counts))
            # Clips with fewer sentences repeat their last, so that the batch is rectangular.
            texts = [
                text
                for place in members
                for index in range(start, stop)
                for text in prompts[place][min(index, counts[place] - 1)].texts
            ]
            embeddings = self.backbone.encode_texts(texts).unflatten(0, (len(members), -1))
            part = tokens if len(members) == len(clips) else tokens.samples(members)
            places = self.places([clips[place] for place in members], part, embeddings)
            measured = measure(places, self.settings.prompt_weights)
            for sample, place in enumerate(members):
                found[place] += measured[sample][: counts[place] - start]
        return prompts, [compared(own) for own in found]

    def _grounding(
        self, clip: Clip, narration: str, prompts: Prompts, measured: Measured
    ) -> Grounding:
        weights, scoring = self.settings.prompt_weights, self._scoring
        presence = None if scoring is None else scoring.presence
        places = measured.places
        points = places.points
        point = places.merged_point(weights, self.settings.merge)
        box, doubtful = places.action_box(weights)
        height = agreement_score(places.heights(point), weights)
        signals = measured.signals(points, point, height, weights)
        return Grounding.lazily(
            places.maps,
            narration=narration,
            prompts=prompts,
            points=dict(zip(PROMPT_NAMES, points, strict=True)),
            point=point,
            box=box,
            score=height if scoring is None else scoring.point.chance(signals),
            frame_index=clip.frame_index,
            time=clip.time,
            size_wh=clip.size_wh,
            method=self.settings.method,
            model_version=self._version,
            window=tuple(clip.times.tolist()),
            doubtful=doubtful,
            signals=signals,
            scoring=None if scoring is None else scoring.name,
            presence=None if presence is None else presence.chance(signals),
        )

    def _fit(self, clips: Sequence[Clip]) -> list[Clip]:
        return [fit_clip(clip, self.backbone.num_frames) for clip in clips]

    def parse(self, text: str) -> Words:
        """The words of a narration, cut as the settings say."""
        return self.parse_all([text])[0]

    def parse_all(self, texts: Sequence[str]) -> list[Words]:
        """The same of several narrations, which are tagged together."""
        settings = self.settings
        return parse_all(
            texts,
            style=settings.label_style,
            words=settings.words,
            action=settings.action,
            spacy_model=settings.spacy_model,
        )
