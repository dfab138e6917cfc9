"""How well annotators agree with each other, with the models and with ground truth.

Two agree on a task when the mean of their boxes' best overlaps is at least `AGREE_IOU`. The
overlaps of a task are worked out when it is scored; the figures count them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from backend.labeling.forms import types_of
from backend.qa.audit_items import agree
from backend.qa.candidates import newest_of_versions
from backend.qa.events import Row
from backend.qa.figures import share
from backend.qa.regions import bounds, read_regions
from backend.qa.table import NONE, Table, Vocabulary
from videogem.structures import Box

MODEL = "model: "  # before a version, where it stands beside annotators
AGREE_IOU = 0.5  # two sets of boxes agree from this overlap on
Boxes = dict[int, list[Box]]  # boxes by item of the task
MAX_EFFORT = 100_000  # comparisons of two boxes for one task; what is beyond is not compared


def overlaps_of_task(
    annotations: Sequence[Row], predictions: Sequence[Row]
) -> dict[int, dict[str, list[list[object]]]]:
    """By annotation: its overlap with later ``annotations`` (id, overlap), with ``models``
    (version, overlap), and that of ``versions`` with each other (version, version, overlap).

    Overlaps are None where neither has a box. Skipped and deleted annotations have none.
    """
    kept = [a for a in annotations if a["deleted_at"] is None and not a["was_cancelled"]]
    if not kept:
        return {}
    newest = newest_of_versions(predictions)
    models = {v: boxes_of(p["result"]) for v, p in sorted(newest.items()) if v}
    boxes = {a["id"]: boxes_of(a["result"]) for a in sorted(kept, key=lambda a: int(a["id"]))}
    left = MAX_EFFORT

    def overlaps(
        first: Boxes, others: Iterable[tuple[tuple[object, ...], Boxes]]
    ) -> list[list[object]]:
        nonlocal left
        found: list[list[object]] = []
        for names, second in others:
            if left <= 0:
                break
            effort = 1 + sum(len(some) * len(second.get(item, ())) for item, some in first.items())
            if effort <= left:
                left -= effort
                same = agreement(first, second) if first or second else None
                found.append([*names, same])
        return found

    names = list(models)
    versions = [
        found
        for k, one in enumerate(names)
        for found in overlaps(models[one], (((one, v), models[v]) for v in names[k + 1 :]))
    ]
    ids = list(boxes)
    return {
        one: {
            "annotations": overlaps(
                boxes[one], (((i,), boxes[i]) for i in islice(ids, k + 1, None))
            ),
            "models": overlaps(boxes[one], (((v,), theirs) for v, theirs in models.items())),
            "versions": versions,
        }
        for k, one in enumerate(ids)
    }


def boxes_of(result: Sequence[Row]) -> Boxes:
    """The boxes of each frame, tracks at their first key."""
    found: Boxes = defaultdict(list)
    for region in read_regions(result, types_of("box", "track")):
        corners = region.keys[0].corners if region.keys else region.corners
        found[region.canvas[1]].append(bounds(corners))
    return dict(found)


def agreement(a: Boxes, b: Boxes) -> float:
    """How well two sets of boxes match, over the frames where one has any; 1 if neither has."""
    items = a.keys() | b.keys()
    if not items:
        return 1.0
    return sum(agree(a.get(i, []), b.get(i, [])) for i in items) / len(items)


@dataclass(frozen=True)
class Overlaps:
    """The overlaps of many tasks as columns (num_overlaps): ``task``, ``annotation`` and
    ``other`` (annotation), ``model`` and ``second`` (model) as numbers of their names, and
    ``overlap``, NaN where neither has a box.
    """

    columns: dict[str, np.ndarray]

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    def take(self, chosen: np.ndarray) -> "Overlaps":
        return Overlaps({name: column[chosen] for name, column in self.columns.items()})

    @classmethod
    def join(cls, first: "Overlaps", second: "Overlaps") -> "Overlaps":
        columns = {n: np.concatenate([c, second[n]]) for n, c in first.columns.items()}
        return cls(columns)

    @classmethod
    def of(cls, rows: Sequence[Row], vocabulary: Vocabulary) -> "Overlaps":
        """Those in score rows of annotations."""
        found: list[tuple[int, int, int, int, int, float]] = []
        annotation, version = vocabulary["annotation"].code, vocabulary["model_version"].code
        for row in rows:
            told = row.get("overlaps")
            if not isinstance(told, dict):
                continue
            own = (
                vocabulary["task"].code((row["server"], row["task_id"])),
                annotation((row["server"], row["annotation_id"])),
            )
            for other, overlap in told["annotations"]:
                code = annotation((row["server"], other))
                found.append((*own, code, NONE, NONE, _number(overlap)))
            for model, overlap in told["models"]:
                found.append((*own, NONE, version(model), NONE, _number(overlap)))
            for model, second, overlap in told["versions"]:
                found.append((*own, NONE, version(model), version(second), _number(overlap)))
        names = ("task", "annotation", "other", "model", "second")
        columns = {
            name: np.array([one[k] for one in found], dtype=np.int32)
            for k, name in enumerate(names)
        }
        columns["overlap"] = np.array([one[5] for one in found], dtype=np.float64)
        return cls(columns)


@dataclass(frozen=True)
class Pairs:
    """Two that speak of one task (num_pairs): the numbers of who they are, the smaller one first,
    whether they agree, and the annotation of (one of) them. From ``people`` on a number is that of
    a model version.
    """

    low: np.ndarray
    high: np.ndarray
    agreed: np.ndarray
    annotation: np.ndarray
    people: int
    vocabulary: Vocabulary

    def name(self, number: int, *, servers_shown: bool) -> str:
        """Annotators as "12", model versions as "model: v1"."""
        if number >= self.people:
            return f"{MODEL}{self.vocabulary['model_version'].values[number - self.people]}"
        server, annotator = self.vocabulary["annotator"].values[number]
        return f"{annotator}@{server}" if servers_shown else str(annotator)

    def of(self, first: str, second: str, *, servers_shown: bool) -> np.ndarray:
        """Mask of the pairs of two that are named so (num_pairs)."""
        total = self.people + len(self.vocabulary["model_version"])
        names = [self.name(n, servers_shown=servers_shown) for n in range(total)]
        ones, others = ([n for n, name in enumerate(names) if name == w] for w in (first, second))
        return (np.isin(self.low, ones) & np.isin(self.high, others)) | (
            np.isin(self.low, others) & np.isin(self.high, ones)
        )


def pairs_of(annotations: Table, overlaps: Overlaps) -> Pairs:
    """Everybody who speaks of one task, by two.

    ``annotations``: the rows of the annotations that are looked at, oldest first. Of several that
    one person gave for a task the newest counts.
    """
    vocabulary = annotations.vocabulary
    usable = annotations.take((annotations["annotator"] != NONE) & not_skipped(annotations))
    people = len(vocabulary["annotator"])
    keys = usable["task"].astype(np.int64) * people + usable["annotator"]
    _, last = np.unique(keys[::-1], return_index=True)
    chosen = usable.take(len(usable) - 1 - last)
    who = np.full(len(vocabulary["annotation"]) + 1, NONE, dtype=np.int64)  # the last: NONE
    who[chosen["annotation"]] = chosen["annotator"]
    _, one_each = np.unique(chosen["task"], return_index=True)
    speaks = np.zeros(len(who), dtype=bool)  # for the models of its task
    speaks[chosen["annotation"][one_each]] = True

    first, other, model = who[overlaps["annotation"]], who[overlaps["other"]], overlaps["model"]
    between = overlaps["second"] != NONE
    sides = (
        np.where(between, people + model, first),
        np.where(
            between, people + overlaps["second"], np.where(model != NONE, people + model, other)
        ),
    )
    known = ~np.isnan(overlaps["overlap"]) & np.where(
        between, speaks[overlaps["annotation"]], (sides[0] != NONE) & (sides[1] != NONE)
    )
    return Pairs(
        np.minimum(*sides)[known],
        np.maximum(*sides)[known],
        overlaps["overlap"][known] >= AGREE_IOU,
        overlaps["annotation"][known],
        people,
        vocabulary,
    )


def agreement_matrix(annotations: Table, overlaps: Overlaps, *, servers_shown: bool) -> list[Row]:
    """Share of common tasks on which two agree (`pairs_of`)."""
    known = pairs_of(annotations, overlaps)
    total = known.people + len(known.vocabulary["model_version"])
    pairs, pair = np.unique(known.low * total + known.high, return_inverse=True)
    counts = np.bincount(pair, minlength=len(pairs))
    agreed = np.bincount(pair, known.agreed, minlength=len(pairs))
    found = []
    for key, count, same in zip(pairs.tolist(), counts.tolist(), agreed.tolist(), strict=True):
        names = sorted(known.name(n, servers_shown=servers_shown) for n in divmod(key, total))
        found.append({"first": names[0], "second": names[1], **share(int(same), count)})
    return sorted(found, key=lambda row: (row["first"], row["second"]))


def honeypot_reviews(
    annotations: Table, overlaps: Overlaps
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Annotations of tasks that somebody else gave the ground truth for (num_reviews): their
    number, that of their annotator, and whether they agree with it.

    ``annotations``: the rows of the annotations that are looked at.
    """
    usable = annotations.take(not_skipped(annotations))
    truths = usable.take(usable["ground_truth"])
    order = np.lexsort((truths["annotation_id"], truths["task"]))
    tasks = truths["task"][order]
    newest = order[np.r_[tasks[1:] != tasks[:-1], True]] if len(order) else order
    is_truth = np.zeros(len(annotations.vocabulary["annotation"]) + 1, dtype=bool)
    is_truth[truths["annotation"][newest]] = True
    who = np.full(len(is_truth), NONE, dtype=np.int64)
    others = usable.take(~usable["ground_truth"])
    who[others["annotation"]] = others["annotator"]
    agreed = ~(overlaps["overlap"] < AGREE_IOU)  # two that have no box agree
    found = []
    for truth, other in (("annotation", "other"), ("other", "annotation")):
        chosen = (overlaps["other"] != NONE) & is_truth[overlaps[truth]]
        chosen &= who[overlaps[other]] != NONE
        reviews = overlaps[other][chosen]
        found.append((reviews, who[reviews], agreed[chosen]))
    first, second = found
    return (
        np.concatenate([first[0], second[0]]),
        np.concatenate([first[1], second[1]]),
        np.concatenate([first[2], second[2]]),
    )


def honeypots(annotations: Table, overlaps: Overlaps) -> dict[int, Row]:
    """How often each annotator (by number) agrees with the ground truth that somebody else gave."""
    _, people, agreed = honeypot_reviews(annotations, overlaps)
    counts, same = np.bincount(people), np.bincount(people, agreed)
    return {n: share(int(same[n]), int(counts[n])) for n in np.flatnonzero(counts).tolist()}


def not_skipped(annotations: Table) -> np.ndarray:
    """Mask of the annotations that were submitted."""
    return ~annotations.where("outcome", "skipped")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
