"""The backend as a Flask app."""

import functools
import importlib
import logging
import threading
from collections.abc import Callable

import numpy as np
from flask import Flask
from PIL import Image
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from backend.database.replicas import Replicas
from backend.database.servers import ProjectServers
from backend.database.webhook_states import WebhookStates
from backend.folders import make_private
from backend.label_studio.connections import Connections
from backend.label_studio.webhooks import WebhookKeeper
from backend.labeling import validation
from backend.media.media import Media
from backend.prediction.batch import Batches, places
from backend.prediction.jobs import Jobs
from backend.prediction.model import BackgroundModel, Models
from backend.prediction.old_jobs import take_over
from backend.prediction.profiles import profile_of, settings_of
from backend.prediction.runner import Runner
from backend.qa.store import Store
from backend.settings import MEGABYTE, Settings
from backend.web import quality, service
from backend.web.auth import basic_auth_header, require_basic_auth
from backend.web.door import guard_door
from backend.web.pages import pages
from backend.web.routes import heed_late, routes
from backend.web.service import Service
from videogem.backbones.numerics import Numerics, resolve
from videogem.backbones.versions import planned_version, weights_identity
from videogem.confidence.shipped import shipped_scoring
from videogem.errors import InputError
from videogem.grounder import Grounder
from videogem.method.settings import method_settings
from videogem.structures import Clip

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    grounder: Grounder | BackgroundModel | None = None,
    store: Store | None = None,
) -> Flask:
    """Build the backend; without a grounder the configured model loads in the background.

    Raises:
        InputError: a setting names something that does not exist.
    """
    if grounder is None:
        model = configured_model(settings)
    elif isinstance(grounder, Grounder):
        model = BackgroundModel.of(grounder)
    else:
        model = grounder
    if store is None:
        store = configured_store(settings)
    models = Models(model, project_models(settings, model) if grounder is None else None)
    replicas = Replicas(store.engine)
    models.ready_elsewhere = replicas.ready_elsewhere
    connections = connect(settings, store)
    media = Media(settings, connections)
    jobs = Jobs(settings.database, settings.data_dir)
    take_over(jobs, settings.data_dir, connections.key)
    runner = Runner(
        jobs,
        models=models,
        media=media,
        connections=connections,
        record=store.record_all,
        score_threshold=settings.score_threshold,
    )
    batches = Batches(
        jobs,
        models,
        media,
        connections,
        store.record_all,
        settings.predict_budget,
        places(settings.threads),
    )
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_request_mb * MEGABYTE)
    parts = app.extensions[service.KEY] = Service(
        settings,
        models,
        store,
        connections,
        media,
        jobs,
        runner,
        batches,
        WebhookKeeper(basic_auth_header(settings), WebhookStates(store.engine)),
        replicas,
    )
    store.intake.when_late = functools.partial(heed_late, parts)
    guard_door(app, settings)
    require_basic_auth(app, settings)
    app.register_blueprint(routes)
    app.register_blueprint(pages)
    app.register_blueprint(quality.create_blueprint(store, settings))
    model.start()
    runner.start()
    parts.states.start()
    parts.names.look()
    threading.Thread(
        target=_read_identities, args=(settings,), name="read-weights", daemon=True
    ).start()
    Image.init()  # Pillow's readers are found now, not during the first request
    threading.Thread(
        target=_read_figures, args=(model, store), name="read-figures", daemon=True
    ).start()
    threading.Thread(target=_import_rest, args=(model,), name="import-rest", daemon=True).start()
    return app


def _read_figures(model: BackgroundModel, store: Store) -> None:
    """Have the figures in memory before somebody opens the page, once the model is there."""
    model.wait()
    if not store.closed.is_set():
        store.ledger.being_read(0)


def _import_rest(model: BackgroundModel) -> None:
    """Import the decoder of videos and the SDK before somebody waits for them.

    Not while the model needs the processor.
    """
    model.wait()
    importlib.import_module("videogem.media.decoding")
    validation.warm_up()


def configured_model(settings: Settings) -> BackgroundModel:
    """The model of the settings: its version now, its weights later."""
    numerics = numerics_of(settings)
    own = settings_of(profile_of(settings))  # read once: a version holds from start to end
    version = planned_version(settings.model, settings.method, **numerics, **own)

    def load() -> Grounder:
        from videogem.grounding import load_grounder  # imports torch: seconds

        grounder = load_grounder(
            settings.model, settings.method, device=settings.device, **numerics, **own
        )
        warm_up(grounder)
        return grounder

    return BackgroundModel(version, load)


def numerics_of(settings: Settings) -> Numerics:
    """Precision, compiled or not, and who decodes JPEG, on the device of the settings."""
    return resolve(settings.dtype, settings.compile, settings.device, settings.jpeg)


def _read_identities(settings: Settings) -> None:
    """Read the weights that projects may choose, so that /setup names their version in time."""
    for name in settings.project_models:
        try:
            weights_identity(name)
        except InputError as error:
            logger.warning("VIDEOGEM_PROJECT_MODELS: %s", error)


def warm_up(grounder: Grounder) -> None:
    """Ground something once, so that nobody waits for what the first sentence of a model costs.

    That is spaCy, the kernels, and the embeddings of the score's neutral prompts.
    """
    blank = np.zeros((64, 64, 3), np.uint8)
    grounder.ground(Clip.from_image(blank), ["cut the tomato"])


def project_models(
    settings: Settings, default: BackgroundModel
) -> Callable[[str | None, str | None], BackgroundModel]:
    """What makes the models that labeling configs ask for by model_weights and model_method."""
    identity = weights_identity(settings.model)
    numerics = numerics_of(settings)

    def make(weights: str | None, method: str | None) -> BackgroundModel:
        name = weights or settings.model
        if name not in (settings.model, *settings.project_models):
            offered = ", ".join((settings.model, *settings.project_models))
            raise InputError(
                f"model_weights={name!r} is not offered here; offered are {offered} "
                "(VIDEOGEM_PROJECT_MODELS)."
            )
        method = method or settings.method
        if (name, method) == (settings.model, settings.method):
            return default  # with its profile
        # The configured weights are in memory; their file may have been replaced since.
        own = identity if name == settings.model else None
        version = planned_version(name, method, identity=own, **numerics)
        if version == default.version:
            return default

        def load() -> Grounder:
            from videogem.grounding import VideoGEM, load_grounder

            if name != settings.model:
                grounder = load_grounder(name, method, device=settings.device, **numerics)
                warm_up(grounder)
                return grounder
            shared = default.get()  # the same weights serve every method
            if not isinstance(shared, VideoGEM):
                raise InputError("model_method needs a model of this project.")
            chosen = method_settings(method)
            fit = shipped_scoring(name, chosen)
            return VideoGEM(shared.backbone, chosen, version=version, scoring=fit)

        return BackgroundModel(version, load)

    return make


def configured_store(settings: Settings) -> Store:
    """The quality store of the settings.

    Raises:
        InputError: the database cannot be used. Whoever runs the service starts it again later:
            what is in the spool waits, and Label Studio is told by the refused connection.
    """
    try:
        make_private(settings.data_dir)
        spool = settings.data_dir / "spool"
        return Store(settings.database, spool, keep_days=settings.qa_keep_days, behind=True)
    except (OperationalError, OSError) as error:
        shown = make_url(settings.database).render_as_string(hide_password=True)
        reason = (str(getattr(error, "orig", None) or error).splitlines() or [""])[0]
        raise InputError(
            f"The database {shown} cannot be used: {reason}. "
            "Start it, or check VIDEOGEM_DATABASE_URL and VIDEOGEM_DATA_DIR; then start again."
        ) from None


def connect(settings: Settings, store: Store) -> Connections:
    """Whose projects are whose; what was kept before anybody told belongs to the one server."""
    connections = Connections(settings, known_servers(store))
    if connections.only_server:
        store.adopt(connections.only_server)
    return connections


def known_servers(store: Store) -> ProjectServers:
    """What /setup told of projects' servers, kept beside the quality store's tables."""
    return ProjectServers(store.engine)
