"""How much each person did on each day, and how long it took. Pure."""

import numpy as np

from backend.qa.events import Row
from backend.qa.selection import names_of
from backend.qa.table import NONE, Table

DAY = 10  # characters of a time that are its day


def throughput(annotations: Table, *, servers_shown: bool) -> list[Row]:
    """Annotations by person and day (UTC, of the last change), the newest day first.

    ``seconds`` is Label Studio's working time (lead time) of the ``timed`` annotations that have
    one; ``per_hour`` is how many of those make an hour. Skipped ones took time, too; those made in
    bulk are left out, as nobody looked at them.
    """
    own = own_annotations(annotations)
    days, day = np.unique(days_of(own), return_inverse=True)
    names = names_of(own, "annotator", servers_shown=servers_shown)
    keys, group = np.unique(own["annotator"].astype(np.int64) * (len(days) + 1) + day,
                            return_inverse=True)  # fmt: skip
    timed = ~np.isnan(own["lead_time"])
    counts = {
        "annotations": np.bincount(group),
        "skipped": np.bincount(group, own.where("outcome", "skipped")),
        "timed": np.bincount(group, timed),
        "seconds": np.bincount(group, np.where(timed, own["lead_time"], 0.0)),
    }
    rows = []
    for place, key in enumerate(keys.tolist()):
        person, number = divmod(key, len(days) + 1)
        timed_here, seconds = int(counts["timed"][place]), float(counts["seconds"][place])
        rows.append(
            {
                "annotator": names[person],
                "day": days[number].decode("ascii"),
                "annotations": int(counts["annotations"][place]),
                "skipped": int(counts["skipped"][place]),
                "timed": timed_here,
                "seconds": seconds,
                "per_hour": 3600 * timed_here / seconds if seconds > 0 else None,
            }
        )
    return sorted(rows, key=lambda row: (_backwards(row["day"]), str(row["annotator"])))


def own_annotations(annotations: Table) -> Table:
    """Those that somebody looked at."""
    return annotations.take(
        (annotations["annotator"] != NONE) & ~annotations.where("outcome", "bulk")
    )


def days_of(rows: Table) -> np.ndarray:
    """The day of each row, as ASCII (num_rows)."""
    return rows["at"].astype(f"S{DAY}")


def _backwards(day: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in day)
