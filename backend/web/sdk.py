r"""The same model as a ``label_studio_ml.LabelStudioMLBase``, for people who host with the SDK.

    LABEL_STUDIO_ML_BACKEND_V2=1 waitress-serve --listen 127.0.0.1:9090 --threads 8 \
        --call backend.web.sdk:make_app

`videogem serve` is the better host: the SDK's server has no queue for large batches, no lanes, no
quality page, and webhooks get the password by hand. Who may speak is the same: other machines need
the password, or ``VIDEOGEM_OPEN``. What label-studio-ml 1.0.9 gets wrong for Label Studio 1.23 is
mended here: the weights live once per process (it builds a model object before every batch), the
model version is ours (it answers ``INITIAL`` for ever), /predict works before /setup, webhooks are
stored at once instead of in a forked process each, and GET /versions answers.
"""

import functools
from dataclasses import dataclass
from typing import Any

import flask
from label_studio_ml import api
from label_studio_ml.model import LabelStudioMLBase, LabelStudioMLManager, ModelWrapper

from backend.database.keys import ProjectKey
from backend.label_studio.connections import Connections
from backend.labeling.config import parse_labeling
from backend.media.media import Media
from backend.prediction.interactive import context_regions, suggest
from backend.prediction.model import BackgroundModel
from backend.prediction.predict import predict_many
from backend.prediction.task_fields import Project
from backend.qa.store import Store
from backend.settings import Settings, load_settings
from backend.web.app import configured_model, configured_store, connect
from backend.web.door import close_door
from videogem.errors import InputError


@dataclass(frozen=True)
class Shared:
    """What every model object of this process uses."""

    settings: Settings
    model: BackgroundModel
    connections: Connections
    media: Media
    store: Store


@functools.lru_cache(maxsize=1)
def shared() -> Shared:
    """Built on first use from the environment, as `videogem serve` does."""
    settings = load_settings()
    model = configured_model(settings)
    model.start()
    store = configured_store(settings)
    connections = connect(settings, store)
    media = Media(settings, connections)
    return Shared(settings, model, connections, media, store)


class VideoGEMModel(LabelStudioMLBase):
    """Predicts points and boxes for the tags of the labeling config it was made with."""

    project: ProjectKey | None = None  # who holds the media; set by `VideoGEMManager`

    @property
    def version(self) -> str:
        return str(shared().model.version)

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """One prediction per task; a task that failed has an ``error`` and no ``result``.

        Predictions name no version: Label Studio fills in the one that /setup reported, so that
        both are equal and nothing is predicted twice, whichever server hosts this class.
        """
        labeling = parse_labeling(self.label_config or "")
        labeling.require()
        parts = shared()
        batcher = parts.model.batcher()
        version = self.version + labeling.version_suffix
        project = Project(
            self.project.id if self.project else None,
            self.label_config or "",
            labeling,
            version,
            parts.settings.score_threshold,
            self.project,
        )
        if (regions := context_regions({"context": context})) and tasks:
            found = suggest(tasks[0], regions, project, batcher=batcher, media=parts.media)
            return [_without_version(found)]
        outcomes = predict_many(tasks, project, batcher=batcher, media=parts.media)
        return [
            {"error": outcome.error}
            if outcome.prediction is None
            else _without_version(outcome.prediction)
            for outcome in outcomes
        ]


class VideoGEMManager(LabelStudioMLManager):
    """The SDK's manager with our version string and our event store."""

    @classmethod
    def fetch(
        cls, project: Any = None, label_config: Any = None, *args: Any, **kwargs: Any
    ) -> ModelWrapper:
        told = kwargs.get("hostname"), kwargs.get("access_token")
        key = shared().connections.announce(project, *told)
        wrapper = super().fetch(project, label_config, *args, **kwargs)
        wrapper.model.project = key
        wrapper.model_version = wrapper.model.version
        return wrapper

    @classmethod
    def predict(
        cls,
        tasks: list[dict[str, Any]],
        project: Any = None,
        label_config: Any = None,
        *_: Any,
        context: dict[str, Any] | None = None,
        **__: Any,
    ) -> tuple[list[dict[str, Any]], ModelWrapper]:
        """Predict with the config of the request, as one process may serve several projects.

        What the user can mend becomes each task's ``error``: the SDK's own handler would send a
        traceback.
        """
        wrapper = cls.fetch(project, label_config)
        try:
            return wrapper.model.predict(tasks, context=context), wrapper
        except InputError as error:
            return [{"error": str(error)} for _ in tasks], wrapper

    @classmethod
    def webhook(cls, event: str, data: dict[str, Any]) -> dict[str, str]:
        key = shared().connections.key(data.get("project"))
        server = key.server if key else ""
        shared().store.append_event({"action": event, **data}, server)
        return {"status": "ok"}


def make_app() -> flask.Flask:
    """The SDK's own Flask app, serving VideoGEM."""
    parts = shared()
    api._manager = VideoGEMManager()
    app: flask.Flask = api.init_app(VideoGEMModel, model_dir=str(parts.settings.data_dir))
    close_door(app, parts.settings)
    if "versions_list" not in app.view_functions:
        app.add_url_rule("/versions", "versions_list", _versions, methods=["GET"])
    return app


def _versions() -> flask.Response:
    return flask.jsonify(versions=[str(shared().model.version)])


def _without_version(prediction: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in prediction.items() if key != "model_version"}
