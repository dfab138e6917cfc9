"""The job list as JSON and as a page."""

from typing import Any

from flask import Blueprint, Response, jsonify, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from backend.doctor import diagnose
from backend.jobs import STATES
from backend.service import Service, current_service

pages = Blueprint("pages", __name__)


@pages.get("/jobs")
def jobs() -> Response | str:
    """What waits, runs, is done or failed, with progress and time left; JSON for programs."""
    summary = job_summary(current_service(), request.args.get("project", type=int))
    if _wants_html():
        return render_template_string(_PAGE, states=STATES, **summary)
    return jsonify(summary)


@pages.post("/jobs/retry")
def retry() -> BaseResponse:
    """Queue failed tasks again, of one project or of all."""
    project = request.values.get("project", type=int)
    count = current_service().jobs.retry_failed(project)
    if _wants_html():
        return redirect(url_for("pages.jobs"), code=303)
    return jsonify(queued=count)


@pages.get("/doctor")
def doctor() -> Response | str:
    """The checks of `videogem doctor`, as this process sees things."""
    service = current_service()
    project = request.args.get("project", type=int)
    checks = list(
        diagnose(
            service.settings,
            model=service.models.default,
            media=service.media,
            label_studio=service.connections.get(project),
            project=project,
            model_wait=1.0,
        )
    )
    if _wants_html():
        return render_template_string(_DOCTOR, checks=checks)
    return jsonify(checks=[check.as_json() for check in checks])


def _wants_html() -> bool:
    kinds = ["application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


def job_summary(service: Service, project: int | None = None) -> dict[str, Any]:
    """Counts by state for every project, speed, seconds left, and the failures' reasons."""
    rate = service.runner.per_second()
    projects = []
    for number, counts in service.jobs.counts(project).items():
        waiting = counts["queued"] + counts["running"]
        total = sum(counts.values())
        projects.append(
            {
                "project": number,
                **{str(state): count for state, count in counts.items()},
                "progress": round(1 - waiting / total, 4) if total else 1.0,
                "seconds_left": round(waiting / rate, 1) if rate and waiting else None,
            }
        )
    return {
        "projects": projects,
        "tasks_per_second": None if rate is None else round(rate, 3),
        "failures": service.jobs.failures(project),
    }


_STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: left }
td { vertical-align: top } tr + tr { border-top: 1px solid #ddd } progress { width: 10rem }
.failure { color: #b00020; font-weight: 600 } .warning { color: #8a5a00 }
</style>
"""

_DOCTOR = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>VideoGEM doctor</title>
{_STYLE}
<h1>Doctor</h1>
<table>{{% for check in checks %}}<tr><td class="{{{{ check.level }}}}">{{{{ check.level }}}}</td>
<td>{{{{ check.name }}}}</td><td>{{{{ check.found }}}}<br><em>{{{{ check.fix }}}}</em></td></tr>
{{% endfor %}}</table>
</html>"""

_PAGE = (
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>VideoGEM jobs</title>
<meta http-equiv="refresh" content="5">
"""
    + _STYLE
    + """
<h1>Jobs</h1>
<p>{% if tasks_per_second %}{{ tasks_per_second }} tasks per second of late.{% endif %}
ready: predicted, not yet in Label Studio.</p>
<table><tr><th>project</th>{% for state in states %}<th>{{ state }}</th>{% endfor %}
<th>progress</th><th>time left</th></tr>
{% for row in projects %}<tr><td>{{ row.project }}</td>
{% for state in states %}<td>{{ row[state] }}</td>{% endfor %}
<td><progress value="{{ row.progress }}" max="1"></progress></td>
<td>{{ "%d s"|format(row.seconds_left) if row.seconds_left else "" }}</td></tr>
{% else %}<tr><td>Nothing yet.</td></tr>{% endfor %}</table>
{% if failures %}<h2>Failed</h2>
<form method="post" action="jobs/retry"><button>Try all again</button></form>
<table><tr><th>project</th><th>task</th><th>reason</th></tr>
{% for row in failures %}<tr><td>{{ row.project }}</td><td>{{ row.task }}</td>
<td>{{ row.reason }}</td></tr>{% endfor %}</table>{% endif %}
</html>"""
)
