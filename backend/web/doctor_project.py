"""What the doctor looks at in one project: its config, the backend and webhook, a task's data."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backend.address import without_password
from backend.database.keys import ProjectKey
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.label_studio.webhooks import own_webhooks, place_of, problems, why_no_webhook
from backend.labeling.config import parse_labeling
from backend.labeling.targets import Labeling, Target, fill
from backend.media.media import Media
from backend.prediction.task_fields import Task
from backend.settings import Settings
from backend.web.auth import basic_auth_header
from backend.web.checks import Check
from videogem.errors import InputError
from videogem.media.video import probe

NEWEST_PROJECTS = 20


def told(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """What a look finds; where Label Studio refuses or answers nonsense, that is what is found."""
    try:
        yield from look()
    except LabelStudioError as error:
        own = error.status is not None and error.status >= 500
        fix = "See Label Studio's own log." if own else "Use the token of a user who may see it."
        yield Check(name, "failure", str(error), fix)


def check_project(
    number: int, settings: Settings, label_studio: LabelStudio, media: Media
) -> Iterator[Check]:
    """All that belongs to a project, as far as Label Studio tells it."""
    name = f"project {number}"
    config = ""

    def look() -> Iterator[Check]:
        nonlocal config
        try:
            config = str(label_studio.project(number).get("label_config") or "")
        except LabelStudioError as error:
            if error.status != 404:
                raise
            yield _no_project(name, label_studio)

    if refused := list(told(name, look)):
        yield from refused
        return
    labeling = parse_labeling(config)
    yield _config(name, labeling)
    yield from told(f"{name}: backend", lambda: _backend(name, number, settings, label_studio))
    if not labeling.problems:
        yield from told(
            f"{name}: tasks", lambda: _media(name, number, labeling, label_studio, media)
        )


def _no_project(name: str, label_studio: LabelStudio) -> Check:
    """That there is no such project, and which there are."""
    parameters = {"page_size": NEWEST_PROJECTS, "ordering": "-id", "include": "id,title"}
    found = label_studio.rows("/api/projects/", parameters, within="results")
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
    backends = label_studio.rows("/api/ml/", {"project": number})
    if not backends:
        fix = (
            "Settings > Model > Connect Model. If that is refused with 'reserved network address', "
            "Label Studio needs ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false."
        )
        yield Check(f"{name}: backend", "failure", "no model is connected", fix)
        return
    first = label_studio.one(f"/api/ml/{backends[0]['id']}")
    url = without_password(str(first.get("url") or ""))
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
    hook = f"{name}: webhook"
    yield from told(hook, lambda: [_webhook(hook, number, url, settings, label_studio)])


def _webhook(
    name: str, number: int, url: str, settings: Settings, label_studio: LabelStudio
) -> Check:
    hooks = own_webhooks(label_studio, number, place_of(url))
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
    return Check(name, "ok", without_password(str(hooks[0]["url"])))


def _media(
    name: str, number: int, labeling: Labeling, label_studio: LabelStudio, media: Media
) -> Iterator[Check]:
    """One task's data, field by field: reference, fetch, decode."""
    task = next((task for page in label_studio.tasks(number) for task in page.tasks), None)
    if task is None:
        yield Check(f"{name}: tasks", "warning", "there are none yet", "Import some.")
        return
    if not isinstance(task.get("data"), dict):
        raise LabelStudioError(f"Label Studio at {label_studio.url} listed a task without data.")
    for target in labeling.targets:
        step = f"{name}: task {task.get('id')}, {target.source.name}"
        yield _try(f"{step}: media", _look_at_media, label_studio.key(number), task, target, media)
        if target.narration_field is not None:
            yield _try(f"{step}: narration", _look_at_narration, target, task)


def _look_at_media(project: ProjectKey, task: Task, target: Target, media: Media) -> str:
    value = fill(target.source.value, task["data"])
    reference = value[0] if isinstance(value, list) and value else value
    with media.open(reference, project=project, task=task["id"]) as file:
        info = probe(file)
    name = getattr(file, "name", None) or str(reference)[:40]  # without what links are signed with
    size = f"{name}: {info.width}x{info.height}"
    return size if info.fps is None else f"{size}, {info.duration:.2f} s, {info.fps:.3f} fps"


def _look_at_narration(target: Target, task: Task) -> str:
    return str(target.narration(task["data"]))[:80]


def _try(name: str, look: Callable[..., str], *given: Any) -> Check:
    try:
        return Check(name, "ok", look(*given))
    except InputError as error:  # these messages say the fix themselves
        return Check(name, "failure", str(error), "")
