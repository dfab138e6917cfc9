"""The quality pages: what the store knows, as HTML, JSON, downloads and metrics."""

import logging
import threading
from collections import OrderedDict
from typing import Any
from urllib.parse import urlencode

import flask
from flask import Blueprint, Response, jsonify, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from sqlalchemy.exc import SQLAlchemyError

from backend.database.engine import patience
from backend.database.keys import ProjectKey
from backend.prediction.model import ModelNotReadyError
from backend.prediction.task_fields import LARGEST_ID
from backend.qa import exports
from backend.qa.audit_lists import AuditLists
from backend.qa.charts import breakdown_chart, curve_chart
from backend.qa.coco import coco_json
from backend.qa.compare import compared
from backend.qa.estimates.project import estimate_project
from backend.qa.marks import reviewed
from backend.qa.metrics_page import metrics_text
from backend.qa.queries import resolve, summary
from backend.qa.report import build_report, standing
from backend.qa.selection import Filters
from backend.qa.store import Store
from backend.qa.sync import keep_in_sync
from backend.qa.table import DIMENSIONS
from backend.qa.views import PER_PAGE, template_filters, thumbnail
from backend.settings import Settings
from backend.web import service as backend_service
from backend.web.quality_marks import add_mark_routes
from videogem.errors import InputError

logger = logging.getLogger(__name__)

KEEP = 8  # reports in memory
PLACE = f"<int(max={LARGEST_ID}):annotation>/<int(max={LARGEST_ID}):item>"  # whose picture
CATCH_UP_S = 2.0  # seconds a page waits to include events that came this moment


def create_blueprint(store: Store, settings: Settings) -> Blueprint:
    """Routes under ``/qa``. Answers include every event acknowledged before."""
    pages = Blueprint(
        "qa", "backend.qa", template_folder="templates", static_folder="static",
        static_url_path="/qa/static",
    )  # fmt: skip
    for name, template_filter in template_filters().items():
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

    kept: OrderedDict[tuple[object, ...], dict[str, Any]] = OrderedDict()

    def catch_up() -> None:
        """Bring in what came; where the database is written by others, show what is there."""
        try:
            with patience(CATCH_UP_S):
                store.process_pending()
        except (SQLAlchemyError, OSError) as error:
            logger.warning("figures may lack the latest events: %s", type(error).__name__)

    audits = AuditLists(store)
    building = threading.Lock()  # readers of one page wait for one report

    def report(filters: Filters) -> dict[str, Any]:
        """The report, from memory while nothing has happened since: it takes a while for many."""
        catch_up()
        with building:
            revision = store.revision()
            found = kept.get((filters, revision, audits.made))
            if found is None:
                found = build_report(store, filters, tolerance=settings.qa_tolerance, audits=audits)
                kept[filters, revision, audits.made] = found
                while len(kept) > KEEP:
                    kept.popitem(last=False)
        project = resolve(store, filters.project)
        told = reviewed(store, found["suspects"], project)
        return {**found, **told, **standing(store, filters.project)}

    @pages.get("/qa")
    def page() -> str:
        filters = Filters.of(request.args)
        found = report(filters)
        reason = request.args.get("reason", "")
        suspects = [
            s
            for s in found["audit"]
            if not reason or any(r["reason"] == reason for r in s["reasons"])
        ]
        last = max(1, -(-len(suspects) // PER_PAGE))
        number = min(max(1, request.args.get("page", 1, type=int)), last)
        shown = suspects[(number - 1) * PER_PAGE : number * PER_PAGE]
        return render_template(
            "qa/page.html",
            report=found,
            filters=filters,
            reason=reason,
            page=number,
            pages=last,
            suspects=[_card(s) for s in shown],
            suspects_total=len(suspects),
            charts=charts(found),
            webhooks=_webhooks(filters.project),
            link=_link,
            export=lambda name: _address(f"qa.{name}", filters.active()),
            standalone=False,
        )

    @pages.get("/qa/summary.json")
    def summary_json() -> Response:
        catch_up()
        return jsonify(summary(store, Filters.of(request.args).project))

    @pages.get("/qa/estimate.json")
    def estimate_json() -> Response:
        project = resolve(store, Filters.of(request.args).project)
        if project is None:
            raise InputError("An estimate is of one project: say ?project=NUMBER.")
        catch_up()
        version = request.args.get("model_version", "").strip() or None
        return jsonify(estimate_project(store, project, version).row())

    @pages.get("/qa/figures.json")
    def figures_json() -> Response:
        return jsonify(exports.plain(report(Filters.of(request.args))))

    @pages.get("/qa/compare.json")
    def compare_json() -> Response:
        catch_up()
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

    add_mark_routes(pages, store, settings, audits)

    @pages.get("/qa/report.html")
    def report_html() -> Response:
        from backend.web.quality_report import report_file

        parts = _service()
        found = report(Filters.of(request.args))
        text = report_file(store, parts.media if parts else None, found, _task_link)
        return _download(text, "text/html; charset=utf-8", "quality_report.html")

    @pages.get(f"/qa/audit/{PLACE}/frame.jpg")
    def frame(annotation: int, item: int) -> Response:
        from backend.web.quality_pictures import frame_jpeg

        return _picture(frame_jpeg, annotation, item, "image/jpeg")

    @pages.get(f"/qa/audit/{PLACE}/heatmap.png")
    def heatmap(annotation: int, item: int) -> Response:
        from backend.web.quality_pictures import heatmap_png

        return _picture(heatmap_png, annotation, item, "image/png")

    @pages.get("/metrics")
    def metrics() -> Response:
        catch_up()
        return Response(metrics_text(store), mimetype="text/plain")

    @pages.errorhandler(InputError)
    def bad_request(error: InputError) -> tuple[Response, int]:
        return jsonify({"error": str(error)}), 400

    def _picture(make: Any, annotation: int, item: int, kind: str) -> Response:
        parts = _service()
        if parts is None:
            return Response("no media without the backend", status=404)
        try:
            data = make(store, parts, request.args.get("server", ""), annotation, item)
        except (InputError, ModelNotReadyError) as error:
            return Response(str(error), status=404, mimetype="text/plain")
        picture = Response(data, mimetype=kind)
        picture.cache_control.max_age = 3600
        picture.cache_control.private = True
        return picture

    def _card(suspect: dict[str, Any]) -> dict[str, Any]:
        return {**suspect, **thumbnail(store, suspect), "link": _task_link(suspect)}

    def _task_link(suspect: dict[str, Any]) -> str | None:
        project, task = suspect["project_id"], suspect["task_id"]
        parts = _service()
        key = ProjectKey(suspect["server"], project or 0)
        server = parts.connections.get(key) if parts else None
        url = server.url if server else suspect["server"] or settings.label_studio_url
        return f"{url}/projects/{project}/data?task={task}" if url and project else None

    return pages


def charts(found: dict[str, Any]) -> dict[str, Any]:
    """The page's chart specifications by the id of their place; none where nothing is judged."""
    if not found["curve"]:
        return {}
    specs = {"curve": curve_chart(found["curve"])}
    for name in DIMENSIONS:
        if len(found["breakdowns"][name]) > 1:
            specs[f"by-{name}"] = breakdown_chart(found["breakdowns"][name], name.split("_")[0])
    return specs


def _webhooks(project: ProjectKey | None) -> list[dict[str, Any]]:
    """What people should know of the webhooks that bring corrections: trouble, and what was mended.

    A project named without its server stands for that number on every server.
    """
    parts = _service()
    known = parts.webhooks.states.all() if parts else {}
    return [
        {"id": key.id, "state": hook.state, "words": hook.words}
        for key, hook in known.items()
        if hook.state in ("failed", "mended")
        and (project is None or (key.id == project.id and project.server in ("", key.server)))
    ]


def _service() -> backend_service.Service | None:
    found: backend_service.Service | None = flask.current_app.extensions.get(backend_service.KEY)
    return found


def _link(filters: Filters, **changes: object) -> str:
    """The page's own address with some filters changed."""
    values = {**filters.active(), **changes}
    return _address("qa.page", {k: str(v) for k, v in values.items() if v not in (None, "")})


def _address(endpoint: str, values: dict[str, str]) -> str:
    address = url_for(endpoint)
    return f"{address}?{urlencode(values)}" if values else address


def _download(text: str, kind: str, name: str) -> Response:
    answer = Response(text, content_type=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
