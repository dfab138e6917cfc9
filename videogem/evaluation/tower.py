"""Many methods from one pass of the image tower."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from videogem.confidence.shipped import shipped_scoring
from videogem.datasets.base import Item
from videogem.evaluation import Answers, Prediction, Skipped, read_clips
from videogem.evaluation.cache import TokenFiles
from videogem.evaluation.methods import MethodSpec
from videogem.grounding import VideoGEM
from videogem.grounding.lanes import BackboneGrounder
from videogem.method.backbone import Backbone, ImageTokens
from videogem.method.settings import AttentionSettings, MethodSettings
from videogem.narration.prompts import Words, parse
from videogem.structures import Clip

_Pass = tuple[AttentionSettings, bool]  # what needs a pass of its own: settings, target repeated


@dataclass(frozen=True)
class Wanted:
    """An item that is to be grounded in a clip, by the methods that look at such clips."""

    item: Item
    repeat_target: bool


Found = Mapping[str, Prediction]  # by method
Ground = Callable[[Sequence[Clip], Sequence[Sequence[Wanted]]], Sequence[Sequence[Found]]]
"""Answers what is wanted of some clips, in the order given."""


class TowerPredictor(BackboneGrounder):
    """Several methods on one backbone; methods that use the same tokens share the tower's pass.

    A `Grounder` that is asked for items instead of sentences, so that whoever fills batches for
    grounders does so for it too. ``tokens_folder`` keeps the tower's output, so that further
    methods cost no pass.
    ``image_size`` is that of the backbone where it is not the weights' own: no fit holds for it.
    """

    def __init__(
        self,
        backbone: Backbone,
        specs: Sequence[MethodSpec],
        *,
        tokens_folder: Path | None = None,
        image_size: int | None = None,
        batch_size: int = 16,
    ) -> None:
        super().__init__(backbone, batch_size=batch_size)
        self.specs = tuple(specs)
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

    @property
    def version(self) -> str:
        return " ".join(grounder.version for grounder in self._grounders)

    def answer(self, items: Sequence[Item], ground: Ground) -> Answers:
        """Read items, have them grounded, and give their predictions by method."""
        skipped: list[Skipped] = []
        clips: dict[int, Clip] = {}
        wanted: dict[int, list[Wanted]] = {}
        for repeat in dict.fromkeys(spec.repeat_target for spec in self.specs):
            readable, read = read_clips(items, self.num_frames, skipped, repeat_target=repeat)
            for item, clip in zip(readable, read, strict=True):
                clips[id(clip)] = clip
                wanted.setdefault(id(clip), []).append(Wanted(item, repeat))
        found: dict[tuple[str, str], Prediction] = {}
        answers = ground(list(clips.values()), list(wanted.values()))
        for each, predictions in zip(wanted.values(), answers, strict=True):
            for one, by_method in zip(each, predictions, strict=True):
                found.update(((name, one.item.id), each) for name, each in by_method.items())
        return [
            [found[name, item.id] for item in items if (name, item.id) in found]
            for name in self.methods
        ], skipped

    def ground(self, clip: Clip, narrations: Sequence[Any]) -> list[Any]:
        return self.ground_batch([clip], [narrations])[0]

    @torch.inference_mode()
    def ground_batch(self, clips: Sequence[Clip], narrations: Sequence[Sequence[Any]]) -> list[Any]:
        """For each `Wanted` of each clip, the predictions of its methods by their names."""
        found: list[list[dict[str, Prediction]]] = [[{} for _ in own] for own in narrations]
        for (settings, repeat), members in self._passes().items():
            places = [
                place
                for place, own in enumerate(narrations)
                if any(one.repeat_target == repeat for one in own)
            ]
            if not places:
                continue
            tokens = self._encode([clips[place] for place in places], settings)
            # One item of each clip at a time: the score of an item must not depend on which others
            # of its frame came with it.
            for index in range(max(len(narrations[place]) for place in places)):
                rows = [n for n, place in enumerate(places) if len(narrations[place]) > index]
                own = [places[n] for n in rows]
                part = tokens if len(own) == len(places) else tokens.samples(rows)
                items = [narrations[place][index].item for place in own]
                for spec, grounder in members:
                    groundings = grounder.ground_tokens(
                        [clips[place] for place in own],
                        part,
                        [[item.narration] for item in items],
                        [[words_of(item, spec.settings)] for item in items],
                    )
                    for place, item, [one] in zip(own, items, groundings, strict=True):
                        found[place][index][spec.name] = Prediction(
                            item.id, one.point, one.box, one.score
                        )
        return found

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

    def _encode(self, clips: Sequence[Clip], settings: AttentionSettings) -> ImageTokens:
        if self._files is None:
            return self.backbone.encode_frames(self.backbone.preprocess(clips), settings)
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
        return ImageTokens.joined(found)


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
