"""The five routes Label Studio calls: health, setup, predict, webhook, versions."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeGuard

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from backend.database.engine import patience, short
from backend.database.keys import ProjectKey
from backend.garbage import large_in_hand, take_apart
from backend.labeling.config import parse_labeling
from backend.prediction.interactive import context_regions, other_event, suggest
from backend.prediction.model import ModelNotReadyError
from backend.prediction.task_fields import Project
from backend.qa.spool import NotKeptError
from backend.web.accepts import wants_html
from backend.web.json_body import read_json
from backend.web.received import LARGE
from backend.web.service import Service, current_service
from videogem import __version__
from videogem.errors import InputError

logger = logging.getLogger(__name__)

LARGE_TURNS = {path: threading.Lock() for path in ("/setup", "/predict", "/webhook")}

routes = Blueprint("label_studio", __name__)

EVENT_WAIT = 0.3  # seconds for the database, of the 1 that Label Studio waits for /webhook
SETUP_WAIT = 0.5  # seconds, of the 3 that it waits for /setup
ANSWER_WAIT = 2.0  # seconds that somebody waits for the job list while predictions are at hand
PREDICT_WAIT = 10.0  # seconds somebody with a smart tool waits for weights that are still loading


REFUSED = {
    404: "There is no such page; /openapi.json lists them.",
    405: "This page knows other methods; /openapi.json lists them.",
    413: "The request is larger than VIDEOGEM_MAX_REQUEST_MB allows.",
    500: "The backend failed at this request. Its log says where; please report it.",
}


class BadRequestError(InputError):
    """A request that is not what Label Studio sends."""


@routes.get("/health")
def health() -> Response:
    """Tell that the process answers, and how far the model is; with ?details how all parts do."""
    status = current_service().models.default.status
    details = current_service().states.as_json() if "details" in request.args else {}
    return jsonify(
        **details,
        status="UP",
        model_class="VideoGEM",
        model_version=status.version,
        model_state=status.state,
        model_error=status.error,
        version=__version__,
    )


@routes.post("/setup")
def setup() -> Response:
    """Check a project's labeling config and tell the model version; never touches weights."""
    body = _json_body()
    with patience(SETUP_WAIT):
        return _set_up(body, current_service())


def _set_up(body: dict[str, Any], service: Service) -> Response:
    told = body.get("hostname"), body.get("access_token")
    key = service.connections.announce(body.get("project"), *told)
    project = key.id if key else None
    if key is not None:
        label_studio = service.connections.get(key)
        service.webhooks.after_setup(key, request.host, label_studio)
        reachable = label_studio is not None and label_studio.has_token
        if reachable:
            service.names.want_title(key)
        with _job_list_is_spared(key):
            if service.connections.key(key.id) == key:  # no other server has one of this number
                service.jobs.adopt(key)
            if reachable:
                service.jobs.wake(key)
    config = _text(body, "schema")
    labeling = parse_labeling(config)
    labeling.require()
    for note in labeling.notes:
        logger.warning("project %s: %s", project, note)
    version = service.version_of(labeling)
    if key is not None:
        with _job_list_is_spared(key):
            service.jobs.announce(key, config, version)
    notes = {"notes": list(labeling.notes)} if labeling.notes else {}
    return jsonify(model_version=version, **notes)


@contextmanager
def _job_list_is_spared(key: ProjectKey) -> Iterator[None]:
    """/setup is answered in any case; the job list looks again before it delivers."""
    try:
        yield
    except SQLAlchemyError as error:
        logger.error("project %s: the job list cannot be written: %s", key.id, short(error))


@routes.post("/predict")
def predict() -> Response:
    """Predict every task of the request, in its order.

    A task that could not be predicted gets an item without ``result``: Label Studio logs it and
    stores nothing, so the task is asked for again (an empty ``result`` would mark it as done).
    """
    service = current_service()
    body = _json_body()
    tasks = body.get("tasks")
    event = other_event(body.get("params"))
    if event is not None and tasks is None:
        tasks = []
    if not _are_objects(tasks):
        raise BadRequestError("/predict expects {tasks: [...], label_config: '<View>...'}.")
    config = _text(body, "label_config")
    labeling = parse_labeling(config)
    labeling.require_targets()
    version = service.version_of(labeling)
    if event is not None:
        logger.debug("the event %s of an interactive request has nothing to predict", event)
        nothing = {"result": [], "score": 0.0, "model_version": version}
        return jsonify(results=[nothing] * max(1, len(tasks)))
    key = service.connections.key(body.get("project"))
    threshold = service.settings.score_threshold
    project = Project(key.id if key else None, config, labeling, version, threshold, key)
    service.languages.look(tasks, project)
    if (regions := context_regions(body.get("params"))) and tasks:
        batcher = service.models.for_labeling(labeling).batcher(timeout=PREDICT_WAIT)
        with service.batches.place():
            suggestion = suggest(
                tasks[0],
                regions,
                project,
                batcher=batcher,
                media=service.media,
                seconds=service.settings.predict_budget,
            )
        return jsonify(results=[suggestion])
    with patience(ANSWER_WAIT):
        return jsonify(results=service.batches.answer(tasks, project))


@routes.post("/webhook")
def webhook() -> tuple[Response, int]:
    """Keep the event and answer: Label Studio waits 1 second, in its user's own request."""
    if (request.content_length or 0) <= LARGE:
        return _keep_event(_json_body())
    with large_in_hand():
        body = _json_body()
        try:
            return _keep_event(body)
        finally:
            take_apart(body)


def _keep_event(body: dict[str, Any]) -> tuple[Response, int]:
    if not isinstance(body.get("action"), str):
        raise BadRequestError("A webhook body is a JSON object with an 'action'.")
    service = current_service()
    with patience(EVENT_WAIT):
        key = service.connections.key(body.get("project"))
        server = key.server if key else ""
        if service.store.append_event(body, server):
            try:
                _heed(body, service)
            except SQLAlchemyError as error:
                logger.warning("the job list is busy or gone; the event is heeded later: %s",
                               short(error))  # fmt: skip
                service.store.set_aside(body, server)
    return jsonify(status="ok"), 201


def heed_late(service: Service, event: dict[str, Any], _server: str) -> None:
    """Do what an event of the spool asks for, now that the database can be written again."""
    try:
        _heed(event, service)
    except InputError as error:
        logger.warning("a %s could not be heeded: %s", event.get("action"), error)


def _heed(event: dict[str, Any], service: Service) -> None:
    """Let the job list know of what concerns it."""
    if event["action"] == "TASKS_CREATED" and service.settings.prelabel_on_import:
        _prelabel(event, service)
    elif event["action"] == "PROJECT_UPDATED":
        _project_changed(event, service)


def _project_changed(event: dict[str, Any], service: Service) -> None:
    """Let go of jobs that a project with another labeling config does not want."""
    project = event.get("project")
    config = project.get("label_config") if isinstance(project, dict) else None
    key = service.connections.key(project)
    if key is not None and isinstance(config, str):
        service.jobs.announce(key, config, service.runner.wanted_version(config))


def _prelabel(event: dict[str, Any], service: Service) -> None:
    """Queue the tasks of an import; an event without payload names none."""
    project = event.get("project")
    tasks = event.get("tasks")
    if not isinstance(project, dict) or not _are_objects(tasks):
        logger.warning("tasks were imported, but the webhook is set to send no payload")
        return
    config = str(project.get("label_config") or "")
    labeling = parse_labeling(config)
    if labeling.problems or not labeling.targets:
        logger.warning("project %s cannot be pre-labelled: see /setup", project.get("id"))
        return
    key = service.connections.key(project)
    if key is not None:
        service.jobs.enqueue(key, config, service.version_of(labeling), tasks)


@routes.get("/versions")
def versions() -> Response:
    """The versions this process can predict with."""
    return jsonify(versions=current_service().models.versions())


@routes.app_errorhandler(InputError)
def bad_input(error: InputError) -> Response:
    """Tell the reason in the status line too: the only text Label Studio shows to its users."""
    return _refusal(400, str(error))


@routes.app_errorhandler(NotKeptError)
def not_kept(error: NotKeptError) -> Response:
    """An answer of 2xx to a webhook would say that its event is kept."""
    logger.error("%s", error)
    return _refusal(503, str(error))


@routes.app_errorhandler(SQLAlchemyError)
def no_database(error: SQLAlchemyError) -> Response:
    logger.error("%s: the database cannot be used: %s", request.path, short(error))
    return _refusal(503, "The database cannot be used just now; see /health?details and the log.")


@routes.app_errorhandler(ModelNotReadyError)
def not_ready(error: ModelNotReadyError) -> Response:
    return _refusal(503, str(error))


@routes.app_errorhandler(HTTPException)
def refused(error: HTTPException) -> BaseResponse:
    """What Flask itself refuses, in the same form as all other refusals; to people, as a page."""
    answer = error.get_response()
    code = answer.status_code
    if code < 400:  # a redirect
        return answer
    if code == 404 and wants_html():
        return make_response(render_template("qa/error.html", words="There is no such page."), code)
    telling = _refusal(code, REFUSED.get(code) or error.description or answer.status)
    for name in "Allow", "Retry-After":
        if name in answer.headers:
            telling.headers[name] = answer.headers[name]
    return telling


def _refusal(code: int, reason: str) -> Response:
    response = jsonify(error=reason)
    # One line of latin-1, as HTTP demands; Label Studio's connect dialog quotes it.
    line = " ".join(reason.split()).encode("latin-1", "replace").decode("latin-1")
    response.status = f"{code} {line[:1000]}"
    return response


def _json_body() -> dict[str, Any]:
    if not request.is_json:
        raise BadRequestError(
            f"{request.path} expects JSON (Content-Type: application/json), got "
            f"{request.mimetype or 'no content type'!r}."
        )
    data = request.get_data(cache=False)
    # Several large ones at a time are read no sooner, and hold up everybody else.
    large = len(data) > LARGE
    with (
        LARGE_TURNS[request.path] if large else nullcontext(),
        large_in_hand() if large else nullcontext(),
    ):
        body = read_json(data)
    if not isinstance(body, dict):
        raise BadRequestError(f"{request.path} expects a JSON object.")
    return body


def _are_objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise BadRequestError(f"{request.path} expects the labeling config as {key!r}.")
    return value
