"""The quality target of a project over HTTP: set it, or take it away."""

from http import HTTPStatus

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from backend.database.keys import read_project
from backend.qa.measures import Measure
from backend.qa.queries import resolve
from backend.qa.store import Store
from backend.qa.targets import set_target
from backend.web.quality_marks import local_address
from videogem.errors import InputError


def add_target_routes(pages: Blueprint, store: Store) -> None:
    """Routes of targets, on the blueprint of the quality pages."""

    @pages.post("/qa/target")
    def put_target() -> BaseResponse:
        named = request.form.get("project", "").strip()
        if not named:
            raise InputError("A quality target is of one project: name it as project.")
        project = resolve(store, read_project(named))
        of = request.form.get("of", "") or Measure.headline
        if project is None or of not in set(Measure):
            raise InputError(f"of must be {' or '.join(Measure)}, got {of[:50]!r}.")
        set_target(store, project, _share(request.form.get("percent", "")), Measure(of))
        next_page = local_address(request.form.get("next", ""))
        return redirect(next_page, code=HTTPStatus.SEE_OTHER)


def _share(text: str) -> float | None:
    """A share from percent as people type them; None for nothing."""
    text = text.strip().removesuffix("%").strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text) / 100
    except ValueError:
        raise InputError(f"percent must be a number such as 90, got {text[:50]!r}.") from None
