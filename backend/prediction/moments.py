"""What every task comes down to: moments, each a clip with its sentences and a place to write to.

A place is part of what it is written as: a region of an image, of one frame of a list, or a key of
a track. Only `writing.py` looks at it.
"""

from dataclasses import dataclass

from backend.labeling.regions import Shown
from backend.labeling.targets import Target
from backend.prediction.questions import Question
from videogem.narration.cues import Cue


@dataclass(frozen=True, eq=False)
class Still:
    """Regions of an image, or of one frame of a list."""

    target: Target
    place: int  # of the target in the labeling config
    item_index: int | None = None


@dataclass(frozen=True, eq=False)
class Film:
    """A video as Label Studio shows it, and what is said in it."""

    target: Target
    place: int
    cues: tuple[Cue, ...]
    num_keys: tuple[int, ...]  # key frames of each cue
    shown: Shown
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Key:
    """One key frame of the tracks of a video; sentence ``i`` belongs to ``cues[i]``."""

    film: Film
    cues: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Moment:
    """Something to ground, and where the regions go."""

    slot: Still | Key
    question: Question
