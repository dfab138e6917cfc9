"""Where it is sent: every route with what it takes and answers."""

from collections.abc import Mapping

from backend.qa.picks import PICKS
from backend.web.openapi.forms import COUNT, TEXT, Schema, object_of, ref

DEFAULT_REFUSALS = {
    400: "What came is not of the form below, or cannot be worked with; or a strange Host.",
    401: "Text: a password is asked for.",
    403: "Text: a browser sends it for a page of another site.",
    404: "There is no such page.",
    405: "The page knows other methods.",
    413: "The body is larger than VIDEOGEM_MAX_REQUEST_MB.",
    429: "Text: too many wrong passwords.",
    503: "The weights are loading, or the database cannot be used just now.",
}


def _kinds(*kinds: str, schema: Schema | None = None) -> Schema:
    return {kind: {"schema": schema or TEXT} for kind in kinds}


def _json(name: str) -> Schema:
    return _kinds("application/json", schema=ref(name))


def _route(
    summary: str,
    answer: Schema,
    *,
    status: int = 200,
    body: str | None = None,
    parameters: tuple[Schema, ...] = (),
    more: Mapping[int, str] | None = None,
) -> Schema:
    """One method of a path: its answer by content type, and the refusals that all share."""
    answers: Schema = {str(status): {"description": summary, "content": answer}}
    for code, meaning in {**(more or {}), **DEFAULT_REFUSALS}.items():
        kinds = {**_json("Error"), **_kinds("text/plain")} if code >= 400 else {}
        if code == 400:
            kinds |= _kinds("text/html")  # the quality pages, for browsers
        answers[str(code)] = {"description": meaning, "content": kinds}
    route: Schema = {"summary": summary, "responses": answers}
    if parameters:
        route["parameters"] = list(parameters)
    if body is not None:
        route["requestBody"] = {"required": True, "content": _json(body)}
    return route


def _query(name: str, about: str, schema: Schema | None = None) -> Schema:
    return {"name": name, "in": "query", "description": about, "schema": schema or TEXT}


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


OF_PROJECT = _query("project", "`20`, or `20@http://server` where several servers are known")
FILTERS = (
    OF_PROJECT,
    *(
        _query(name, "only rows of this one; empty for all")
        for name in ("label", "verb", "object", "annotator", "model_version", "video")
    ),
    _query("since", "first day or moment, as `2026-11-23`"),
    _query("until", "last day or moment, as `2026-11-23`"),
)
PAIR = (
    _query("first", "a model version; empty: one of the last two"),
    _query("second", "another one"),
)
NARROWED = {
    "who": "an annotator, as the page names them",
    "day": "of the last change, as `2026-11-23`",
    "outcome": "of a region, as `moved`",
    "among": "`independent`, `edited`, or `person`: all that somebody reviewed",
    "least": "score",
    "most": "score",
    "first": "of two that are compared",
    "second": "the other one",
    "better": "the model version that hits",
}
FORM = "application/x-www-form-urlencoded"
TARGET_FORM = object_of(
    "A target; without percent there is none any more.",
    needs="project",
    project=TEXT,
    percent={**TEXT, "description": "of points that have to hit, as `90`"},
    of={"enum": ["headline", "independent"]},
    next={**TEXT, "description": "a page below /qa to go on to"},
)
AXIS = _query("axis", "of the chart over time: `number` of the point; else dates")
SORT = _query("sort", "table and column, as `-annotators.annotations`; minus: largest first")
PICTURE = (
    _in_path("annotation", COUNT),
    _in_path("item", {**COUNT, "description": "number of the frame in a list, from 0"}),
    _query("server", "whose annotation, where several servers are known"),
)


def paths() -> Schema:
    """By address and method."""
    html = _kinds("text/html")
    either = {**_json("Jobs"), **html}
    details = _query("details", "there with any value: the state of all parts as well")
    health = _route("Whether the process answers", _json("Health"), parameters=(details,))
    return {
        "/": {
            "get": _route(
                "The start page for browsers; for programs the same as /health",
                {**_json("Health"), **html},
                parameters=(details,),
            )
        },
        "/health": {"get": health},
        "/setup": {
            "post": _route(
                "Check a labeling config and tell the model version",
                _json("SetupAnswer"),
                body="SetupRequest",
            )
        },
        "/predict": {
            "post": _route("Predict tasks", _json("PredictAnswer"), body="PredictRequest")
        },
        "/webhook": {
            "post": _route("Keep an event", _json("WebhookAnswer"), status=201, body="Webhook")
        },
        "/versions": {"get": _route("Versions it can predict with", _json("Versions"))},
        "/jobs": {"get": _route("The job list", either, parameters=(OF_PROJECT,))},
        "/jobs/retry": {
            "post": _route(
                "Try failed tasks again",
                _json("Queued"),
                parameters=(OF_PROJECT,),
                more={303: "For browsers: on to /jobs."},
            )
        },
        "/doctor": {
            "get": _route(
                "What is wrong between Label Studio, backend, media and database",
                {**_json("Checks"), **html},
                parameters=(OF_PROJECT,),
            )
        },
        "/openapi.json": {"get": _route("This document", _json("OpenApi"))},
        "/metrics": {"get": _route("Counts and gauges for Prometheus", _kinds("text/plain"))},
        "/qa": {
            "get": _route(
                "How good the predictions are, and what to do next",
                html,
                parameters=(*FILTERS, SORT, AXIS),
                more={302: "For links of before: on to /qa/review."},
            )
        },
        "/qa/review": {
            "get": _route(
                "The labels to look at again",
                html,
                parameters=(
                    *FILTERS,
                    _query("state", "`open` (default), `fix` or `fine`: as they were marked"),
                    _query("view", "`one`: one large picture at a time"),
                    _query("reason", "only suspects of this reason"),
                    _query("page", "of the suspects, from 1", {"type": "integer"}),
                ),
            )
        },
        "/qa/people": {"get": _route("The annotators", html, parameters=(*FILTERS, SORT))},
        "/qa/models": {
            "get": _route("The model versions", html, parameters=(*FILTERS, SORT, *PAIR))
        },
        "/qa/pictures": {
            "get": _route(
                "What a number of the other pages counts, as pictures",
                html,
                parameters=(
                    *FILTERS,
                    _query("show", "what is counted", {"enum": list(PICKS)}),
                    *(_query(name, about) for name, about in NARROWED.items()),
                    _query("page", "from 1", {"type": "integer"}),
                ),
            )
        },
        "/qa/plan": {
            "get": _route(
                "Accuracy of everything predicted, what to review next, what is accepted in bulk",
                html,
                parameters=FILTERS,
            )
        },
        "/qa/data": {"get": _route("Projects, jobs and exports", html, parameters=FILTERS)},
        "/qa/target": {
            "post": {
                **_route(
                    "Set the quality target of a project; for browsers: on to the page they name",
                    {},
                    status=303,
                ),
                "requestBody": {"required": True, "content": {FORM: {"schema": TARGET_FORM}}},
            }
        },
        "/qa/revision": {
            "get": _route(
                "Whether a page of a project is still as it was",
                _kinds("text/plain"),
                parameters=(OF_PROJECT, _query("seen", "the revision that the page has")),
                more={204: "It is; else the event `figures` for htmx comes with the answer."},
            )
        },
        "/qa/summary.json": {
            "get": _route("The headline", _json("Share"), parameters=(OF_PROJECT,))
        },
        "/qa/estimate.json": {
            "get": _route(
                "Accuracy of all that was predicted, reviewed or not",
                _json("Estimate"),
                parameters=(OF_PROJECT, _query("model_version", "default: what most tasks have")),
            )
        },
        "/qa/acceptance.json": {
            "get": _route(
                "Rules of bulk acceptance and their spot checks",
                _json("Acceptance"),
                parameters=(OF_PROJECT,),
            )
        },
        "/qa/annotators.json": {
            "get": _route(
                "How reliable each annotator is", _json("Annotators"), parameters=(OF_PROJECT,)
            )
        },
        "/qa/figures.json": {"get": _route("All figures", _json("Figures"), parameters=FILTERS)},
        "/qa/compare.json": {
            "get": _route(
                "Two model versions side by side; null where fewer than two were judged",
                _kinds("application/json", schema={"type": ["object", "null"]}),
                parameters=(*FILTERS, *PAIR),
            )
        },
        "/qa/marks": {
            "post": _route(
                "Say of a suspect that it is fine or to be fixed, or take that back",
                _json("Mark"),
                status=201,
                body="NewMark",
                more={
                    303: "For forms: on to the page they name.",
                    409: "The annotation was changed since it was looked at.",
                },
            )
        },
        "/qa/reviewer": {
            "post": _route("A browser's reviewer, by the form field `name`: on", {}, status=303)
        },
        "/qa/marks.json": {
            "get": _route(
                "Every mark, and what they say of the reasons",
                _json("Marks"),
                parameters=(OF_PROJECT,),
            )
        },
        "/qa/marks.csv": {
            "get": _route("Every mark", _kinds("text/csv"), parameters=(OF_PROJECT,))
        },
        "/qa/regions.csv": {
            "get": _route("Every region with its facts", _kinds("text/csv"), parameters=FILTERS)
        },
        "/qa/coco.json": {"get": _route("The corrected labels", _json("Coco"), parameters=FILTERS)},
        "/qa/report.html": {"get": _route("The page as one file", html, parameters=FILTERS)},
        "/qa/audit/{annotation}/{item}/frame.jpg": {
            "get": _route(
                "The annotated frame",
                _kinds("image/jpeg"),
                parameters=(*PICTURE, _query("size", "`large`: up to 1280 pixels, else 480")),
            )
        },
        "/qa/audit/{annotation}/{item}/heatmap.png": {
            "get": _route("The model's heatmap of it", _kinds("image/png"), parameters=PICTURE)
        },
        "/qa/static/{filename}": {
            "get": _route(
                "Styles and scripts of the page",
                _kinds("text/css", "text/javascript"),
                parameters=(_in_path("filename", TEXT),),
            )
        },
    }
