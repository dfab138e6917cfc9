"""The backend as a Flask app."""

import importlib
import logging
import threading
from typing import Any

from flask import Flask
from PIL import Image

from backend import service, validation
from backend.auth import require_basic_auth
from backend.label_studio import Connections
from backend.media import Media
from backend.model import BackgroundModel
from backend.routes import routes
from backend.service import EventStore, Service
from backend.settings import MEGABYTE, Settings
from videogem.grounder import Grounder
from videogem.models import planned_version

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    grounder: Grounder | BackgroundModel | None = None,
    store: EventStore | None = None,
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
    connections = Connections(settings)
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_request_mb * MEGABYTE)
    app.extensions[service.KEY] = Service(
        settings, model, store, connections, Media(settings, connections)
    )
    require_basic_auth(app, settings)
    app.register_blueprint(routes)
    _register_dashboard(app, store, settings)
    model.start()
    Image.init()  # Pillow's readers are found now, not during the first request
    threading.Thread(target=validation.warm_up, name="import-sdk", daemon=True).start()
    return app


def configured_model(settings: Settings) -> BackgroundModel:
    """The model of the settings: its version now, its weights later."""
    version = planned_version(settings.model, settings.method)

    def load() -> Grounder:
        from videogem.grounding import load_grounder  # imports torch: seconds

        return load_grounder(settings.model, settings.method, device=settings.device)

    return BackgroundModel(version, load)


def configured_store(settings: Settings) -> EventStore:
    """The quality store of the settings."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    module: Any = importlib.import_module("backend.qa.store")
    store: EventStore = module.Store(settings.database)
    return store


def _register_dashboard(app: Flask, store: EventStore, settings: Settings) -> None:
    try:
        dashboard: Any = importlib.import_module("backend.qa.dashboard")
    except ModuleNotFoundError as error:
        if error.name != "backend.qa.dashboard":
            raise
        logger.warning("this build has no quality page")
        return
    app.register_blueprint(dashboard.create_blueprint(store, settings))
