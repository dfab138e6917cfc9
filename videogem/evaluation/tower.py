"""Many methods from one pass of the image tower."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from videogem.confidence.shipped import shipped_scoring
from videogem.datasets.base import Item
from videogem.evaluation import Prediction, Skipped, read_clips
from videogem.evaluation.cache import TokenFiles
from videogem.evaluation.methods import MethodSpec
from videogem.grounding import VideoGEM
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.settings import AttentionSettings, MethodSettings
from videogem.narration.prompts import Words, parse
from videogem.structures import Clip

_Pass = tuple[AttentionSettings, bool]  # what needs a pass of its own: settings, target repeated


class TowerPredictor:
    """Several methods on one backbone; methods that use the same tokens share the tower's pass.

    ``tokens`` keeps the tower's output in a folder, so that further methods cost no pass.
    ``image_size`` is that of the backbone where it is not the weights' own: no fit holds for it.
    """

    def __init__(
        self,
        backbone: Backbone,
        specs: Sequence[MethodSpec],
        *,
        tokens_folder: Path | None = None,
        image_size: int | None = None,
    ) -> None:
        self.backbone = backbone
        self.specs = tuple(specs)
        self.skipped: list[Skipped] = []
        self._files = (
            None if tokens_folder is None else TokenFiles(tokens_folder, backbone.fingerprint)
        )
        self._grounders = [
            VideoGEM(
                backbone,
                spec.settings,
                scoring=shipped_scoring(backbone.name, spec.settings, image_size),
            )
            for spec in self.specs
        ]

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in self.specs)

    @torch.inference_mode()
    def predict(self, items: Sequence[Item]) -> list[list[Prediction]]:
        predictions: dict[str, list[Prediction]] = {spec.name: [] for spec in self.specs}
        read: dict[bool, tuple[list[Item], list[Clip]]] = {}
        for (settings, repeat_target), members in self._passes().items():
            if repeat_target not in read:
                read[repeat_target] = read_clips(
                    items, self.backbone.num_frames, self.skipped, repeat_target=repeat_target
                )
            readable, clips = read[repeat_target]
            different = list({id(clip): clip for clip in clips}.values())
            encoded = self._encode(different, settings) if different else []
            tokens = {id(clip): t for clip, t in zip(different, encoded, strict=True)}
            for item, clip in zip(readable, clips, strict=True):
                sample = tokens[id(clip)]
                for spec, grounder in members:
                    words = words_of(item, spec.settings)
                    ((found,),) = grounder.ground_tokens(
                        [clip], sample, [[item.narration]], [[words]]
                    )
                    predictions[spec.name].append(
                        Prediction(item.id, found.point, found.box, found.score)
                    )
        return [predictions[spec.name] for spec in self.specs]

    def _passes(self) -> dict[_Pass, list[tuple[MethodSpec, VideoGEM]]]:
        """Methods by the pass they need; one that also serves baselines serves all."""
        groups: dict[_Pass, list[tuple[MethodSpec, VideoGEM]]] = {}
        for spec, grounder in zip(self.specs, self._grounders, strict=True):
            plain = replace(spec.settings.attention, baselines=False)
            groups.setdefault((plain, spec.repeat_target), []).append((spec, grounder))
        return {
            (replace(settings, baselines=_any_baseline(members)), repeat): members
            for (settings, repeat), members in groups.items()
        }

    def _encode(self, clips: Sequence[Clip], settings: AttentionSettings) -> list[ImageTokens]:
        if self._files is None:
            tokens = self.backbone.encode_frames(self.backbone.preprocess(clips), settings)
            return [tokens.sample(index) for index in range(len(clips))]
        stored = [self._files.get(clip, settings, self.backbone.device) for clip in clips]
        missing = [clip for clip, tokens in zip(clips, stored, strict=True) if tokens is None]
        fresh: Iterator[ImageTokens] = iter(())
        if missing:
            tokens = self.backbone.encode_frames(self.backbone.preprocess(missing), settings)
            fresh = iter([tokens.sample(index) for index in range(len(missing))])
        found = []
        for clip, kept in zip(clips, stored, strict=True):
            sample = kept
            if sample is None:
                sample = next(fresh)
                self._files.put(clip, settings, sample)
            found.append(sample)
        return found


def _any_baseline(members: Sequence[tuple[MethodSpec, VideoGEM]]) -> bool:
    return any(spec.settings.attention.baselines for spec, _ in members)


def words_of(item: Item, settings: MethodSettings) -> Words:
    """The item's own verb and object where the dataset names them, else those of its narration.

    A label style that the settings name goes before the dataset's own.
    """
    if item.verb is not None or item.object is not None:
        verbs, objects = ((word,) if word else () for word in (item.verb, item.object))
        return Words(verbs, objects, item.narration)
    return parse(
        item.narration,
        style=item.style if settings.label_style == "auto" else settings.label_style,
        words=settings.words,
        action=settings.action,
        spacy_model=settings.spacy_model,
    )
