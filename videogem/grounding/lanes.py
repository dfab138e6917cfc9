"""How many clips a grounder takes at once, and how many batches side by side, on its device."""

import torch

from videogem.grounder import Grounder
from videogem.method.backbone import Backbone

GPU_LANES = 2  # while one batch is computed, the next is decoded, and the last one's results made
MAX_LANES = 8  # batches side by side on a CPU, so that their activations stay small


class BackboneGrounder(Grounder):
    """A grounder whose clips all go through one backbone, in batches of what suits its device."""

    def __init__(self, backbone: Backbone, *, batch_size: int | None = None) -> None:
        self.backbone = backbone
        self._on_gpu = backbone.device.type == "cuda"
        # Set by OMP_NUM_THREADS, else the machine's cores.
        self._threads = torch.get_num_threads()
        self._num_lanes = GPU_LANES if self._on_gpu else min(self._threads, MAX_LANES)
        self._batch_size = batch_size or _usual_batch_size(backbone.device.type, self._num_lanes)

    @property
    def num_frames(self) -> int:
        return self.backbone.num_frames

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def num_lanes(self) -> int:
        return self._num_lanes

    @property
    def favours_full_batches(self) -> bool:
        return self._on_gpu

    def share_cores(self, num_lanes: int) -> None:
        if not self._on_gpu:
            torch.set_num_threads(max(1, self._threads // num_lanes))


def _usual_batch_size(device: str, num_lanes: int) -> int:
    """Clips that saturate a GPU, all cores of a CPU together, or one core in its lane."""
    if device == "cuda":
        return 128
    return 8 if num_lanes == 1 else 4
