"""All routes as an OpenAPI 3.1 document, for programs that speak to the backend: `/openapi.json`.

Written by hand, and kept true by its tests: each route of the app is in it and the other way round,
and real answers are of the forms that it promises.
"""

from collections.abc import Mapping
from typing import Any

from backend.qa.picks import PICKS
from videogem import __version__

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
DESCRIPTION = (
    "The backend speaks Label Studio's protocol for machine-learning backends (health, setup, "
    "predict, webhook, versions), and shows its jobs and the quality of its predictions. Without a "
    "password it answers on this machine only. Every refusal says in `error` (or, of the door, in "
    "one line of text) what was expected, what came, and what to do."
)
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


def document() -> Schema:
    """The whole, as JSON."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "VideoGEM for Label Studio",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"password": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"password": {"type": "http", "scheme": "basic"}},
        },
    }


# Schemas ---------------------------------------------------------------------------------------


def _ref(name: str) -> Schema:
    return {"$ref": PREFIX + name}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(
    _about: str = "", *, needs: str = "", is_open: bool = False, **fields: Schema
) -> Schema:
    """An object that has all these fields, or those it ``needs``; more only where it is open."""
    schema: Schema = {"type": "object", "properties": fields}
    if _about:
        schema["description"] = _about
    schema["required"] = needs.split() if needs else ([] if is_open else list(fields))
    if not is_open:
        schema["additionalProperties"] = False
    return schema


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
PROJECT: Schema = {
    "description": "A project's number; with its creation as Unix time in /setup and /predict "
    "(`20.1795393766`), as its object in webhooks.",
    "type": ["integer", "string", "object", "null"],
}
CONFIG: Schema = {"type": "string", "description": "The project's labeling config, XML."}
VERDICT: Schema = {"enum": ["fine", "fix", "open"]}
LEVELS: Schema = {"enum": ["ok", "warning", "failure"]}


def _schemas() -> Schema:
    open_list = _list({"type": "object"})
    return {
        "Error": _object("A refusal in words for people.", error={**TEXT, "minLength": 1}),
        "Health": _object(
            "Whether the process answers, and how far the model is.",
            status={"const": "UP"},
            model_class=TEXT,
            model_version=TEXT,
            model_state={"enum": ["loading", "ready", "failed"]},
            model_error=_maybe(TEXT),
            version=TEXT,
            level=LEVELS,
            looked_seconds_ago=_maybe(NUMBER),
            checks=_list(_ref("Check")),
            needs="status model_class model_version model_state model_error version",
        ),
        "SetupRequest": _object(
            "What Label Studio 1.23 sends when a backend is connected, and before each batch.",
            needs="schema",
            is_open=True,
            project=PROJECT,
            schema=CONFIG,
            hostname=_maybe(TEXT),
            access_token={"description": "A legacy token; others are not taken."},
            extra_params={"description": "Not used."},
        ),
        "SetupAnswer": _object(
            "Predictions carry the same version, so that none is asked for twice.",
            needs="model_version",
            model_version=TEXT,
            notes={**_list(TEXT), "description": "What of the config is left alone, and why."},
        ),
        "Task": _object(
            "A task as Label Studio sends it; media by address or as data: address.",
            is_open=True,
            id={"description": "A whole number; without one it cannot be queued."},
            data={"description": "An object with the fields that the labeling config shows."},
        ),
        "PredictRequest": _object(
            "Any number of tasks; one with regions under params.context is a smart tool's.",
            needs="tasks label_config",
            is_open=True,
            tasks=_list({"type": "object"}),
            project=PROJECT,
            label_config=CONFIG,
            params={"description": "login, password (not used), and context of smart tools."},
        ),
        "Region": _object(
            "A region as Label Studio stores it; places in percent, frames counted from 1.",
            needs="id type from_name to_name value",
            is_open=True,
            id=TEXT,
            type=TEXT,
            from_name=TEXT,
            to_name=TEXT,
            value={"type": "object"},
            score=SHARE,
        ),
        "Prediction": _object(
            "An empty result says that nothing scored enough.",
            result=_list(_ref("Region")),
            score=SHARE,
            model_version=TEXT,
        ),
        "Unpredicted": _object(
            "No result, so that Label Studio stores nothing and asks again: the reason, or that "
            "the task is queued.",
            error={**TEXT, "minLength": 1},
            model_version=TEXT,
        ),
        "PredictAnswer": _object(
            "One item for every task, in their order.",
            results=_list({"oneOf": [_ref("Prediction"), _ref("Unpredicted")]}),
        ),
        "Webhook": _object(
            "An event of Label Studio. Kept as it is before the answer; what cannot be read of it "
            "is passed over.",
            needs="action",
            is_open=True,
            action={**TEXT, "examples": ["ANNOTATION_CREATED", "TASKS_CREATED"]},
            project=PROJECT,
            annotation={"description": "An annotation, or a list of them."},
            task={"description": "Its task, or a list of them."},
            tasks={"description": "Tasks of an import, or deleted ones by id."},
            annotations={"description": "Deleted annotations by id."},
        ),
        "WebhookAnswer": _object("The event is kept.", status={"const": "ok"}),
        "Versions": _object(versions=_list(TEXT)),
        "Queued": _object("Failed tasks that are tried again.", queued=COUNT),
        "ProjectJobs": _object(
            "Tasks by state.",
            project=COUNT,
            server=TEXT,
            title={**TEXT, "description": "empty where it is not known"},
            queued=COUNT,
            running=COUNT,
            ready=COUNT,
            done=COUNT,
            failed=COUNT,
            progress=SHARE,
            seconds_left=_maybe(NUMBER),
            note=_maybe(TEXT),
        ),
        "Failure": _object(
            server=TEXT,
            project=COUNT,
            task=COUNT,
            model_version=TEXT,
            reason=_maybe(TEXT),
            time={"type": "number", "description": "Unix time"},
        ),
        "Jobs": _object(
            projects=_list(_ref("ProjectJobs")),
            tasks_per_second=_maybe(NUMBER),
            failures=_list(_ref("Failure")),
        ),
        "Check": _object(
            "What was looked at, what was found, and the setting that mends it.",
            name=TEXT,
            level=LEVELS,
            found=TEXT,
            fix=TEXT,
            numbers={"type": "object", "additionalProperties": NUMBER},
        ),
        "Checks": _object(checks=_list(_ref("Check"))),
        "Share": _object(
            "A share with its 95 % interval, over videos where known; no figures at n = 0.",
            needs="n hits accuracy low high",
            clusters={**COUNT, "description": "Videos, or tasks of no known video."},
            n=COUNT,
            hits=COUNT,
            accuracy=_maybe(SHARE),
            low=_maybe(SHARE),
            high=_maybe(SHARE),
        ),
        "Mean": _object(
            "A mean with its 95 % interval; none of one value or none.",
            needs="n mean low high median",
            clusters={**COUNT, "description": "Videos, or tasks of no known video."},
            n=COUNT,
            mean=_maybe(NUMBER),
            low=_maybe(NUMBER),
            high=_maybe(NUMBER),
            median=_maybe(NUMBER),
        ),
        "Estimate": _object(
            "Null with the reason in `unknown` where reviews are too few.",
            needs="accuracy low high unknown needed basis tasks points reviewed",
            is_open=True,
            accuracy=_maybe(SHARE),
            low=_maybe(SHARE),
            high=_maybe(SHARE),
            unknown=_maybe(TEXT),
            needed=COUNT,
            basis={"enum": ["plan", "independent"]},
            tasks=COUNT,
            points=COUNT,
            reviewed=COUNT,
        ),
        "Acceptance": _object(
            "Rules by which predictions are accepted in bulk, with what spot checks say of them.",
            needs="rules",
            rules=open_list,
        ),
        "Annotators": _object(
            "How reliable each annotator is, with intervals, or why that is unknown.",
            needs="annotators honeypots not_counted",
            annotators=open_list,
            honeypots=COUNT,
            not_counted=COUNT,
        ),
        "Figures": _object(
            "What the quality page shows, of the annotations that the filters select.",
            is_open=True,
            needs="filters headline macro subsets skipped outcomes overlap distance breakdowns "
            "curve annotators agreement audit audit_counts projects inbox unreadable left_out",
            filters={"type": "object", "additionalProperties": TEXT},
            headline=_ref("Share"),
            macro=_maybe(SHARE),
            subsets={"type": "object", "additionalProperties": _ref("Share")},
            skipped=_ref("Share"),
            outcomes=open_list,
            overlap={"type": "object"},
            distance=_object(diagonal=_ref("Mean"), side=_ref("Mean")),
            keypoints_only={"type": "object"},
            breakdowns={"type": "object", "additionalProperties": open_list},
            curve=open_list,
            reliability=open_list,
            uncalibrated={"type": "array", "items": TEXT},
            throughput=open_list,
            target={"type": ["object", "null"]},
            versions={"type": ["object", "null"]},
            annotators=open_list,
            agreement=open_list,
            audit=open_list,
            audit_counts={"type": "object", "additionalProperties": COUNT},
            marks=_object(
                "Marks that count, and what they say of the reasons.",
                fine=COUNT,
                fix=COUNT,
                evidence={"type": "object", "additionalProperties": _ref("Share")},
            ),
            projects=open_list,
            sync_errors=open_list,
            without_prediction=COUNT,
            inbox=_object(events=COUNT, waiting=COUNT, failed=COUNT),
            unreadable=COUNT,
            left_out=COUNT,
        ),
        "NewMark": _object(
            "What somebody says of a suspect; also taken as a form with the same fields.",
            needs="annotation verdict",
            annotation=COUNT,
            item={**COUNT, "description": "number of the frame in a list, from 0"},
            server={**TEXT, "description": "whose annotation, where several servers have one"},
            verdict=VERDICT,
            by={**TEXT, "description": "a name; of no effect where a password is asked for"},
            note=TEXT,
            seen={**TEXT, "description": "refused where the annotation is no longer this"},
        ),
        "Mark": _object(
            "What somebody said of a suspect; the last word on a frame counts until it changes.",
            needs="server project_id task_id annotation_id item version seen reasons verdict "
            "marked_by marked_at note",
            id=COUNT,
            server=TEXT,
            project_id=_maybe(COUNT),
            task_id=_maybe(COUNT),
            annotation_id=COUNT,
            item=COUNT,
            version=TEXT,
            seen=TEXT,
            reasons=_list(TEXT),
            verdict=VERDICT,
            marked_by=TEXT,
            marked_at=TEXT,
            note=_maybe(TEXT),
            counts={"type": "boolean"},
        ),
        "Marks": _object(
            "The evidence is the share of a reason's marked suspects that were to be fixed.",
            marks=_list(_ref("Mark")),
            evidence={"type": "object", "additionalProperties": _ref("Share")},
        ),
        "Coco": _object(
            "A COCO detection file.",
            is_open=True,
            needs="images annotations categories",
            images=open_list,
            annotations=open_list,
            categories=open_list,
        ),
        "OpenApi": {"type": "object", "required": ["openapi", "paths"]},
    }


# Routes ----------------------------------------------------------------------------------------


def _kinds(*kinds: str, schema: Schema | None = None) -> Schema:
    return {kind: {"schema": schema or TEXT} for kind in kinds}


def _json(name: str) -> Schema:
    return _kinds("application/json", schema=_ref(name))


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
TARGET_FORM = _object(
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


def _paths() -> Schema:
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
