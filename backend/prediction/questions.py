"""What is asked of a model about one clip, how soon, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from backend.labeling.labels import Similarity
from videogem.structures import Clip, Grounding

GROUNDING_BYTES = 16 * 2**10  # of one sentence, about: its maps as patches, words and figures


class Priority(IntEnum):
    """Whose question goes first."""

    CLICK = 0  # somebody holds the mouse
    REQUEST = 1
    JOBS = 2


Chooser = Callable[[Similarity | None], Sequence[str]]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about one clip.

    ``sentences`` are grounded (or whatever else the grounder takes, as an evaluation's items and
    methods); a function chooses them by their similarity to the frame. ``texts``
    are compared with the frame, where the model can; a function names those that the groundings
    leave open.
    """

    clip: Clip
    sentences: Sequence[Any] | Chooser = ()
    texts: Sequence[str] | Callable[[Sequence[Grounding]], Sequence[str]] = ()

    @property
    def num_sentences(self) -> int:
        return 1 if callable(self.sentences) else len(self.sentences)

    @property
    def num_bytes(self) -> int:
        """What question and answer hold in memory, about."""
        return self.clip.num_bytes + self.num_sentences * GROUNDING_BYTES


@dataclass(frozen=True, eq=False)
class Answer:
    """Groundings in the order of the sentences; ``scores`` by text where the model compares."""

    groundings: Sequence[Grounding]
    scores: Mapping[str, float] | None = None

    @property
    def similarity(self) -> Similarity | None:
        scores = self.scores
        return None if scores is None else lambda texts: [scores[text] for text in texts]
