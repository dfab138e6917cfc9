"""Who is who: which regions of a review belong to a predicted one, and what became of it. Pure.

The action's regions
    Boxes and tracks on the same canvas, masks where there are neither. If the model pointed once,
    those with its box's label (any, if none has it), and its own box whatever became of it. If it
    pointed several times: the region that came from the point's own box, and regions of the same
    label that came from no other point's box. Points labelled "verb" or "object" beside another
    point show a part of the action: they are listed, not counted.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from backend.labeling.labels import subject_of
from backend.labeling.shapes import ShapeKind
from backend.qa.regions import Canvas, Region, bounds
from videogem.structures import Point

UNCHANGED = 1e-4  # of the frame: the editor rewrites 30.0 as 30.000000000000004
TRUTH_KINDS = ("box", "track", "mask")
NEAREST_TRIED = 20  # regions that may be the same as one without a name
DOT = 0.025  # of the frame: a track of boxes this small stands for a point
PARTS = ("verb", "object")  # labels of points that show a part of the action


class Matching:
    """The regions of one prediction and one review, sorted once: every question after that costs
    no more than its answer is long.
    """

    def __init__(self, predicted: Sequence[Region], reviewed: Sequence[Region]) -> None:
        made: defaultdict[Canvas, tuple[list[Region], list[Region]]]
        made = defaultdict(lambda: ([], []))
        for place, regions in enumerate((predicted, reviewed)):
            for region in regions:
                made[region.canvas][place].append(region)
        self._canvases = {canvas: MatchedCanvas(*both) for canvas, both in made.items()}
        self._reviewed: dict[tuple[str, str], Region] = {}
        for region in reviewed:
            self._reviewed.setdefault(key_of(region), region)

    def canvas_of(self, region: Region) -> "MatchedCanvas":
        """What else is on the canvas of a region of these."""
        return self._canvases[region.canvas]

    def own(self, region: Region) -> Region | None:
        """The same region after the review."""
        return self._reviewed.get(key_of(region))


class MatchedCanvas:
    """One image, or one video: what was predicted there, and what the reviewer left."""

    def __init__(self, predicted: Sequence[Region], reviewed: Sequence[Region]) -> None:
        self.predicted = predicted
        self._reviewed = reviewed
        self._groups: dict[tuple[ShapeKind, bool], _Group] = {}

    @cached_property
    def has_dots(self) -> bool:
        return any(map(is_dot, self.predicted))

    @cached_property
    def has_points(self) -> bool:
        return any(r.kind == "point" for r in self.predicted)

    @cached_property
    def has_boxes(self) -> bool:
        return any(r.kind == "box" for r in self.predicted)

    def is_part(self, region: Region) -> bool:
        """Whether a point shows the verb or the object, with the action's own point beside it."""
        return self._points_elsewhere and _names_part(region)

    @cached_property
    def _points_elsewhere(self) -> bool:
        return any(r.kind == "point" and not _names_part(r) for r in self.predicted)

    def nearest(self, region: Region) -> Region | None:
        """The reviewer's point, box or mask whose middle is nearest to one of the same kind."""
        return self._by_kind[region.kind].nearest(region)

    @cached_property
    def _by_kind(self) -> "dict[ShapeKind, _Places]":
        kinds: tuple[ShapeKind, ...] = ("point", "box", "mask")
        return {kind: _Places(r for r in self._reviewed if r.kind == kind) for kind in kinds}

    def action_regions(self, region: Region) -> Sequence[Region]:
        """The reviewer's regions that show the action this predicted region stands for."""
        group = (region.kind, is_dot(region))
        if group not in self._groups:
            self._groups[group] = _Group(self, region.kind, dots=group[1])
        return self._groups[group].truth_of(region)

    def drawn(self, kind: ShapeKind) -> list[Region]:
        """What a region of this kind can be measured by."""
        there = [r for r in self._reviewed if r.kind in TRUTH_KINDS and not is_dot(r)]
        masks = [r for r in there if r.kind == "mask"]
        if kind == "mask" and masks:
            return masks
        return [r for r in there if r.kind != "mask"] or there

    @cached_property
    def boxes(self) -> list[Region]:
        """The predicted regions that points belong to."""
        boxes = [r for r in self.predicted if r.kind in ("box", "track") and not is_dot(r)]
        return boxes or [r for r in self.predicted if r.kind == "mask"]

    @cached_property
    def still_boxes(self) -> "_Places":
        return _Places(r for r in self.boxes if r.kind != "track")

    @cached_property
    def first_box_by_label(self) -> dict[str | None, Region]:
        return {_subject(r): r for r in reversed(self.boxes)}


class _Group:
    """Predicted regions of one kind on one canvas, which compete for what was drawn there."""

    def __init__(self, canvas: MatchedCanvas, kind: ShapeKind, *, dots: bool) -> None:
        self._canvas = canvas
        alike = [r for r in canvas.predicted if r.kind == kind and is_dot(r) == dots]
        self._rivals = [r for r in alike if not canvas.is_part(r)]
        drawn = canvas.drawn(kind)
        self._drawn_by_key: defaultdict[tuple[str, str], list[Region]] = defaultdict(list)
        for region in drawn:
            self._drawn_by_key[key_of(region)].append(region)
        boxes = canvas.boxes
        if kind != "point" and not dots:
            partners: list[Region | None] = [*self._rivals]
        elif len(boxes) == len(self._rivals):
            partners = [*boxes]
        else:
            partners = [self._partner_by_place(r) for r in self._rivals]
        self._partners = dict(zip(map(id, self._rivals), partners, strict=True))
        taken = {key_of(partner) for partner in partners if partner is not None}
        self._free = [r for r in drawn if key_of(r) not in taken]
        self._free_by_label: defaultdict[str | None, list[Region]] = defaultdict(list)
        for region in self._free:
            self._free_by_label[_subject(region)].append(region)

    def truth_of(self, region: Region) -> Sequence[Region]:
        part = id(region) not in self._partners
        partner = self._partner_by_place(region) if part else self._partners[id(region)]
        own = self._drawn_by_key.get(key_of(partner), []) if partner is not None else []
        labelled = self._free_by_label.get(_subject(partner or region), [])
        if part:
            labelled = [r for r in labelled if r not in own]
        if own or labelled:
            return [*own, *labelled]
        return self._free if len(self._rivals) + part == 1 else []

    def _partner_by_place(self, region: Region) -> Region | None:
        if region.kind == "track":
            return self._canvas.first_box_by_label.get(_subject(region))
        return self._canvas.still_boxes.nearest(region)


class _Places:
    """Regions of one canvas, to find the nearest of."""

    def __init__(self, regions: Iterable[Region]) -> None:
        self._regions = list(regions)
        self._middles = np.array([r.point for r in self._regions]).reshape(-1, 2)

    def nearest(self, region: Region) -> Region | None:
        if not self._regions:
            return None
        return self._regions[int(np.argmin(self._pixels_from(region)))]

    def _pixels_from(self, region: Region) -> np.ndarray:
        """Way from the middle of a region to those of all, in pixels (num_regions)."""
        steps = (self._middles - region.point) * region.size_wh
        return np.hypot(steps[:, 0], steps[:, 1])


class _Free(_Places):
    """Regions of one kind on one canvas that each belong to one other at most."""

    def __init__(self, regions: Iterable[Region]) -> None:
        super().__init__(regions)
        self._taken = np.zeros(len(self._regions), dtype=bool)

    def take_same(self, region: Region) -> Region | None:
        """One that is in the same place, with the same label."""
        near = np.argsort(self._pixels_left(region), kind="stable")[:NEAREST_TRIED]
        for place in near.tolist():
            if not self._taken[place] and _outcome(region, self._regions[place]) == "accepted":
                return self._take(place)
        return None

    def take_nearest(self, region: Region) -> Region | None:
        """The nearest, wherever it is."""
        return None if self._taken.all() else self._take(int(np.argmin(self._pixels_left(region))))

    def _pixels_left(self, region: Region) -> np.ndarray:
        return np.where(self._taken, np.inf, self._pixels_from(region))

    def _take(self, place: int) -> Region:
        self._taken[place] = True
        return self._regions[place]


def nearest_to(region: Region, others: Iterable[Region]) -> Region | None:
    """The one whose middle is nearest to that of a region, in pixels; None of none."""
    return _Places(others).nearest(region)


def with_ids(predicted: Sequence[Region], reviewed: Sequence[Region]) -> list[Region]:
    """Predicted regions that were given no ids, with those that Label Studio's editor gave them.

    Other systems may send none. The editor says of each region whether it came from a prediction;
    of those, one in the same place is the same, and what then is left goes to the nearest of its
    kind.
    """
    nameless = [region for region in predicted if not region.id]
    if not nameless:
        return [*predicted]
    known = {key_of(region) for region in predicted if region.id}
    free: defaultdict[tuple[ShapeKind, Canvas], list[Region]] = defaultdict(list)
    for region in reviewed:
        if region.origin != "manual" and key_of(region) not in known:
            free[region.kind, region.canvas].append(region)
    places = {group: _Free(regions) for group, regions in free.items()}
    named: dict[int, str] = {}
    for take in (_Free.take_same, _Free.take_nearest):
        for region in nameless:
            group = places.get((region.kind, region.canvas))
            found = take(group, region) if group and id(region) not in named else None
            if found is not None:
                named[id(region)] = found.id
    return [replace(r, id=named.get(id(r), r.id)) for r in predicted]


def outcomes_of(
    predicted: Sequence[Region], reviewed: Sequence[Region], *, skipped: bool, independent: bool
) -> dict[tuple[str, str], str]:
    """What became of each region: region key -> accepted, moved, resized, relabelled, deleted,
    added, skipped. Label Studio keeps the ids of regions, so they say who is who."""
    if skipped:
        return {key_of(region): "skipped" for region in predicted}
    if independent:
        return {}
    after = {key_of(region): region for region in reviewed}
    outcomes = {key_of(region): _outcome(region, after.get(key_of(region))) for region in predicted}
    return {**dict.fromkeys(after, "added"), **outcomes}


def _outcome(before: Region, after: Region | None) -> str:
    if after is None:
        return "deleted"
    if before.canvas != after.canvas:
        return "moved"
    change = _geometry_change(before, after)
    if before.label != after.label:
        return "relabelled"
    return change or "accepted"


def _geometry_change(before: Region, after: Region) -> str | None:
    if before.mask is not None and after.mask is not None:
        same = before.mask.shape == after.mask.shape and bool((before.mask == after.mask).all())
        return None if same else "resized"
    if before.kind == "track":
        first = [(k.frame, k.enabled) for k in before.keys]
        if first != [(k.frame, k.enabled) for k in after.keys]:
            return "resized"
        pairs = [(a.corners, b.corners) for a, b in zip(before.keys, after.keys, strict=True)]
    else:
        pairs = [(before.corners, after.corners)]
    steps = [_step(a, b) for corners in pairs for a, b in zip(*corners, strict=True)]
    if all(max(abs(dx), abs(dy)) <= UNCHANGED for dx, dy in steps):
        return None
    per_shape = len(pairs[0][0])
    rigid = all(
        math.dist(steps[start], step) <= UNCHANGED
        for start in range(0, len(steps), per_shape)
        for step in steps[start : start + per_shape]
    )
    return "moved" if rigid else "resized"


def _step(a: Point, b: Point) -> Point:
    return b[0] - a[0], b[1] - a[1]


def is_dot(region: Region) -> bool:
    """Videos have no points, so a point there is a track of boxes too small to hold anything."""
    return region.kind == "track" and all(
        x2 - x1 <= DOT and y2 - y1 <= DOT
        for x1, y1, x2, y2 in (bounds(key.corners) for key in region.keys)
    )


def _names_part(region: Region) -> bool:
    return region.kind == "point" and _subject(region) in PARTS


def _subject(region: Region) -> str | None:
    """What a region's label speaks of: a point and a box of one action may have two labels."""
    return None if region.label is None else subject_of(region.label)


def key_of(region: Region) -> tuple[str, str]:
    """What a region keeps when it is edited; a region and its mask may share an id."""
    return region.id, region.kind


def pixels_between(a: Region, b: Region) -> float:
    """Way from the middle of one region to that of another, in pixels of the frame."""
    width, height = a.size_wh
    return math.hypot((a.point[0] - b.point[0]) * width, (a.point[1] - b.point[1]) * height)
