"""What a tab of the quality page is, and what it gets to answer with."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from backend.database.keys import ProjectKey, read_project
from backend.qa.events import Row
from backend.qa.queries import resolve
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.views import annotator_text
from videogem.modules import modules_of


@dataclass(frozen=True)
class Asked:
    """What somebody wants to see, and what a tab may use for it.

    ``args`` are the query of the address; ``report`` is `report.build_report` of the ``filters``.
    ``tolerance`` is in % of the diagonal. ``task_link`` gives the address of a row's task in Label
    Studio, None where it is not known; ``person`` what an annotator is called.
    """

    store: Store
    filters: Filters
    args: Mapping[str, str]
    report: Row
    tolerance: float
    task_link: Callable[[Row], str | None]
    person: Callable[[object], str] = annotator_text

    def one_project(self) -> ProjectKey | None:
        """The project that is chosen, or the only one that there is; None where it is not clear."""
        chosen = resolve(self.store, self.filters.project)
        known = self.report["projects"]
        if chosen is None and len(known) == 1:
            chosen = resolve(self.store, read_project(known[0]["value"]))
        return chosen


class Kept:
    """What was worked out of a project, until its figures change. Safe to share among threads."""

    def __init__(self, most: int = 8) -> None:
        self._found: OrderedDict[tuple[object, ...], Row] = OrderedDict()
        self._most, self._lock = most, threading.Lock()

    def get(
        self, store: Store, project: ProjectKey, work_out: Callable[[Store, ProjectKey], Row],
        *, also: object = None,
    ) -> Row:  # fmt: skip
        """What ``work_out`` says now; ``also`` is what it depends on besides the figures."""
        with self._lock:  # readers of one page wait for one working out
            key = (store.url, project, store.revision(), also)
            if key not in self._found:
                self._found[key] = work_out(store, project)
                while len(self._found) > self._most:
                    self._found.popitem(last=False)
            return self._found[key]


def nothing(_asked: Asked) -> Row:
    return {}


def no_count(_report: Row) -> int | None:
    return None


@dataclass(frozen=True)
class Tab:
    """One page of the quality pages.

    ``context`` gives the names its template needs besides those of all tabs; ``count`` the number
    that stands beside its title: how much there is to do.
    """

    name: str
    title: str
    path: str
    order: int
    context: Callable[[Asked], Row] = nothing
    count: Callable[[Row], int | None] = no_count
    always: bool = False  # shown also where no annotation is selected
    listed: bool = True  # in the navigation; the others are led to by what they are about

    @property
    def template(self) -> str:
        return f"qa/tabs/{self.name}.html"


@cache
def tabs() -> Sequence[Tab]:
    """All tabs in the order of the navigation."""
    from backend.qa import tabs as folder  # they import this module

    found: list[Tab] = [module.TAB for module in modules_of(folder)]
    return tuple(sorted(found, key=lambda tab: (tab.order, tab.name)))


def page_of(rows: Sequence[Any], args: Mapping[str, str], per_page: int) -> Row:
    """One page of a long list: its ``rows``, its ``page`` number from 1, and how many ``pages``."""
    pages = max(1, -(-len(rows) // per_page))
    asked = args.get("page", "")
    page = min(max(1, int(asked)), pages) if asked.isdecimal() and len(asked) < 10 else 1
    return {"rows": rows[(page - 1) * per_page : page * per_page], "page": page, "pages": pages,
            "start": (page - 1) * per_page + 1, "total": len(rows)}  # fmt: skip
