"""Score rows as columns: what the figures of a hundred thousand points are counted on."""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.qa.events import Row
from backend.qa.figures import cluster_of, point_of

NONE = -1  # in a column of numbers that stand for names: there is no value
DIMENSIONS = ("label", "verb", "object", "annotator", "model_version", "project_id", "video")
CODED = ("kind", "outcome", "server", "task", "annotation", "point", "cluster", *DIMENSIONS)
PLAIN = ("kind", "outcome", "server", "label", "verb", "object", "model_version", "video")
"""Columns whose names are texts; those of the others are tuples, the server first or in them."""
NUMBERS = ("iou", "distance_diagonal", "distance_side", "lead_time", "score", "left_out")
AT_LENGTH = 27  # of a time as the store writes it
FEW = 20  # times as many rows as new ones: from there on new ones are put between them


class Names:
    """Values and the numbers that stand for them, in the order they came."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._codes: dict[Hashable, int] = {None: NONE, "": NONE}

    @classmethod
    def of(cls, values: list[Any]) -> "Names":
        """Values that came in this order."""
        names = cls()
        names.values = values
        names._codes.update(zip(values, range(len(values)), strict=True))
        return names

    def __len__(self) -> int:
        return len(self.values)

    def code(self, value: Hashable) -> int:
        """The number of a value, a new one where it is new; None and "" are no value."""
        code = self._codes.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def find(self, value: Hashable) -> int | None:
        """The number of a value, or None if it never came."""
        return self._codes.get(value)


@dataclass
class Vocabulary:
    """The names of every column that has some; several tables share it."""

    names: dict[str, Names] = field(default_factory=lambda: {name: Names() for name in CODED})

    def __getitem__(self, column: str) -> Names:
        return self.names[column]


class Table:
    """Score rows, one array for each column, all of one length (num_rows). Never changed.

    Columns of ``CODED`` hold numbers of their names (`NONE`: no value): ``point`` and ``cluster``
    those of `figures`, annotators and projects together with their server. ``hit`` and
    ``compared`` are 1, 0, or -1 where a row has none; ``NUMBERS`` are NaN there. ``reviewed``: of a
    predicted region of the model in use; ``judged_by_box``: a box, mask or track is there.
    """

    def __init__(
        self,
        columns: Mapping[str, np.ndarray],
        vocabulary: Vocabulary,
        *,
        source: "Table | None" = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self._columns = dict(columns)
        self.vocabulary = vocabulary
        self._source = source
        self._rows = rows

    def __len__(self) -> int:
        return len(self["kind"]) if self._rows is None else len(self._rows)

    def __getitem__(self, column: str) -> np.ndarray:
        found = self._columns.get(column)
        if found is None:
            if self._source is None or self._rows is None:
                raise KeyError(column)
            found = self._columns[column] = self._source[column][self._rows]
        return found

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns) if self._source is None else self._source.names

    def take(self, chosen: np.ndarray) -> "Table":
        """The rows of a mask or of positions; columns are copied when they are asked for."""
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Table({}, self.vocabulary, source=self, rows=rows)

    def where(self, column: str, *values: Hashable) -> np.ndarray:
        """Mask of the rows with one of these values."""
        found = np.zeros(len(self), dtype=bool)
        for value in values:
            if (code := self.vocabulary[column].find(value)) is not None:
                found |= self[column] == code
        return found

    @classmethod
    def of(cls, rows: Sequence[Row], vocabulary: Vocabulary | None = None) -> "Table":
        """The columns of flat score rows (`queries`), in their order."""
        vocabulary = vocabulary or Vocabulary()
        columns: dict[str, np.ndarray] = {}
        for name, values in _coded(rows).items():
            code = vocabulary[name].code
            columns[name] = np.array([code(value) for value in values], dtype=np.int32)
        flags = {
            "counted": [bool(r.get("counted")) for r in rows],
            "ground_truth": [bool(r.get("ground_truth")) for r in rows],
            "independent": [bool(r.get("independent")) for r in rows],
            "accepted": [bool(r.get("accepted")) for r in rows],
            "judged_by_box": [bool(r.get("truth") or r.get("stand_in")) for r in rows],
            "reviewed": [r.get("place") is not None and "compared" not in r for r in rows],
        }
        for name, holds in flags.items():
            columns[name] = np.array(holds, dtype=bool)
        for name in ("hit", "compared"):
            found = [NONE if (v := r.get(name)) is None else int(v) for r in rows]
            columns[name] = np.array(found, dtype=np.int8)
        for name in NUMBERS:
            known = [np.nan if (v := r.get(name)) is None else float(v) for r in rows]
            columns[name] = np.array(known, dtype=np.float64)
        columns["at"] = np.array(
            [str(r["at"]).encode("ascii", "replace") for r in rows], dtype=f"S{AT_LENGTH}"
        )
        for name in ("annotation_id", "position"):
            columns[name] = np.array([r.get(name) or 0 for r in rows], dtype=np.int64)
        return cls(columns, vocabulary)

    @classmethod
    def join(cls, tables: Sequence["Table"]) -> "Table":
        """The rows of several tables of one vocabulary."""
        first = tables[0]
        columns = {name: np.concatenate([t[name] for t in tables]) for name in first.names}
        return cls(columns, first.vocabulary)

    def in_order(self) -> "Table":
        """Oldest annotation first, the rows of each as they were scored."""
        keys = self["position"], self["annotation_id"], self._ranks()[self["server"]], self["at"]
        order = np.lexsort(keys)
        return Table({name: self[name][order] for name in self.names}, self.vocabulary)

    def replaced(self, kept: np.ndarray, new: "Table") -> "Table":
        """The kept rows of this table, a mask, and new ones. Of few new rows, only these are
        sorted: this table is in order already.
        """
        if len(new) * FEW > len(self):
            return Table.join([self.take(kept), new]).in_order()
        new = new.in_order()
        runs = _runs(kept, self._places(new))
        columns = {}
        for name in self.names:
            sources = self[name], new[name]
            columns[name] = np.concatenate([sources[which][a:b] for which, a, b in runs])
        return Table(columns, self.vocabulary)

    def _places(self, new: "Table") -> list[int]:
        """Before which row of this table, in order, each row of another belongs."""
        ranks = self._ranks()
        first, last = (np.searchsorted(self["at"], new["at"], side) for side in ("left", "right"))

        def key(table: Table, row: int) -> tuple[int, int, int]:
            server, annotation, position = (
                int(table[name][row]) for name in ("server", "annotation_id", "position")
            )
            return int(ranks[server]), annotation, position

        return [
            bisect_left(range(b), key(new, row), a, b, key=lambda known: key(self, known))
            for row, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True))
        ]

    def _ranks(self) -> np.ndarray:
        """The places of servers in alphabetical order; the last one is that of no name."""
        servers = self.vocabulary["server"].values
        rank = np.zeros(len(servers) + 1, dtype=np.int32)
        rank[np.argsort(np.array(servers, dtype=object))] = np.arange(1, len(servers) + 1)
        return rank


def _runs(kept: np.ndarray, places: Sequence[int]) -> list[tuple[int, int, int]]:
    """Rows that follow each other, of two tables (0, 1) from a row to another: the kept ones of the
    first, and before row ``places[i]`` of it row i of the second.
    """
    changes = np.flatnonzero(np.diff(kept, prepend=False, append=False)).tolist()
    waiting = sorted(set(places))
    runs = [(0, 0, 0)]  # where there are none at all, the columns' types remain
    taken = 0

    def take_new(until: int) -> None:
        nonlocal taken
        end = bisect_right(places, until)
        if end > taken:
            runs.append((1, taken, end))
            taken = end

    for start, end in zip(changes[::2], changes[1::2], strict=True):
        cuts = waiting[bisect_left(waiting, start) : bisect_left(waiting, end)]
        for cut in cuts:
            if cut > start:
                take_new(start)
                runs.append((0, start, cut))
                start = cut
        take_new(start)
        runs.append((0, start, end))
    take_new(len(kept))
    return runs


def _coded(rows: Sequence[Row]) -> dict[str, list[Hashable]]:
    def of_server(name: str) -> list[Hashable]:
        return [None if (v := r.get(name)) is None else (r["server"], v) for r in rows]

    return {
        **{name: [row.get(name) for row in rows] for name in PLAIN},
        "task": [(r["server"], r["task_id"]) for r in rows],
        "annotation": of_server("annotation_id"),
        "annotator": of_server("annotator"),
        "project_id": of_server("project_id"),
        "point": [None if r.get("place") is None else point_of(r) for r in rows],
        "cluster": [cluster_of(r) for r in rows],
    }
