"""Marks of suspects over HTTP: put one, and take all of them with you."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from backend.database.keys import ProjectKey, read_project
from backend.qa.audit_lists import AuditLists
from backend.qa.events import Row, clean
from backend.qa.exports import marks_csv
from backend.qa.marks import (
    LONGEST_NAME,
    ChangedError,
    GoneError,
    Place,
    Verdict,
    all_marks,
    evidence,
    find_annotation,
    put_mark,
)
from backend.qa.queries import resolve
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.json_body import read_json
from videogem.errors import InputError

COOKIE = "videogem_reviewer"
NAME_KEPT_S = 365 * 86400


def add_mark_routes(pages: Blueprint, store: Store, settings: Settings, audits: AuditLists) -> None:
    """Routes of marks, on the blueprint of the quality pages."""

    @pages.context_processor
    def who_reviews() -> dict[str, Any]:
        signed_in = user_name(settings)
        return {"reviewer": signed_in or given_name(), "signed_in": bool(signed_in)}

    @pages.post("/qa/reviewer")
    def reviewer() -> BaseResponse:
        """Keep the name of whoever marks, where nobody signs in."""
        answer = redirect(local_address(request.form.get("next", "")), code=HTTPStatus.SEE_OTHER)
        name = request.form.get("name", "").strip()[:LONGEST_NAME]
        answer.set_cookie(
            COOKIE, quote(name), max_age=NAME_KEPT_S, path="/qa", httponly=True, samesite="Strict"
        )
        return answer

    @pages.post("/qa/marks", endpoint="put_mark")
    def put() -> BaseResponse | tuple[Response, int]:
        if request.is_json:
            return jsonify(keep(_values())), HTTPStatus.CREATED
        onward = local_address(request.form.get("next", ""))
        try:
            keep(_values())
        except (ChangedError, GoneError) as error:
            said = "changed" if isinstance(error, ChangedError) else "gone"
            onward += ("&" if "?" in onward else "?") + f"said={said}"
        return redirect(onward, code=HTTPStatus.SEE_OTHER)

    def keep(values: Mapping[str, Any]) -> Row:
        place = Place(
            _text(values, "server"), _number(values, "annotation"), _number(values, "item", 0)
        )
        given = _text(values, "verdict")
        if given not in set(Verdict):
            raise InputError(f"verdict must be {', '.join(Verdict)}, got {given[:50]!r}.")
        known = find_annotation(store, place)
        place = place._replace(server=known["server"])
        return put_mark(
            store,
            place,
            Verdict(given),
            by=user_name(settings) or _text(values, "by") or given_name(),
            reasons=audits.reasons(place, ProjectKey(known["server"], known["project_id"] or 0)),
            note=_text(values, "note"),
            seen=_text(values, "seen"),
        )

    @pages.get("/qa/marks.json")
    def marks_as_json() -> Response:
        marks = all_marks(store, _project())
        return jsonify(marks=marks, evidence=evidence(marks))

    @pages.get("/qa/marks.csv")
    def marks_as_csv() -> Response:
        answer = Response(
            marks_csv(all_marks(store, _project())), content_type="text/csv; charset=utf-8"
        )
        answer.headers["Content-Disposition"] = 'attachment; filename="marks.csv"'
        return answer

    @pages.errorhandler(ChangedError)
    def changed(error: ChangedError) -> tuple[Response, int]:
        return jsonify({"error": str(error)}), HTTPStatus.CONFLICT

    def _project() -> ProjectKey | None:
        text = request.args.get("project", "").strip()
        return resolve(store, read_project(text) if text else None)


def user_name(settings: Settings) -> str:
    """Who has signed in to this backend; empty where it asks for no password."""
    given = request.authorization
    return str(given.username or "") if given and settings.basic_auth_user else ""


def given_name() -> str:
    """The name that this browser was told; empty where it was not asked yet."""
    return str(clean(unquote(request.cookies.get(COOKIE, "")))).strip()[:LONGEST_NAME]


def local_address(text: str) -> str:
    """Where to go next within the quality pages; never to another site.

    >>> local_address("/qa/review?at=3"), local_address("//evil.example/qa")
    ('/qa/review?at=3', '/qa')
    """
    inside = text.startswith("/qa") and text.isascii() and text.isprintable() and "\\" not in text
    return text if inside else "/qa"


def _values() -> Mapping[str, Any]:
    if not request.is_json:
        return request.form
    values = read_json(request.get_data(cache=False))
    if not isinstance(values, dict):
        raise InputError("A mark is a JSON object with annotation and verdict.")
    return values


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} must be a text, got {str(value)[:50]!r}.")
    return str(clean(value or ""))


def _number(values: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = values.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 11:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        came = "nothing" if value is None else repr(str(value)[:50])
        raise InputError(f"{name} must be a whole number from 0, got {came}.")
    return value
