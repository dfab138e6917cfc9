"""The tabs of the quality page over HTTP, and how they stay in step with the figures."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any
from urllib.parse import urlencode

import flask
from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from backend.database.keys import ProjectKey
from backend.qa.events import Row
from backend.qa.reports import Reports
from backend.qa.selection import Filters
from backend.qa.sorting import Sorting
from backend.qa.store import Store
from backend.qa.tab import Asked, Tab, tabs
from backend.web import service as backend_service

FILTER_NAMES = {each.name for each in fields(Filters)}
FOLLOW_S = 5  # seconds between two looks of an open page whether figures changed


def add_tabs(
    pages: Blueprint,
    store: Store,
    reports: Reports,
    task_link: Callable[[Row], str | None],
    person: Callable[[object], str],
) -> None:
    """Routes of every tab, and of what open pages ask for from time to time."""

    def show(tab: Tab) -> str | BaseResponse:
        if tab.name == "overview" and {"reason", "page"} & request.args.keys():
            # The list of suspects was part of this page once.
            return redirect(address("qa.review", request.args.to_dict()))
        filters = Filters.of(request.args)
        report, revision = reports.page(filters)
        asked = Asked(store, filters, request.args, report, reports.tolerance, task_link, person)
        return render_template(
            tab.template, **common(tab, filters, report, revision), **tab.context(asked)
        )

    for tab in tabs():
        pages.add_url_rule(tab.path, endpoint=tab.name, view_func=partial(show, tab))

    @pages.app_context_processor
    def for_all_pages() -> dict[str, Any]:
        """What the navigation of pages without figures needs."""
        return {
            "tabs": [(each, None) for each in tabs() if each.listed],
            "link": partial(link, Filters()),
        }

    @pages.get("/qa/revision")
    def revision() -> Response:
        """204 while the page that somebody looks at is as it was; else 200 and the event for it."""
        answer = Response(status=204)
        if reports.revision(Filters.of(request.args)) != request.args.get("seen"):
            answer = Response("changed\n", mimetype="text/plain", headers={"HX-Trigger": "figures"})
        answer.headers["Cache-Control"] = "no-store"
        return answer


def common(tab: Tab | None, filters: Filters, report: Row, revision: str) -> dict[str, Any]:
    """What every page of the quality pages needs."""
    active = filters.active()
    kept = {
        name: value
        for name, value in request.args.items()
        if name not in FILTER_NAMES and name != "page"
    }
    return {
        "tab": tab,
        "tabs": [(each, each.count(report)) for each in tabs() if each.listed],
        "filters": filters,
        "report": report,
        "revision": revision,
        "follow_s": FOLLOW_S,
        "sorting": Sorting.of(request.args.get("sort", "")),
        "webhooks": webhooks(filters.project),
        "hooks": parts.webhooks.states.all() if (parts := service()) else {},
        "link": partial(link, filters),
        "pictures": lambda show, **only: link(filters, "pictures", show=show, **only),
        "kept_args": kept,
        "cleared": address(str(request.endpoint), kept),
        "export": lambda name, **more: address(f"qa.{name}", {**active, **more}),
        "standalone": False,
    }


def webhooks(project: ProjectKey | None) -> list[dict[str, Any]]:
    """What people should know of the webhooks that bring corrections: trouble, and what was mended.

    A project named without its server stands for that number on every server.
    """
    parts = service()
    known = parts.webhooks.states.all() if parts else {}
    return [
        {"id": key.id, "state": hook.state, "words": hook.words}
        for key, hook in known.items()
        if hook.state in ("failed", "mended")
        and (project is None or (key.id == project.id and project.server in ("", key.server)))
    ]


def service() -> backend_service.Service | None:
    """The service of the app, None where only the quality pages are served."""
    found: backend_service.Service | None = flask.current_app.extensions.get(backend_service.KEY)
    return found


def link(filters: Filters, page: str | None = None, /, **changes: object) -> str:
    """The address of a page of the quality pages, of the one shown where none is named, with the
    filters in use and some of its values changed; None and "" take one away.
    """
    values: dict[str, object] = {**filters.active()}
    if page is None:  # another choice begins at its first page
        values = {**request.args.to_dict(), **values, "page": None}
    values |= changes
    named = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return address(f"qa.{page}" if page else str(request.endpoint), named)


def address(endpoint: str, values: dict[str, str]) -> str:
    places: dict[str, str] = flask.g.setdefault("places", {})  # a page asks hundreds of times
    place = places.get(endpoint) or places.setdefault(endpoint, url_for(endpoint))
    return f"{place}?{urlencode(values)}" if values else place
