"""Which score rows a figure counts, and how they judge. Pure."""

import numpy as np

from backend.qa.table import NONE, Table


def counted_rows(rows: Table, *, by_version: bool) -> Table:
    """The rows that count; of versions: also what was drawn independently and is known to compare
    them with.
    """
    return rows.take(rows["counted"] | (rows["compared"] == 1) if by_version else rows["counted"])


def free(counted: Table) -> np.ndarray:
    """Mask of what was drawn without seeing the prediction, or is ground truth."""
    found: np.ndarray = counted["independent"] | counted["ground_truth"]
    return found


def edited(counted: Table) -> np.ndarray:
    """Mask of what was started from the prediction and changed."""
    found: np.ndarray = ~free(counted) & ~counted["accepted"]
    return found


def regions_of(own: Table) -> Table:
    """The predicted regions that somebody reviewed, of the rows of one person."""
    return own.take(own["reviewed"] & ~own.where("outcome", "skipped", "bulk"))


def points_of(rows: Table) -> Table:
    """The rows of predicted points."""
    return rows.take(rows.where("kind", "point") & ~rows.where("outcome", "added"))


def judged_by_none(counted: Table, tolerance: float) -> tuple[Table, np.ndarray]:
    """The predicted points, and 1 or 0 for each that no box judges (num_points), else -1.

    A deleted point is 0 where nothing but points was predicted; beside a box it is a miss like any.
    """
    points = points_of(counted)
    boxes = ~counted.where("kind", "annotation", "point") & ~counted.where("outcome", "added")
    beside_box = np.isin(points["annotation"], counted["annotation"][boxes])
    away = points["distance_diagonal"]
    near = np.where(np.isnan(away), NONE, away <= tolerance)
    deleted = np.where(points.where("outcome", "deleted") & ~beside_box, 0, NONE)
    verdict = np.where(points["hit"] == NONE, near, deleted)
    return points, np.where(points["judged_by_box"], NONE, verdict)
