"""What a count counts: the rows behind a number of the page, one row for each picture.

Each function here finds the rows as the figure does that it is behind, so that a grid of pictures
holds as many as the number says that leads to it. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from backend.qa.agreement import Overlaps, honeypot_reviews, pairs_of
from backend.qa.compare import side_by_side
from backend.qa.counted import (
    counted_rows,
    edited,
    free,
    judged_by_none,
    regions_of,
)
from backend.qa.events import Row
from backend.qa.selection import Selection, codes_named
from backend.qa.table import NONE, Table
from backend.qa.tally import samples
from backend.qa.throughput import days_of, own_annotations
from videogem.errors import InputError


@dataclass(frozen=True)
class Asking:
    """What was asked for: ``args`` narrow it further than the filters that made the selection.

    ``who``: an annotator; ``day``; ``least`` and ``most``: of the score; ``among``: which points
    (AMONG); ``outcome``; ``first`` and ``second``: who or what is compared.
    """

    selection: Selection
    overlaps: Overlaps
    args: Mapping[str, str]
    by_version: bool  # the filters name a model version
    tolerance: float

    def text(self, name: str) -> str:
        return self.args.get(name, "").strip()

    def of_person(self, rows: Table) -> Table:
        """Those of the annotator that is asked for."""
        who, shown = self.text("who"), self.selection.servers_shown
        if not who:
            return rows
        codes = codes_named(rows, "annotator", who, servers_shown=shown)
        return rows.take(np.isin(rows["annotator"], codes))

    def verdicts(self) -> Table:
        """One row for each annotation."""
        rows = self.of_person(self.selection.rows)
        return rows.take(rows.where("kind", "annotation"))

    def points(self) -> Table:
        """The rows that accuracies are counted on."""
        among = self.text("among")
        if among == "person":
            return regions_of(self.of_person(self.selection.rows))
        counted = self.of_person(counted_rows(self.selection.rows, by_version=self.by_version))
        if among == "independent":
            counted = counted.take(free(counted))
        elif among == "edited":
            counted = counted.take(edited(counted))
        elif among:
            raise InputError(f"among must be person, independent or edited, got {among[:50]!r}.")
        least, most = (_number(self.args, name) for name in ("least", "most"))
        for bound, holds in ((least, np.greater_equal), (most, np.less_equal)):
            if bound is not None:
                counted = counted.take(holds(counted["score"], bound))
        return counted


def _number(args: Mapping[str, str], name: str) -> float | None:
    text = args.get(name, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError(f"{name} must be a number, got {text[:50]!r}.") from None


def _judged(*, wanted: bool | None) -> Callable[[Asking], Table]:
    """Points with a verdict, those that hit or those that miss."""

    def find(asking: Asking) -> Table:
        points = asking.points()
        rows, hits = samples(points, points["hit"])
        return points.take(rows if wanted is None else rows[hits == wanted])

    return find


def _verdict(*outcomes: str, without: tuple[str, ...] = ()) -> Callable[[Asking], Table]:
    """Annotations of some outcomes, of all but some where none is named."""

    def find(asking: Asking) -> Table:
        rows = asking.verdicts()
        if asking.text("day"):
            rows = _of_day(asking)
        chosen = rows.where("outcome", *outcomes) if outcomes else np.ones(len(rows), bool)
        return rows.take(chosen & ~rows.where("outcome", *without))

    return find


def _of_day(asking: Asking) -> Table:
    own = asking.of_person(own_annotations(asking.selection.annotations))
    return own.take(days_of(own) == asking.text("day").encode("ascii", "replace"))


def _started(*outcomes: str) -> Callable[[Asking], Table]:
    """Annotations that were started from a prediction."""

    def find(asking: Asking) -> Table:
        rows = asking.verdicts()
        if asking.text("among") != "person":
            counted = counted_rows(asking.selection.rows, by_version=asking.by_version)
            rows = counted.take(counted.where("kind", "annotation"))
        return rows.take(rows.where("outcome", *outcomes))

    return find


def _outcome(asking: Asking) -> Table:
    rows = asking.selection.rows
    named = rows.where("outcome", asking.text("outcome"))
    return rows.take(~rows.where("kind", "annotation") & named)


def _overlaps(asking: Asking) -> Table:
    rows = asking.points()
    if asking.text("among") != "person":
        boxes = rows.where("kind", "box", "track") & ~rows.where("outcome", "added")
        rows = rows.take(boxes)
    known = np.where(np.isnan(rows["iou"]), NONE, 1)
    return rows.take(samples(rows, known)[0])


def _keypoints_only(asking: Asking) -> Table:
    points, verdict = judged_by_none(asking.points(), asking.tolerance)
    return points.take(samples(points, verdict)[0])


def _honeypots(*, wanted: bool | None) -> Callable[[Asking], Table]:
    def find(asking: Asking) -> Table:
        annotations = asking.selection.annotations
        reviews, _, agreed = honeypot_reviews(annotations, asking.overlaps)
        chosen = reviews if wanted is None else reviews[agreed == wanted]
        return asking.of_person(annotations.take(np.isin(annotations["annotation"], chosen)))

    return find


def _pair(*, wanted: bool | None) -> Callable[[Asking], Table]:
    def find(asking: Asking) -> Table:
        annotations = asking.selection.annotations
        pairs = pairs_of(annotations, asking.overlaps)
        names = asking.text("first"), asking.text("second")
        chosen = pairs.of(*names, servers_shown=asking.selection.servers_shown)
        if wanted is not None:
            chosen &= pairs.agreed == wanted
        return annotations.take(np.isin(annotations["annotation"], pairs.annotation[chosen]))

    return find


def _differs(asking: Asking) -> Table:
    """A row of each unit on which one of two versions hits, of the annotation that tells it."""
    rows = asking.selection.rows
    first, second, better = (asking.text(name) for name in ("first", "second", "better"))
    found = side_by_side(asking.selection, first, second, most=len(rows))
    units = [] if found is None else found["differing"]
    if found is not None and better:
        wins = "first" if better == found["first"] else "second"
        units = [unit for unit in units if unit[wins]]
    known = _rows_of_units(rows, units)
    return rows.take(np.array([known[_unit(unit)] for unit in units], dtype=np.int64))


def _rows_of_units(rows: Table, units: list[Row]) -> dict[tuple[object, ...], int]:
    words = rows.vocabulary
    asked = ((unit["server"], unit["annotation_id"]) for unit in units)
    codes = [code for one in asked if (code := words["annotation"].find(one)) is not None]
    found: dict[tuple[object, ...], int] = {}
    chosen = np.isin(rows["annotation"], codes) & (rows["point"] != NONE) & (rows["hit"] != NONE)
    for place in np.flatnonzero(chosen).tolist():
        server, _, _, _, item, _ = words["point"].values[rows["point"][place]]
        label = rows["label"][place]
        name = "" if label == NONE else str(words["label"].values[label])
        annotation = words["annotation"].values[rows["annotation"][place]][1]
        found[server, annotation, item or 0, name] = place
    return found


def _unit(unit: Row) -> tuple[object, ...]:
    return unit["server"], unit["annotation_id"], unit["item"], unit["label"]


@dataclass(frozen=True)
class Pick:
    """What is counted, in words, and how its rows are found."""

    title: str
    find: Callable[[Asking], Table]


PICKS = {
    "judged": Pick("Judged points", _judged(wanted=None)),
    "hits": Pick("Points that hit", _judged(wanted=True)),
    "misses": Pick("Points that miss", _judged(wanted=False)),
    "outcome": Pick("Regions by outcome", _outcome),
    "overlaps": Pick("Predicted boxes with an overlap", _overlaps),
    "keypoints-only": Pick("Points that no box can judge", _keypoints_only),
    "annotations": Pick("All annotations", _verdict()),
    "reviewed": Pick("Submitted annotations", _verdict(without=("skipped", "bulk"))),
    "given": Pick("Annotations, skipped ones too", _verdict(without=("bulk",))),
    "skipped": Pick("Skipped tasks", _verdict("skipped")),
    "bulk": Pick("Made of predictions in bulk", _verdict("bulk")),
    "no-prediction": Pick("Annotations without a known prediction", _verdict("no prediction")),
    "started": Pick("Started from a prediction", _started("accepted", "edited")),
    "accepted": Pick("Accepted unchanged", _started("accepted")),
    "honeypots": Pick("Annotations of ground-truth tasks", _honeypots(wanted=None)),
    "honeypots-agreed": Pick("Agree with ground truth", _honeypots(wanted=True)),
    "honeypots-apart": Pick("Do not agree with ground truth", _honeypots(wanted=False)),
    "pair": Pick("Tasks of both", _pair(wanted=None)),
    "pair-agreed": Pick("Tasks on which two agree", _pair(wanted=True)),
    "pair-apart": Pick("Tasks on which two do not agree", _pair(wanted=False)),
    "differs": Pick("Where two model versions differ", _differs),
}


def pick_named(name: str) -> Pick:
    """The pick of a name.

    Raises:
        InputError: there is none.
    """
    if name not in PICKS:
        raise InputError(f"show must be one of {', '.join(PICKS)}, got {name[:50]!r}.")
    return PICKS[name]
