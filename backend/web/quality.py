"""The quality pages: what the store knows, as HTML, JSON, downloads and metrics."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from flask.blueprints import BlueprintSetupState

from backend.database.keys import ProjectKey
from backend.prediction.model import ModelNotReadyError
from backend.prediction.task_fields import LARGEST_ID
from backend.qa import exports
from backend.qa.coco import coco_json
from backend.qa.compare import compared
from backend.qa.estimates.accepting import watch
from backend.qa.estimates.annotators import rate_annotators
from backend.qa.estimates.project import estimate_project
from backend.qa.events import clean
from backend.qa.metrics_page import MetricsPage
from backend.qa.queries import resolve, summary
from backend.qa.reports import Reports
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.sync import keep_in_sync
from backend.qa.views import address_of, annotator_text, template_filters
from backend.settings import Settings
from backend.web import service as backend_service
from backend.web.accepts import wants_html
from backend.web.quality_marks import add_mark_routes
from backend.web.quality_tabs import add_tabs, service
from backend.web.quality_target import add_target_routes
from videogem.errors import InputError

AGAIN_S = 2  # seconds until an open page asks whether the figures are there
PLACE = f"<int(max={LARGEST_ID}):annotation>/<int(max={LARGEST_ID}):item>"  # whose picture


def create_blueprint(store: Store, settings: Settings) -> Blueprint:
    """Routes under ``/qa``. Answers include every event acknowledged before."""
    pages = Blueprint(
        "qa", "backend.qa", template_folder="templates", static_folder="static",
        static_url_path="/qa/static",
    )  # fmt: skip

    def person(annotator: object) -> str:
        parts, emails = service(), settings.basic_auth_password is not None
        return parts.names.person(annotator, emails=emails) if parts else annotator_text(annotator)

    for name, template_filter in template_filters(person).items():
        pages.add_app_template_filter(template_filter, name)

    def start_sync(setup: BlueprintSetupState) -> None:
        parts = setup.app.extensions.get(backend_service.KEY)
        if parts is not None:
            keep_in_sync(
                store,
                parts.connections,
                every_s=60 * settings.qa_sync_minutes,
                webhooks=parts.webhooks,
            )

    pages.record_once(start_sync)

    def task_link(suspect: dict[str, Any]) -> str | None:
        parts = service()
        key = ProjectKey(suspect["server"], suspect["project_id"] or 0)
        server = parts.connections.get(key) if parts else None
        known = server.url if server else suspect["server"]
        return address_of(known or settings.label_studio_url, suspect)

    reports = Reports(store, tolerance=settings.qa_tolerance)
    gauges = MetricsPage(store)
    add_tabs(pages, store, reports, task_link, person)

    def one_project(what: str) -> ProjectKey:
        project = resolve(store, Filters.of(request.args).project)
        if project is None:
            raise InputError(f"{what} one project: say ?project=NUMBER.")
        return project

    @pages.get("/qa/summary.json")
    def summary_json() -> Response:
        reports.catch_up()
        return jsonify(summary(store, Filters.of(request.args).project))

    @pages.get("/qa/estimate.json")
    def estimate_json() -> Response:
        project = one_project("An estimate is of")
        reports.catch_up()
        version = request.args.get("model_version", "").strip() or None
        return jsonify(estimate_project(store, project, version).row())

    @pages.get("/qa/acceptance.json")
    def acceptance_json() -> Response:
        project = one_project("Acceptance is of")
        reports.catch_up()
        return jsonify({"rules": watch(store, project)})

    @pages.get("/qa/annotators.json")
    def annotators_json() -> Response:
        project = one_project("Annotators are rated in")
        reports.catch_up()
        return jsonify(rate_annotators(store, project))

    @pages.get("/qa/figures.json")
    def figures_json() -> Response:
        return jsonify(exports.plain(reports.get(Filters.of(request.args))))

    @pages.get("/qa/compare.json")
    def compare_json() -> Response:
        reports.catch_up()
        first, second = (request.args.get(name, "") for name in ("first", "second"))
        return jsonify(compared(store, Filters.of(request.args), first, second))

    @pages.get("/qa/regions.csv")
    def regions_csv() -> Response:
        text = exports.regions_csv(store, Filters.of(request.args))
        return _download(text, "text/csv; charset=utf-8", "regions.csv")

    @pages.get("/qa/coco.json")
    def coco() -> Response:
        text = coco_json(store, Filters.of(request.args))
        return _download(text, "application/json", "annotations_coco.json")

    @pages.before_request
    def figures_are_there() -> tuple[str | Response, int, dict[str, str]] | None:
        """Who asks while all rows are read for the first time is told so, and asks again."""
        if request.endpoint in ("qa.static", "qa.metrics"):
            return None
        found = store.ledger.being_read()
        if found is None:
            return None
        read, total = found
        words = "The figures are being read."
        if total:
            words = f"The figures are being read: {read} of {total} rows until now."
        later = {"Retry-After": str(AGAIN_S)}
        if not wants_html():
            return jsonify({"error": f"{words} Ask again in {AGAIN_S} s."}), 503, later
        return render_template("qa/being_read.html", words=words, again_s=AGAIN_S), 503, later

    add_target_routes(pages, store)
    add_mark_routes(pages, store, settings, reports.audits)

    @pages.get("/qa/report.html")
    def report_html() -> Response:
        from backend.web.quality_report import report_file

        parts = service()
        found = reports.get(Filters.of(request.args))
        if request.args.get("audit") == "no":
            found = {**found, **exports.NO_AUDIT}
        media, person = (parts.media, parts.names.person) if parts else (None, annotator_text)
        text = report_file(store, media, found, task_link, person)
        return _download(text, "text/html; charset=utf-8", "quality_report.html")

    @pages.get(f"/qa/audit/{PLACE}/frame.jpg")
    def frame(annotation: int, item: int) -> Response:
        from backend.web.quality_pictures import frame_jpeg

        large = request.args.get("size") == "large"
        return _picture(partial(frame_jpeg, large=large), annotation, item, "image/jpeg")

    @pages.get(f"/qa/audit/{PLACE}/heatmap.png")
    def heatmap(annotation: int, item: int) -> Response:
        from backend.web.quality_pictures import heatmap_png

        return _picture(heatmap_png, annotation, item, "image/png")

    @pages.get("/metrics")
    def metrics() -> Response:
        reports.catch_up()
        return Response(gauges.text(), mimetype="text/plain")

    @pages.errorhandler(InputError)
    def bad_request(error: InputError) -> tuple[Response | str, int]:
        if wants_html():
            return render_template("qa/error.html", words=str(error)), 400
        return jsonify({"error": str(error)}), 400

    def _picture(make: Any, annotation: int, item: int, kind: str) -> Response:
        parts = service()
        if parts is None:
            return Response("no media without the backend", status=404)
        try:
            server = str(clean(request.args.get("server", "")))
            data = make(store, parts, server, annotation, item)
        except (InputError, ModelNotReadyError) as error:
            return Response(str(error), status=404, mimetype="text/plain")
        picture = Response(data, mimetype=kind)
        picture.cache_control.max_age = 3600
        picture.cache_control.private = True
        return picture

    return pages


def _download(text: str, kind: str, name: str) -> Response:
    answer = Response(text, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
