"""The grounder of this process: loads in the background, so that no request waits for weights."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from backend.labeling.targets import Labeling
from backend.prediction.batcher import Batcher
from videogem.errors import InputError
from videogem.grounder import Grounder

logger = logging.getLogger(__name__)

LoadState = Literal["loading", "ready", "failed"]


class ModelNotReadyError(InputError):
    """The weights are not there; the message says why."""


class ModelLoadingError(ModelNotReadyError):
    """The weights are still loading."""


@dataclass(frozen=True)
class ModelStatus:
    state: LoadState
    version: str
    error: str | None = None


class BackgroundModel:
    """A grounder that is being loaded; its version is known from the start.

    Label Studio asks for the version in /setup, which has 3 seconds, and one that changed after
    loading would make every stored prediction look outdated.
    """

    def __init__(self, version: str, load: Callable[[], Grounder]) -> None:
        self.version = version
        self._load = load
        self._grounder: Grounder | None = None
        self._batcher: Batcher | None = None
        self._error: str | None = None
        self._done = threading.Event()
        self._started = False
        self._start_lock = threading.Lock()

    @classmethod
    def of(cls, grounder: Grounder) -> "BackgroundModel":
        """Wrap a grounder that is there already."""
        model = cls(grounder.version, lambda: grounder)
        model._grounder = grounder
        model._started = True
        model._done.set()
        return model

    def start(self) -> None:
        """Begin to load; later calls do nothing."""
        with self._start_lock:
            if self._started:
                return
            self._started = True
        threading.Thread(target=self._run, name="load-model", daemon=True).start()

    def _run(self) -> None:
        try:
            grounder = self._load()
            if grounder.version != self.version:
                raise InputError(
                    f"The weights changed while the backend started: {self.version} was announced, "
                    f"{grounder.version} was loaded. Start it again."
                )
            self._grounder = grounder
            logger.info("model %s is ready", self.version)
        except InputError as error:
            self._error = str(error)
            logger.error("the model could not be loaded: %s", error)
        except Exception as error:
            # This is the top of a thread: nobody above could tell, so the reason is kept and shown.
            self._error = f"{type(error).__name__}: {error}"
            logger.exception("the model could not be loaded")
        finally:
            self._done.set()

    @property
    def status(self) -> ModelStatus:
        if not self._done.is_set():
            return ModelStatus("loading", self.version)
        if self._grounder is None:
            return ModelStatus("failed", self.version, self._error)
        return ModelStatus("ready", self.version)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is loaded or cannot be."""
        self._done.wait(timeout)

    def get(self, timeout: float | None = None) -> Grounder:
        """The loaded grounder; waits up to ``timeout`` seconds for it.

        Raises:
            ModelNotReadyError: it is still loading after that time, or it cannot be loaded.
        """
        self.start()
        self._done.wait(timeout)
        if self._grounder is not None:
            return self._grounder
        raise self._not_ready()

    def batcher(self, timeout: float | None = None) -> Batcher:
        """What everybody asks instead of the grounder itself; waits as ``get`` does.

        Raises:
            ModelNotReadyError: as in ``get``.
        """
        grounder = self.get(timeout)
        with self._start_lock:
            if self._batcher is None:
                self._batcher = Batcher(grounder)
            return self._batcher

    def _not_ready(self) -> ModelNotReadyError:
        if self._error is not None:
            return ModelNotReadyError(f"The model could not be loaded: {self._error}")
        return ModelLoadingError("The model is still loading; try again in a minute.")


class Models:
    """The models of this process: the configured one, and those that projects ask for."""

    def __init__(
        self,
        default: BackgroundModel,
        make: Callable[[str | None, str | None], BackgroundModel] | None = None,
    ) -> None:
        self.default = default
        # Whether another backend on the same job list has a model of this version.
        self.ready_elsewhere: Callable[[str], bool] = lambda version: False
        self._make = make
        self._made: dict[tuple[str | None, str | None], BackgroundModel] = {}
        self._lock = threading.Lock()

    def for_labeling(self, labeling: Labeling) -> BackgroundModel:
        """The model a labeling config asks for; begins to load it where it is new.

        Raises:
            InputError: this backend does not offer it.
        """
        weights = labeling.setting("model_weights")
        method = labeling.setting("model_method")
        if weights is None and method is None:
            return self.default
        if self._make is None:
            raise InputError("model_weights and model_method cannot be chosen on this backend.")
        with self._lock:
            if (weights, method) not in self._made:
                self._made[weights, method] = self._make(weights, method)
            model = self._made[weights, method]
        model.start()
        return model

    def version_of(self, labeling: Labeling) -> str:
        """The model version of a project with this labeling config.

        Raises:
            InputError: it asks for a model that is not offered.
        """
        return self.for_labeling(labeling).version + labeling.version_suffix

    def versions(self) -> list[str]:
        """Versions this process can predict with, the configured one first."""
        with self._lock:
            made = [model.version for model in self._made.values()]
        return list(dict.fromkeys([self.default.version, *made]))
