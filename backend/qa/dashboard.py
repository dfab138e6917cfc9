"""The quality pages: what the store knows, served as plain HTML and JSON."""

from flask import Blueprint, Response, jsonify, render_template, request

from backend.qa.queries import summary
from backend.qa.store import Store
from backend.settings import Settings
from videogem.errors import InputError


def create_blueprint(store: Store, settings: Settings) -> Blueprint:
    """Routes under ``/qa``. Answers include every event acknowledged before."""
    pages = Blueprint("qa", __name__, template_folder="templates", static_folder=None)

    @pages.get("/qa")
    def page() -> str:
        store.process_pending()
        project = _project()
        return render_template("qa/page.html", summary=summary(store, project), project=project)

    @pages.get("/qa/summary.json")
    def summary_json() -> Response:
        store.process_pending()
        return jsonify(summary(store, _project()))

    @pages.errorhandler(InputError)
    def bad_request(error: InputError) -> tuple[Response, int]:
        return jsonify({"error": str(error)}), 400

    return pages


def _project() -> int | None:
    text = request.args.get("project", "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise InputError(f"project must be a project's number, got {text!r}.")
    return int(text)
