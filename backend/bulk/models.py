"""Which model a bulk run asks for; small enough to be sent to whoever loads it."""

from dataclasses import dataclass, field
from typing import Any

from backend.prediction.batcher import Batcher
from backend.prediction.room import Room
from videogem.backbones.versions import planned_version
from videogem.method.settings import Dtype, JpegDecoder

BATCHES_AHEAD = 8  # of each lane, read before their turn; the lowest priority gets half of it
ROOM_BYTES = 512 * 2**20  # that these hold at most on a CPU, and
GPU_ROOM_BYTES = 2 * 2**30  # beside a GPU: batches are large, and it waits where none is ready


@dataclass(frozen=True)
class ModelChoice:
    """A model and its settings, as `load_grounder` takes them."""

    model: str = "demo"
    method: str = "videogem"
    device: str = "auto"
    image_size: int | None = None
    dtype: Dtype = "fp32"
    compiled: bool = False
    jpeg: JpegDecoder = "cpu"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version of its rows, known before it is loaded.

        Raises:
            InputError: no such model or method.
        """
        return planned_version(
            self.model,
            self.method,
            image_size=self.image_size,
            dtype=self.dtype,
            compiled=self.compiled,
            jpeg=self.jpeg,
            **self.settings,
        )

    def load(self) -> Batcher:
        """The model, ready to be asked.

        Raises:
            InputError: its weights are missing or do not fit.
        """
        from videogem.grounding import load_grounder

        grounder = load_grounder(
            self.model,
            self.method,
            device=self.device,
            image_size=self.image_size,
            dtype=self.dtype,
            compiled=self.compiled,
            jpeg=self.jpeg,
            **self.settings,
        )
        size = grounder.batch_size * grounder.num_lanes
        room = GPU_ROOM_BYTES if grounder.favours_full_batches else ROOM_BYTES
        return Batcher(grounder, Room(room, BATCHES_AHEAD * size))
