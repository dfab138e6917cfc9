"""Corrections as samples for `videogem calibrate`: of a project, or of a file with boxes."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.labeling.targets import fill
from backend.media.media import Media
from backend.prediction.reading import read_still
from backend.prediction.task_fields import Project, data_of
from backend.qa.candidates import is_independent
from backend.qa.regions import Region, read_regions
from videogem.calibration.candidates import Sample
from videogem.datasets.base import ReadOptions
from videogem.datasets.media import load_clip
from videogem.datasets.registry import read_dataset
from videogem.errors import InputError
from videogem.structures import Box


class Corrections:
    """Lazily read samples, and why others were left out."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()

    def of_file(self, path: Path, options: ReadOptions, num_frames: int) -> Iterator[Sample]:
        """Every box of a Label Studio export or of lines (.jsonl), media beside it.

        Raises:
            InputError: there is no such file, or it holds neither.
        """
        if not path.is_file():
            raise InputError(f"There is no file '{path}'; give a Label Studio export or .jsonl.")
        reader = "jsonl" if path.suffix == ".jsonl" else "labelstudio"
        dataset = read_dataset(reader, path.parent, options)
        for finding in dataset.findings:
            if finding.dropped:
                self.left_out[finding.reason] += 1
        for item in dataset.items:
            try:
                clip = load_clip(item, num_frames)
            except InputError as error:
                self.left_out[_short(error)] += 1
                continue
            if boxes := self._inside(item.boxes):
                yield Sample(clip, item.narration, boxes, item.video)

    def of_project(
        self, tasks: Sequence[Mapping[str, Any]], project: Project, media: Media, num_frames: int
    ) -> Iterator[Sample]:
        """Boxes that were drawn without a prediction in sight, or are ground truth.

        What was corrected with the prediction before one's eyes agrees with it too often to judge
        it by. Of a task its ground truth counts, else the latest such annotation.
        """
        for task in tasks:
            annotation = _unbiased(task.get("annotations") or [])
            if annotation is None:
                self.left_out["no annotation that was drawn without a prediction in sight"] += 1
                continue
            frames: defaultdict[int, list[Region]] = defaultdict(list)
            for region in read_regions(annotation["result"]):
                if region.kind in ("box", "mask"):
                    frames[region.canvas[1]].append(region)
            if not frames:
                self.left_out["no box"] += 1
            for item, regions in frames.items():
                try:
                    sample = _sample(dict(task), item, regions, project, media, num_frames)
                except InputError as error:
                    self.left_out[_short(error)] += 1
                    continue
                if boxes := self._inside(sample.boxes):
                    yield replace(sample, boxes=boxes)

    def _inside(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """Without boxes that no point could hit: they would be misses, whatever was predicted."""
        kept = tuple(
            (x1, y1, x2, y2)
            for x1, y1, x2, y2 in boxes
            if max(x1, 0.0) < min(x2, 1.0) and max(y1, 0.0) < min(y2, 1.0)
        )
        if len(kept) < len(boxes):
            self.left_out["box without an extent inside the frame"] += len(boxes) - len(kept)
        return kept


def _unbiased(annotations: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    usable = [
        {"parent_prediction": None, "result": [], **each}
        for each in annotations
        if not each.get("was_cancelled")
    ]
    usable = [each for each in usable if each.get("ground_truth") or is_independent(each)]
    usable.sort(key=lambda each: (bool(each.get("ground_truth")), int(each.get("id") or 0)))
    return usable[-1] if usable else None


def _sample(
    task: dict[str, Any],
    item: int,
    regions: Sequence[Region],
    project: Project,
    media: Media,
    num_frames: int,
) -> Sample:
    targets = [each for each in project.labeling.targets if each.source.kind != "video"]
    if not targets:
        raise InputError("tracks of videos are not used; images and lists of frames are")
    target = targets[0]
    still, question = read_still(task, target, item, project, media=media, num_frames=num_frames)
    sentences = question.sentences
    if callable(sentences) or len(sentences) != 1:
        raise InputError("not one sentence, so a box cannot be told to be its answer")
    boxes = [each for each in regions if each.kind == "box"] or list(regions)
    value = fill(still.target.source.value, data_of(task))
    video = str(value[0]) if isinstance(value, list) and value else str(value)
    return Sample(question.clip, sentences[0], tuple(each.box for each in boxes), video)


def _short(error: InputError) -> str:
    """A reason that many may share."""
    return str(error).splitlines()[0][:120]
