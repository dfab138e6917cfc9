"""Answers -> predictions: the only place that knows how a moment is written.

A still becomes regions at once. A key frame becomes part of its tracks, which are written when
their last key is there; until then only boxes and scores are kept, no heatmaps.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.labeling.regions import (
    Found,
    Region,
    Track,
    add_note,
    mean_score,
    without_heatmaps,
)
from backend.labeling.results import (
    is_present,
    presence_threshold,
    to_regions,
    to_video_regions,
)
from backend.labeling.targets import Control
from backend.labeling.validation import problems_of
from backend.prediction.moments import Film, Key, Still
from backend.prediction.questions import Answer
from backend.prediction.task_fields import Project, Task, cut
from videogem.errors import InputError
from videogem.structures import Grounding

Prediction = dict[str, Any]
NOT_IN_FRAME = "Not in this frame:"
"""How the reason begins why nothing is pointed at, which the job list counts."""


class Writer:
    """Writes one task; moments may come in any order."""

    def __init__(self, task: Task, project: Project) -> None:
        self._task = task
        self._project = project
        self._regions: dict[tuple[int, int], list[Region]] = {}
        self._scores: dict[tuple[int, int], list[float]] = {}
        self._tracks: dict[tuple[Film, int], dict[float, Found]] = defaultdict(dict)
        self._keys_left: dict[tuple[Film, int], int] = {}
        self._films: set[Film] = set()
        self._absent: list[str] = []  # what is said and seems to be in no frame

    def add(self, slot: Still | Key, answer: Answer) -> None:
        """Write what the model said of one moment."""
        if isinstance(slot, Still):
            self._add_still(slot, answer)
        else:
            for number, grounding in zip(slot.cues, answer.groundings, strict=True):
                self._add_key(slot.film, number, grounding)

    def prediction(self) -> Prediction:
        """The whole, when every moment was added.

        Raises:
            InputError: no frame seems to show what is said (`model_presence_threshold`).
        RuntimeError: Label Studio could not show it, which is a defect of this backend.
        """
        places = sorted(self._regions)
        for film in self._films:
            self._warn(film, [each for each in places if each[0] == film.place])
        regions = [region for place in places for region in self._regions[place]]
        if self._absent:
            told = f"{NOT_IN_FRAME} {'; '.join(self._absent)}."
            if not regions:
                raise InputError(told)
            add_note(regions[0], told)
        scores = [score for each in sorted(self._scores) for score in self._scores[each]]
        return checked(
            {
                "result": regions,
                "score": mean_score(scores),
                "model_version": self._project.version,
            },
            self._project,
        )

    def _add_still(self, slot: Still, answer: Answer) -> None:
        regions: list[Region] = []
        scores: list[float] = []
        for index, grounding in enumerate(answer.groundings):
            if grounding.score < self._project.score_threshold:
                continue
            if self._is_absent(grounding.narration, grounding, slot.target.controls):
                continue
            found = Found(
                self._named(grounding),
                key=f"{self._task.get('id')}:{slot.item_index}:{index}",
                labels_are=slot.target.labels_are,
                item_index=slot.item_index,
                similarity=answer.similarity,
            )
            written = to_regions(found, slot.target.controls)
            regions += written
            if written:
                scores.append(grounding.score)
        place = slot.place, slot.item_index or 0
        self._regions[place] = regions
        self._scores[place] = scores

    def _add_key(self, film: Film, number: int, grounding: Grounding) -> None:
        self._films.add(film)
        key = f"{self._task.get('id')}:{number}"
        found = Found(self._named(grounding), key=key, labels_are=film.target.labels_are)
        # At a low frame rate several key times may show the same frame: one key is kept.
        track = self._tracks[film, number]
        track[grounding.time] = without_heatmaps(found, film.target.controls)
        left = self._keys_left.get((film, number), film.num_keys[number]) - 1
        self._keys_left[film, number] = left
        if not left:
            del self._tracks[film, number]
            self._write_track(film, number, [track[time] for time in sorted(track)])

    def _write_track(self, film: Film, number: int, track: Sequence[Found]) -> None:
        surest = max(track, key=lambda found: found.grounding.score)  # as `Track.best`
        if self._is_absent(film.cues[number].text, surest.grounding, film.target.controls):
            return
        score = float(np.mean([found.grounding.score for found in track]))
        if score < self._project.score_threshold:
            return
        cue = film.cues[number]
        place = film.place, number
        moment = Track(track, cue.start, cue.end, film.shown)
        self._regions[place] = to_video_regions(moment, film.target.controls)
        self._scores[place] = [score]

    def _is_absent(self, said: str, grounding: Grounding, controls: Sequence[Control]) -> bool:
        """Whether the frame seems not to show what is said; noted, to be told."""
        threshold = presence_threshold(controls)
        if is_present(grounding, threshold):
            return False
        chance = f"{grounding.presence:.2f} of the {threshold:g} asked for"
        self._absent.append(f"{cut(said)} ({chance})")
        return True

    def _warn(self, film: Film, places: Sequence[tuple[int, int]]) -> None:
        """Show a warning where the annotator sees it: in the details of the first region."""
        regions = [region for place in places for region in self._regions[place]]
        if film.warning is not None and regions:
            add_note(regions[0], film.warning)

    def _named(self, grounding: Grounding) -> Grounding:
        if grounding.model_version == self._project.version:
            return grounding  # a copy would compute its heatmaps
        return dataclasses.replace(grounding, model_version=self._project.version)


def checked(prediction: Prediction, project: Project) -> Prediction:
    """The prediction itself, if Label Studio can show it.

    Raises:
        RuntimeError: it cannot, which is a defect of this backend.
    """
    if problems := problems_of(prediction, project.config, project.labeling):
        raise RuntimeError(f"invalid prediction: {'; '.join(problems)}")
    return prediction
