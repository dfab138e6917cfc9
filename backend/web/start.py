"""What the start page says: what is connected, which projects there are, and what to do next."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from backend.database import schema
from backend.database.keys import ProjectKey, project_text
from backend.qa.events import Row
from backend.qa.queries import num_predictions
from backend.qa.report import listed_projects
from backend.qa.table import NONE
from backend.qa.tally import shares_of_points
from backend.web.checks import label_studio
from backend.web.service import Service

logger = logging.getLogger(__name__)

STATES = {
    "loading": "is loading",
    "ready": "is loaded",
    "failed": "cannot be loaded",
}


@dataclass(frozen=True)
class Step:
    """One step from nothing to figures: whether it is done, else what to do."""

    title: str
    done: bool
    found: str
    todo: str = ""


def steps(service: Service) -> list[Step]:
    """From an empty backend to the first figure, in the order they are done."""
    found = [_label_studio(service), _model(service)]
    if rows := service.store.ledger.being_read():
        said = f"{rows[0]} of {rows[1]} rows are read"
        return [*found, Step("Figures", False, said, "Wait: they are read anew after an update.")]
    try:
        return [*found, *_what_came(service)]
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        logger.warning("the start page lacks what the database knows: %s", reason)
        todo = "The doctor tells what is wrong; events are kept in the spool meanwhile."
        return [*found, Step("Database", False, "it cannot be read just now", todo)]


def _label_studio(service: Service) -> Step:
    servers = service.connections.servers()
    checks = {name: label_studio(name, server) for name, server in servers.items()}
    failed = [check for check in checks.values() if check.level == "failure"]
    if failed:
        fixes = " ".join(dict.fromkeys(check.fix for check in failed))
        words = "; ".join(check.found for check in failed)
        todo = f"Is Label Studio running? {fixes} The doctor tells more."
        return Step("Label Studio", False, words, todo)
    said = "; ".join(f"{name} {check.found}" for name, check in checks.items())
    if servers and any(server.has_token for server in servers.values()):
        return Step("Label Studio", True, said)
    return Step(
        "Label Studio",
        False,
        said or "No address is known",
        "Set VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY to its address and the "
        "key of a user who may see the projects; the doctor tells more.",
    )


def _model(service: Service) -> Step:
    model = service.models.default.status
    found = f"{model.version} {STATES.get(model.state, model.state)}"
    return Step("Model", model.state == "ready", found, model.error or "Wait for its weights.")


def _what_came(service: Service) -> list[Step]:
    connected = _projects_known(service)
    predictions = num_predictions(service.store)
    annotations = int(service.store.ledger.look().rows.where("kind", "annotation").sum())
    return [
        Step(
            "Project",
            bool(connected),
            _number(len(connected), "project is", "projects are") + " connected",
            "In Label Studio open a project's Settings, Model, Connect Model, and give it the "
            "address of this page.",
        ),
        Step(
            "Predictions",
            predictions > 0,
            _number(predictions, "prediction is", "predictions are") + " known",
            "Open a task of the project, or have all of them predicted: in the Data Manager, "
            "Actions, Retrieve Predictions.",
        ),
        Step(
            "First label",
            annotations > 0,
            _number(annotations, "annotation", "annotations") + " came back",
            "Submit a task in Label Studio: its correction arrives here by itself.",
        ),
    ]


def projects(service: Service) -> list[dict[str, Any]]:
    """The projects with their title, annotations, accuracy and the state of their webhook.

    None where they are being read or the database cannot be: the steps say so.
    """
    if service.store.ledger.being_read(0):
        return []
    try:
        return _projects(service)
    except SQLAlchemyError:
        return []


def _projects(service: Service) -> list[dict[str, Any]]:
    rows = service.store.ledger.look().rows
    counted = rows.take(rows["counted"])
    shares = shares_of_points(counted, counted["project_id"], counted["hit"])
    verdicts = rows["project_id"][rows.where("kind", "annotation")]
    annotations = np.bincount(verdicts[verdicts != NONE], minlength=1)
    hooks = service.webhooks.states.all()
    absent = service.jobs.not_in_frame()
    find = rows.vocabulary["project_id"].find
    found = []
    listed = {each["value"]: each for each in listed_projects(service.store)}
    known = _projects_known(service)
    several = len({key.server for key in known}) > 1
    for key in sorted(known):
        value = project_text(key if several else key._replace(server=""))
        number = find(tuple(key))
        title = listed.get(value, {}).get("title") or service.names.title(key)
        share: Row = shares.get(number, {}) if number is not None else {}
        hook = hooks.get(key)
        server = service.connections.get(key)
        found.append(
            {
                "value": value,
                "id": key.id,
                "server": key.server if several else "",
                "title": title,
                "annotations": (
                    int(annotations[number])
                    if number is not None and number < len(annotations)
                    else 0
                ),
                "pointing": share if share.get("n") else None,
                "webhook": hook.words if hook is not None and hook.state == "failed" else "",
                "not_in_frame": absent.get(key, 0),
                "label_studio": f"{server.url}/projects/{key.id}/data" if server else None,
            }
        )
    return found


def _projects_known(service: Service) -> set[ProjectKey]:
    """Projects that told of themselves in /setup or by an event, those deleted apart."""
    c = schema.projects.c
    with service.store.read() as connection:
        rows = connection.execute(sa.select(c.server, c.id, c.deleted_at)).all()
    dead = {ProjectKey(row.server, row.id) for row in rows if row.deleted_at is not None}
    known = {ProjectKey(row.server, row.id) for row in rows}
    reviewed = service.store.ledger.look().rows
    names = reviewed.vocabulary["project_id"].values
    known |= {
        ProjectKey(*names[n]) for n in np.unique(reviewed["project_id"]).tolist() if n != NONE
    }
    return (known | service.webhooks.states.all().keys()) - dead


def _number(count: int, one: str, more: str) -> str:
    return f"1 {one}" if count == 1 else f"{count} {more}"
