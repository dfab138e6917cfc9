"""The one seam between pointing systems and everything that uses them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from videogem.structures import Clip, Grounding


class Grounder(ABC):
    """Anything that can say where a narrated action happens in a clip.

    VideoGEM is one; a fake in the tests, a detector or a remote model could be others.
    ``ground`` must be safe to call from several threads.
    """

    @property
    @abstractmethod
    def version(self) -> str:
        """Name of code, weights and settings; equal versions give equal groundings."""

    @property
    def num_frames(self) -> int:
        """Frames it looks at in a clip: 1 for systems that point in still images."""
        return 1

    @property
    def batch_size(self) -> int:
        """How many clips are worth grounding together; 8 saturate a CPU."""
        return 8

    @property
    def num_lanes(self) -> int:
        """How many batches are worth grounding side by side, each in a thread of its own.

        More than one fits systems that have many small steps on a CPU: a core each beats all cores
        at one step after the other.
        """
        return 1

    @property
    def takes_encoded(self) -> bool:
        """Whether `EncodedClip` are better than decoded ones: a GPU decodes them."""
        return False

    @property
    def favours_full_batches(self) -> bool:
        """Whether a few clips take about as long as a full batch, as on a GPU."""
        return False

    def share_cores(self, num_lanes: int) -> None:  # noqa: B027 (there may be nothing to share)
        """Called in a lane's thread before a batch: so many batches are computed side by side."""

    def prepare(self, clips: Sequence[Clip]) -> None:  # noqa: B027 (there may be nothing to do)
        """Compute together what later questions about these clips share."""

    @abstractmethod
    def ground(self, clip: Clip, narrations: Sequence[str]) -> list[Grounding]:
        """Ground every narration in the clip's target frame, in the order given.

        Raises:
            ValueError: a narration is empty.
        """

    def ground_batch(
        self, clips: Sequence[Clip], narrations: Sequence[Sequence[str]]
    ) -> list[list[Grounding]]:
        """Ground several clips, each with its own narrations; systems that batch override this."""
        return [self.ground(clip, texts) for clip, texts in zip(clips, narrations, strict=True)]
