"""Two model versions side by side, on the frames that one person judged both on.

A unit is a frame of a task with one label: versions name their regions differently, so points
cannot be told apart further. Only annotations that judge both versions count, which are those drawn
without a prediction to start from: one that started from a version's prediction leans to it. A
version hits a unit when at least half of its points do, for at least half of the annotations.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.qa.events import Row
from backend.qa.figures import holds_for_most
from backend.qa.queries import resolve
from backend.qa.selection import Filters, Selection
from backend.qa.store import Store
from backend.qa.table import NONE, Table
from videogem.errors import InputError
from videogem.evaluation import Outcome
from videogem.evaluation.compare import Comparison, compare

MOST_TASKS = 200  # that differ, listed
Unit = tuple[str, int, int, str]  # server, task, frame, label


@dataclass(frozen=True)
class Verdict:
    """What each version did on a unit, and an annotation that judges all of them."""

    hits: dict[str, bool]
    annotation: int


def versions_in_use(rows: Table) -> list[str]:
    """The model versions of the rows, the one that was judged last first."""
    used: dict[str, None] = {}
    versions = rows.vocabulary["model_version"].values
    for code in rows["model_version"][::-1].tolist():
        if code != NONE:
            used.setdefault(versions[code])
    return list(used)


def side_by_side(
    selection: Selection, first: str = "", second: str = "", *, most: int = MOST_TASKS
) -> Row | None:
    """How two versions compare; the two that were judged last where none are named.

    ``differing`` are up to ``most`` units that one version hits and the other misses, each with an
    annotation that judges both. None: fewer than two versions are known.

    Raises:
        InputError: a version that is named is not known.
    """
    known = versions_in_use(selection.everything)
    for named in (first, second):
        if named and named not in known:
            raise InputError(f"There is no model version {named!r}; known: {', '.join(known)}.")
    chosen = list(dict.fromkeys(named for named in (first, second) if named))
    chosen += [name for name in known if name not in chosen]
    if len(chosen) < 2:
        return None
    names = chosen[0], chosen[1]
    both = _verdicts(selection.rows, names)
    videos = clusters_of_tasks(selection.rows)
    outcomes = [
        [
            Outcome(repr(unit), unit[3], verdict.hits[name], None, videos[unit[0], unit[1]])
            for unit, verdict in both.items()
        ]
        for name in names
    ]
    found = compare(*outcomes, names=names)
    differing = [
        {"server": server, "task_id": task, "item": item, "label": label,
         "annotation_id": verdict.annotation,
         "first": verdict.hits[names[0]], "second": verdict.hits[names[1]]}
        for (server, task, item, label), verdict in sorted(both.items())
        if verdict.hits[names[0]] != verdict.hits[names[1]]
    ]  # fmt: skip
    return {**_figures(found, both), "differing": differing[:most]}


def compared(store: Store, filters: Filters, first: str = "", second: str = "") -> Row | None:
    """The same of what the filters select, with every event that came.

    Raises:
        InputError: a version that is named is not known.
    """
    store.catch_up()
    project = resolve(store, filters.project)
    return side_by_side(Selection.of(store.ledger.look(), filters, project), first, second)


def _figures(found: Comparison, both: dict[Unit, Verdict]) -> Row:
    told = found.n > 0
    hits = [sum(v.hits[name] for v in both.values()) for name in (found.first, found.second)]
    return {
        "first": found.first,
        "second": found.second,
        "n": found.n,
        "clusters": found.num_clusters,
        "first_hits": hits[0],
        "second_hits": hits[1],
        "only_first": found.only_first,
        "only_second": found.only_second,
        "difference": found.difference if told else None,
        "low": found.low if told else None,
        "high": found.high if told else None,
        "p_value": found.p_value if told else None,
        "better": found.better,
        "sentence": found.sentence() if told else "No annotation judges both versions.",
    }


def _verdicts(rows: Table, names: Sequence[str]) -> dict[Unit, Verdict]:
    """What each version did on each unit, where one annotation judges all of them."""
    judged = rows.take((rows["hit"] != NONE) & (rows["counted"] | (rows["compared"] == 1)))
    of_first, of_second = (judged["annotation"][judged.where("model_version", n)] for n in names)
    whole = np.intersect1d(of_first, of_second)
    judged = judged.take(
        np.isin(judged["annotation"], whole) & judged.where("model_version", *names)
    )
    words = judged.vocabulary
    found: dict[Unit, dict[int, dict[str, list[bool]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    columns = ("point", "label", "model_version", "annotation", "hit")
    for point, label, version, annotation, hit in zip(
        *(judged[name].tolist() for name in columns), strict=True
    ):
        server, task, _, _, item, _ = words["point"].values[point]
        unit = server, task, item or 0, "" if label == NONE else str(words["label"].values[label])
        found[unit][annotation][words["model_version"].values[version]].append(bool(hit))
    verdicts: dict[Unit, Verdict] = {}
    for unit, reviews in found.items():
        of_both = {a: review for a, review in reviews.items() if len(review) == len(names)}
        if of_both:
            hits = {
                name: holds_for_most([holds_for_most(review[name]) for review in of_both.values()])
                for name in names
            }
            verdicts[unit] = Verdict(hits, words["annotation"].values[next(iter(of_both))][1])
    return verdicts


def clusters_of_tasks(rows: Table) -> dict[tuple[str, int], str]:
    """The video of each task, or the task itself, as text."""
    tasks, first = np.unique(rows["task"], return_index=True)
    words = rows.vocabulary
    return {
        words["task"].values[task]: repr(words["cluster"].values[cluster])
        for task, cluster in zip(tasks.tolist(), rows["cluster"][first].tolist(), strict=True)
    }
