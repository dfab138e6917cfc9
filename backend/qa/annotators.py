"""Who annotates how: acceptance, time, agreement with the model and with ground truth."""

import numpy as np

from backend.qa.agreement import Overlaps, honeypots
from backend.qa.counted import regions_of
from backend.qa.events import Row
from backend.qa.figures import share
from backend.qa.table import NONE, Table
from backend.qa.tally import mean_of_points, mean_of_rows, pointing, share_of_rows


def annotator_table(
    rows: Table, annotations: Table, overlaps: Overlaps, *, servers_shown: bool
) -> list[Row]:
    """One row per annotator of the score rows, the busiest first.

    ``annotations``: the rows of all annotations that are looked at, for the ground truth.
    """
    truths = honeypots(annotations, overlaps)
    found = []
    verdicts = rows.where("kind", "annotation")
    names = rows.vocabulary["annotator"].values
    people = rows["annotator"]
    for number in np.unique(people[verdicts & (people != NONE)]).tolist():
        own = rows.take(people == number)
        given = own.take(own.where("kind", "annotation"))
        started = given.take(given.where("outcome", "accepted", "edited"))
        regions = regions_of(own)
        skipped, bulk = (int(given.where("outcome", name).sum()) for name in ("skipped", "bulk"))
        server, annotator = names[number]
        found.append(
            {
                "annotator": f"{annotator}@{server}" if servers_shown else annotator,
                "annotations": len(given) - skipped - bulk,
                "skipped": skipped,
                "bulk": bulk,
                "accepted": share_of_rows(started, started.where("outcome", "accepted")),
                "pointing": pointing(regions),
                "model_iou": mean_of_points(regions, "iou"),
                "lead_time": mean_of_rows(given, "lead_time"),
                "ground_truth": truths.get(number, share(0, 0)),
            }
        )
    return sorted(found, key=lambda row: (-row["annotations"], row["annotator"]))
