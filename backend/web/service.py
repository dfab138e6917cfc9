"""What all routes share: built once by ``create_app``, kept in the app's extensions."""

import functools
from dataclasses import dataclass
from typing import cast

import flask

from backend.database.replicas import Replicas
from backend.label_studio.connections import Connections
from backend.label_studio.webhooks import WebhookKeeper
from backend.labeling.targets import Labeling
from backend.media.media import Media
from backend.prediction.batch import Batches
from backend.prediction.jobs import Jobs
from backend.prediction.languages import Languages
from backend.prediction.model import Models
from backend.prediction.runner import Runner
from backend.qa.store import Store
from backend.settings import Settings
from backend.web.names import Names
from backend.web.states import States

KEY = "videogem"


@dataclass(frozen=True)
class Service:
    """Settings and long-lived parts of one running backend."""

    settings: Settings
    models: Models
    store: Store
    connections: Connections
    media: Media
    jobs: Jobs
    runner: Runner
    batches: Batches
    webhooks: WebhookKeeper
    replicas: Replicas

    @functools.cached_property
    def languages(self) -> Languages:
        """Whose narration is in another language than English."""
        return Languages()

    @functools.cached_property
    def names(self) -> Names:
        """What annotators and projects are called in Label Studio."""
        return Names(self.connections, self.store)

    @functools.cached_property
    def states(self) -> States:
        """How the parts do, as a thread of its own last found them."""
        return States(
            self.settings,
            self.models,
            self.store,
            self.connections,
            self.jobs,
            self.webhooks,
            self.replicas,
        )

    def close(self) -> None:
        """End the work in the background, give back its jobs, and let go of the database."""
        self.states.close()
        self.runner.stop()
        self.jobs.close()
        self.replicas.close()
        self.store.close()

    def version_of(self, labeling: Labeling) -> str:
        """The model version of a project with this labeling config.

        Raises:
            InputError: it asks for a model that is not offered.
        """
        return self.models.version_of(labeling)


def current_service() -> Service:
    """The service of the app that handles the current request."""
    return cast(Service, flask.current_app.extensions[KEY])
