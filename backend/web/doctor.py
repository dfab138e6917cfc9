"""Finds what is wrong between Label Studio, backend, media and database, and says the fix.

The checks go from the machine outwards, so that the first failure is the one to mend first. None
of them changes anything that stays.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from backend.database import schema
from backend.database.engine import open_engine, patience
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.webhooks import own_webhooks, problems, why_no_webhook
from backend.labeling.config import parse_labeling
from backend.labeling.targets import Labeling, Target, fill
from backend.media.media import Media
from backend.prediction.model import BackgroundModel, ModelNotReadyError
from backend.prediction.task_fields import Task
from backend.qa.spool import Spool
from backend.settings import Settings
from backend.web.auth import basic_auth_header
from backend.web.checks import Check, data_folder, database_at, projects_in_step, spooled
from videogem.errors import InputError
from videogem.media.video import probe

NEWEST_PROJECTS = 20
WAIT_S = 2.0  # seconds for a locked database
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def diagnose(
    settings: Settings,
    *,
    model: BackgroundModel,
    media: Media,
    label_studio: LabelStudio | None,
    project: int | None = None,
    model_wait: float = 120.0,
) -> Iterator[Check]:
    """All checks, one after the other as they are made; those that need a project with one only."""
    yield data_folder(settings.data_dir)
    yield database_at(settings.database)
    if (spool := spooled(Spool(settings.data_dir / "spool"))).level != "ok":
        yield spool
    yield from _kept(settings)
    yield _weights(model, model_wait)
    if label_studio is None:
        yield Check(
            "Label Studio",
            "failure",
            "its address is not known",
            "Set VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY.",
        )
        return
    address = _address(label_studio)
    yield address
    if address.level == "failure":
        return
    token = _token(label_studio)
    yield token
    if token.level == "failure":
        return
    for number in [project] if project is not None else _connected_projects(label_studio):
        yield from _project(number, settings, label_studio, media)


def _kept(settings: Settings) -> Iterator[Check]:
    """What the store and the job list say; neither is made or migrated for it."""
    url = sa.make_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).expanduser().exists():
        return
    engine = open_engine(settings.database)
    hooks = schema.project_webhooks
    try:
        with patience(WAIT_S), engine.connect() as connection, connection.begin():
            states = sa.select(schema.jobs.c.state, sa.func.count()).group_by(schema.jobs.c.state)
            counts: dict[str, int] = {state: count for state, count in connection.execute(states)}
            yield from projects_in_step(connection)
            of_hooks = sa.select(hooks.c.server, hooks.c.project_id, hooks.c.words).where(
                hooks.c.state == "failed"
            )
            unmended = connection.execute(of_hooks).all()
    except (sa.exc.SQLAlchemyError, OSError):
        return  # no tables yet, or trouble that the check before has told about
    finally:
        engine.dispose()
    for server, number, words in unmended:
        name = f"project {number}: webhook when the backend last looked"
        fix = "Once it is right, the next sync (or opening the project's Model settings) sees it."
        yield Check(name, "warning", f"{server}: {words}", fix)
    if counts:
        words = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        failed = counts.get("failed", 0)
        fix = "See /jobs for the reasons; it also tries them again." if failed else ""
        yield Check("job list", "warning" if failed else "ok", words, fix)


def _weights(model: BackgroundModel, wait: float) -> Check:
    try:
        model.get(timeout=wait)
    except ModelNotReadyError as error:
        loading = model.status.state == "loading"
        fix = "Wait a little." if loading else "See `videogem models`; set VIDEOGEM_MODEL."
        return Check("weights", "warning" if loading else "failure", str(error), fix)
    return Check("weights", "ok", model.version)


def _address(label_studio: LabelStudio) -> Check:
    name = "Label Studio"
    try:
        version = label_studio.call("GET", "/api/version")
    except LabelStudioError as error:
        fix = "Check VIDEOGEM_LABEL_STUDIO_URL, with the sub-path if it has one."
        host = urlsplit(label_studio.url).hostname
        if host in LOCAL_NAMES:
            fix += (
                f" {host} means the machine (or container) the backend runs on; from a container "
                "use the service's name or host.docker.internal."
            )
        return Check(name, "failure", str(error), fix)
    release = version.get("release") if isinstance(version, dict) else None
    if release is None:
        return Check(
            name,
            "failure",
            f"{label_studio.url} answers, but not as Label Studio does",
            "Check VIDEOGEM_LABEL_STUDIO_URL, with the sub-path if it has one.",
        )
    return Check(name, "ok", f"{label_studio.url}, version {release}")


def _token(label_studio: LabelStudio) -> Check:
    if not label_studio.has_token:
        fix = "Set VIDEOGEM_LABEL_STUDIO_API_KEY (Account & Settings > Access Token)."
        return Check("token", "failure", "there is none", fix)
    try:
        user = label_studio.call("GET", "/api/current-user/whoami")
    except LabelStudioError as error:
        fix = (
            "Make a new token (Account & Settings). Legacy tokens must be allowed in the "
            "organization's settings; a personal access token works too."
        )
        return Check("token", "failure", str(error), fix)
    return Check("token", "ok", f"signed in as {user.get('email')}")


def _connected_projects(label_studio: LabelStudio) -> list[int]:
    """The newest projects that have a model."""
    parameters = {"page_size": NEWEST_PROJECTS, "ordering": "-id", "include": "id"}
    found = label_studio.call("GET", "/api/projects/", params=parameters)["results"]
    numbers = [int(project["id"]) for project in found]
    return [
        number
        for number in numbers
        if label_studio.call("GET", "/api/ml/", params={"project": number})
    ]


def _project(
    number: int, settings: Settings, label_studio: LabelStudio, media: Media
) -> Iterator[Check]:
    name = f"project {number}"
    try:
        config = str(label_studio.project(number).get("label_config") or "")
    except LabelStudioError as error:
        if error.status == 404:
            yield _no_project(name, label_studio)
        else:
            yield Check(name, "failure", str(error), "Use the token of a user who may see it.")
        return
    labeling = parse_labeling(config)
    yield _config(name, labeling)
    yield from _backend(name, number, settings, label_studio)
    if not labeling.problems:
        yield from _media(name, number, labeling, label_studio, media)


def _no_project(name: str, label_studio: LabelStudio) -> Check:
    """That there is no such project, and which there are."""
    parameters = {"page_size": NEWEST_PROJECTS, "ordering": "-id", "include": "id,title"}
    found = label_studio.call("GET", "/api/projects/", params=parameters)["results"]
    newest = ", ".join(f"{project['id']} ({project.get('title')})" for project in found)
    words = f"there is no {name} in {label_studio.url} for this token"
    fix = f"The newest are {newest}." if newest else "There is no project yet: make one."
    return Check(name, "failure", words, f"{fix} Name one with --project NUMBER.")


def _config(name: str, labeling: Labeling) -> Check:
    name = f"{name}: labeling config"
    if labeling.problems:
        return Check(name, "failure", " ".join(labeling.problems), "Settings > Labeling Interface.")
    controls = [
        f"{each.tag} {each.name!r}" for target in labeling.targets for each in target.controls
    ]
    found = "fills " + ", ".join(controls) if controls else "nothing to fill yet"
    notes = " ".join(labeling.notes)
    if notes or not controls:
        return Check(
            name, "warning", f"{found}. {notes}".strip(), "`videogem configs` has ready ones."
        )
    return Check(name, "ok", found)


def _backend(
    name: str, number: int, settings: Settings, label_studio: LabelStudio
) -> Iterator[Check]:
    """The backend as Label Studio sees it, and the way back for corrections."""
    backends = label_studio.call("GET", "/api/ml/", params={"project": number})
    if not backends:
        fix = (
            "Settings > Model > Connect Model. If that is refused with 'reserved network address', "
            "Label Studio needs ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false."
        )
        yield Check(f"{name}: backend", "failure", "no model is connected", fix)
        return
    first = label_studio.call("GET", f"/api/ml/{backends[0]['id']}")
    url = str(first["url"])
    if first.get("state") != "CO":
        yield Check(
            f"{name}: backend",
            "failure",
            f"Label Studio says of {url}: {first.get('readable_state')} "
            f"({first.get('error_message') or 'no answer within a second'})",
            "Is `videogem serve` running, and is that its address as seen from Label Studio? With "
            "VIDEOGEM_BASIC_AUTH_USER set, Label Studio needs the same user and password.",
        )
        return
    yield Check(f"{name}: backend", "ok", f"{url}, version {first.get('model_version')}")
    if len(backends) > 1:
        yield Check(
            f"{name}: backend",
            "warning",
            f"{len(backends)} models are connected; Label Studio asks only the first",
            "Remove the others.",
        )
    yield _webhook(name, number, url, settings, label_studio)


def _webhook(
    name: str, number: int, url: str, settings: Settings, label_studio: LabelStudio
) -> Check:
    name = f"{name}: webhook"
    hooks = own_webhooks(label_studio, number, urlsplit(url).netloc)
    if not hooks:
        fix = f"The backend makes it at start and at every sync, if it may. {why_no_webhook(url)}"
        return Check(name, "failure", "there is none: corrections do not reach the backend", fix)
    wrong = [problems(hook, basic_auth_header(settings)) for hook in hooks]
    if all(wrong):
        fix = (
            "The backend puts it right at start and at every sync, where "
            "VIDEOGEM_LABEL_STUDIO_API_KEY is set. Or see the project's Settings > Webhooks: "
            "active, Send payload, all events, and the header Authorization with the password."
        )
        found = f"{'; '.join(wrong[0])}: corrections do not reach the backend"
        return Check(name, "failure", found, fix)
    return Check(name, "ok", str(hooks[0]["url"]))


def _media(
    name: str, number: int, labeling: Labeling, label_studio: LabelStudio, media: Media
) -> Iterator[Check]:
    """One task's data, field by field: reference, fetch, decode."""
    task = next((task for page in label_studio.tasks(number) for task in page.tasks), None)
    if task is None:
        yield Check(f"{name}: tasks", "warning", "there are none yet", "Import some.")
        return
    for target in labeling.targets:
        step = f"{name}: task {task['id']}, {target.source.name}"
        yield _try(f"{step}: media", _look_at_media, label_studio.key(number), task, target, media)
        if target.narration_field is not None:
            yield _try(f"{step}: narration", _look_at_narration, target, task)


def _look_at_media(project: ProjectKey, task: Task, target: Target, media: Media) -> str:
    value = fill(target.source.value, task["data"])
    reference = value[0] if isinstance(value, list) and value else value
    with media.open(reference, project=project, task=task["id"]) as file:
        info = probe(file)
    size = f"{str(reference)[:120]}: {info.width}x{info.height}"
    return size if info.fps is None else f"{size}, {info.duration:.2f} s, {info.fps:.3f} fps"


def _look_at_narration(target: Target, task: Task) -> str:
    return str(target.narration(task["data"]))[:80]


def _try(name: str, look: Callable[..., str], *given: Any) -> Check:
    try:
        return Check(name, "ok", look(*given))
    except InputError as error:  # these messages say the fix themselves
        return Check(name, "failure", str(error), "")
