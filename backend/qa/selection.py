"""Which annotations the figures are of: the page's filters, and the rows that they choose."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from backend.database.keys import ProjectKey, project_text, read_project
from backend.qa.events import Row
from backend.qa.ledger import Snapshot
from backend.qa.queries import of_project_rows, score_rows
from backend.qa.store import Store
from backend.qa.table import Table


@dataclass(frozen=True)
class Filters:
    """What to look at; empty means everything. The same names are the page's URL parameters."""

    project: ProjectKey | None = None
    label: str = ""
    verb: str = ""
    object: str = ""
    annotator: str = ""
    model_version: str = ""
    video: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Filters":
        """Read them from texts, such as a URL's.

        Raises:
            InputError: the project is no number.
        """
        texts = {f.name: values.get(f.name, "").strip() for f in fields(cls)}
        project = texts.pop("project")
        return cls(project=read_project(project) if project else None, **texts)

    def active(self) -> dict[str, str]:
        """The filters in use."""
        texts = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "project"}
        chosen = {} if self.project is None else {"project": project_text(self.project)}
        return chosen | {name: value for name, value in texts.items() if value}

    def keep(self, rows: Table, *, servers_shown: bool) -> np.ndarray:
        """Mask of the selected rows (num_rows), the project apart; days compare as text."""
        chosen = np.ones(len(rows), dtype=bool)
        for name in ("label", "verb", "object", "annotator", "model_version", "video"):
            wanted = getattr(self, name)
            if not wanted:
                continue
            codes = codes_named(rows, name, wanted, servers_shown=servers_shown)
            holds = np.isin(rows[name], codes)
            chosen &= holds | rows.where("kind", "annotation") if name == "label" else holds
        if self.since:
            chosen &= rows["at"] >= self.since.encode()
        if self.until:
            until = self.until.encode()
            chosen &= rows["at"].astype(f"S{len(until)}") <= until
        if self.label:  # of the annotations, those that hold the label
            holders = rows["annotation"][chosen & ~rows.where("kind", "annotation")]
            chosen &= np.isin(rows["annotation"], holders)
        return chosen


@dataclass(frozen=True)
class Selection:
    """What the figures are counted on."""

    everything: Table  # of the project
    rows: Table
    annotations: Table  # one row for each annotation with any row
    servers_shown: bool  # several servers may have the same numbers

    @classmethod
    def of(cls, found: Snapshot, filters: Filters, project: ProjectKey | None) -> "Selection":
        """The rows that the filters choose."""
        everything = found.rows
        if project is not None:
            everything = everything.take(of_project_rows(everything, project))
        several = have_several_servers(everything)
        rows = everything
        if filters.active().keys() - {"project"}:
            rows = everything.take(filters.keep(everything, servers_shown=several))
        whole = everything.where("kind", "annotation")
        chosen = whole & np.isin(everything["annotation"], rows["annotation"])
        return cls(everything, rows, everything.take(chosen), several)


def selected_rows(store: Store, filters: Filters) -> list[Row]:
    """The score rows that the filters choose, flat, oldest annotation first."""
    rows = score_rows(store, filters.project)
    table = Table.of(rows)
    chosen = filters.keep(table, servers_shown=have_several_servers(table))
    return [row for row, kept in zip(rows, chosen.tolist(), strict=True) if kept]


def have_several_servers(rows: Table) -> bool:
    """Whether numbers of projects and annotators may mean several of them."""
    return len(np.unique(rows["server"])) > 1


def codes_named(rows: Table, name: str, wanted: str, *, servers_shown: bool) -> list[int]:
    """The numbers of a dimension's values that people call so; with its server, it is always
    understood.
    """
    shown = names_of(rows, name, servers_shown=servers_shown)
    whole = names_of(rows, name, servers_shown=True)
    return [
        code
        for code, values in enumerate(zip(shown, whole, strict=True))
        if wanted in map(str, values)
    ]


def names_of(rows: Table, name: str, *, servers_shown: bool) -> list[object]:
    """The values of a dimension by their numbers, as people read them."""
    values = rows.vocabulary[name].values
    if name not in ("annotator", "project_id"):
        return values
    return [f"{value}@{server}" if servers_shown else value for server, value in values]
