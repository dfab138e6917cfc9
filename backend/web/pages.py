"""The start page, the job list and the doctor: pages for people, JSON for programs."""

from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from backend.database.keys import ProjectKey, read_project
from backend.web import start as start_page
from backend.web.accepts import wants_html
from backend.web.doctor import diagnose
from backend.web.openapi.document import document
from backend.web.routes import health
from backend.web.service import Service, current_service

pages = Blueprint("pages", __name__, template_folder="templates")


@pages.get("/")
def start() -> Response | str:
    """What this is, what is connected, and what to do next; for programs the same as /health."""
    if not wants_html():
        answer = health()
        answer.vary.add("Accept")
        return answer
    service = current_service()
    steps = start_page.steps(service)
    return render_template(
        "start/page.html",
        here="start",
        steps=steps,
        todo=next((step for step in steps if not step.done), None),
        projects=start_page.projects(service),
        version=service.models.default.status.version,
        label_studio=[server.url for server in service.connections.servers().values()],
    )


@pages.get("/jobs")
def jobs() -> Response | str:
    """What waits, runs, is done or failed, with progress and time left; JSON for programs."""
    summary = job_summary(current_service(), _project())
    if wants_html():
        return render_template("jobs/page.html", **summary)
    return jsonify(summary)


@pages.post("/jobs/retry")
def retry() -> BaseResponse:
    """Queue failed tasks again, of one project or of all."""
    count = current_service().jobs.retry_failed(_project())
    if wants_html():
        return redirect(url_for("pages.jobs"), code=303)
    return jsonify(queued=count)


@pages.app_context_processor
def for_other_pages() -> dict[str, Any]:
    """Let the quality pages show the state of the jobs, and lead here."""

    def job_rows(project: ProjectKey | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = job_summary(current_service(), project)["projects"]
        return rows

    def num_not_in_frame(project: ProjectKey | None = None) -> int:
        return sum(current_service().jobs.not_in_frame(project).values())

    return {
        "job_rows": job_rows,
        "num_not_in_frame": num_not_in_frame,
        "first_steps": lambda: start_page.steps(current_service()),
    }


@pages.get("/doctor")
def doctor() -> Response | str:
    """The checks of `videogem doctor`, as this process sees things."""
    service = current_service()
    project = _project()
    if project is not None and not project.server:
        project = service.connections.key(project.id)
    checks = list(
        diagnose(
            service.settings,
            model=service.models.default,
            media=service.media,
            label_studio=service.connections.get(project),
            project=project.id if project else None,
            model_wait=1.0,
            emails=service.settings.basic_auth_password is not None,
        )
    )
    if wants_html():
        return render_template("doctor/page.html", checks=checks)
    return jsonify(checks=[check.as_json() for check in checks])


@pages.get("/openapi.json")
def openapi() -> Response:
    """All routes, for programs."""
    return jsonify(document())


def _project() -> ProjectKey | None:
    """The project asked for, ``20`` or ``20@http://server``; None for all.

    Raises:
        InputError: it is none.
    """
    text = request.values.get("project", "")
    return read_project(text) if text else None


def job_summary(service: Service, project: ProjectKey | None = None) -> dict[str, Any]:
    """Counts by state for every project, speed, seconds left, and the failures' reasons."""
    rate = service.runner.per_second()
    absent = service.jobs.not_in_frame(project)
    projects = []
    for key, counts in service.jobs.counts(project).items():
        waiting = counts["queued"] + counts["running"]
        total = sum(counts.values())
        projects.append(
            {
                "project": key.id,
                "server": key.server,
                "title": service.names.title(key),
                **{str(state): count for state, count in counts.items()},
                "not_in_frame": absent.get(key, 0),
                "progress": round(1 - waiting / total, 4) if total else 1.0,
                "seconds_left": round(waiting / rate, 1) if rate and waiting else None,
                "note": service.languages.note(key),
            }
        )
    return {
        "projects": projects,
        "tasks_per_second": None if rate is None else round(rate, 3),
        "failures": service.jobs.failures(project),
    }
