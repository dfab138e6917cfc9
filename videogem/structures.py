"""The values that travel through the method. Axes and units are defined here, once.

Points are ``(x, y)`` and boxes ``(x1, y1, x2, y2)``, floats in [0, 1] of the source frame, origin
top left. Images are RGB uint8. Times are seconds from the start of the source, frame indices are
0-based. Nothing here imports torch, so that the service can use these types cheaply.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

Point = tuple[float, float]
Box = tuple[float, float, float, float]
PromptName = Literal["verb", "object", "action"]
LabelStyle = Literal["auto", "label", "camel", "narration"]  # how a text is spelled
WordCut = Literal["everyday", "paper"]  # how verbs and objects are cut out of a narration
ActionForm = Literal["phrase", "sentence"]  # what of a narration the action prompt says

PROMPT_NAMES: tuple[PromptName, ...] = ("verb", "object", "action")


@dataclass(frozen=True, eq=False)
class Clip:
    """The frames a narration is grounded in; one of them, the target, gets the point and the box.

    An image model looks at the target frame alone; a video model at all ``T`` frames.
    """

    frames: UInt8[np.ndarray, "T H W 3"]
    times: Float[np.ndarray, " T"]
    frame_indices: Int[np.ndarray, " T"]
    target: int
    fps: float | None = None

    @classmethod
    def from_image(cls, image: UInt8[np.ndarray, "H W 3"]) -> "Clip":
        """Wrap a still image as a clip of one frame at time 0."""
        return cls(image[None], np.zeros(1), np.zeros(1, dtype=np.int64), target=0)

    @property
    def target_frame(self) -> UInt8[np.ndarray, "H W 3"]:
        return self.frames[self.target]

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.frames.shape[2], self.frames.shape[1]

    @property
    def num_frames(self) -> int:
        return len(self.times)

    @property
    def num_bytes(self) -> int:
        """What the frames hold in memory."""
        return self.frames.nbytes

    @property
    def time(self) -> float:
        return float(self.times[self.target])

    @property
    def frame_index(self) -> int:
        return int(self.frame_indices[self.target])


@dataclass(frozen=True)
class Prompts:
    """The three sentences whose heatmaps are merged (Section 3.4), and the words behind them.

    ``verb_word`` or ``object_word`` is None where the narration has none and the fallback is used.
    """

    verb: str
    object: str
    action: str
    verb_word: str | None = None
    object_word: str | None = None

    @property
    def texts(self) -> tuple[str, str, str]:
        """Sentences in the order of ``PROMPT_NAMES``."""
        return self.verb, self.object, self.action


@dataclass(frozen=True)
class Signals:
    """What speaks for or against one grounding, from numbers that the method has at hand.

    Similarities are cosines between the class token (the whole frame or clip) and a prompt. What
    each of them is good for, and how they make the score, is in docs/confidence.md.
    """

    agreement: float  # 1 less the weighted mean distance of the three peaks from the merged point
    height: float  # of the merged heatmap at the point, in [0, 1]
    margin: float  # by which the merged heatmap's highest peak leads its second, in [0, 1]
    spread: float  # share of the frame where the merged heatmap is above half of its peak
    verb: float  # similarity
    object: float  # similarity
    action: float  # similarity
    neutral: float  # mean similarity of neutral prompts, see method/signals.py
    neutral_spread: float  # their standard deviation: small where the model makes out little
    others: float | None = None  # action less the highest of the clip's other narrations
    mirrored: float | None = None  # 1 less the distance to the point in the mirrored frame
    neighbours: float | None = None  # 1 less the largest distance to the points in frames beside it

    def as_dict(self, digits: int = 4) -> dict[str, float]:
        """Those that were measured, rounded."""
        return {name: round(v, digits) for name, v in vars(self).items() if v is not None}


@dataclass(frozen=True, eq=False)
class Grounding:
    """Where one narration happens in the target frame of a clip.

    ``heatmaps`` are large and seldom looked at: see `lazily`.
    """

    narration: str
    prompts: Prompts
    points: dict[PromptName, Point]  # peak of each prompt's heatmap
    point: Point  # the merged point
    box: Box
    score: float  # in [0, 1]: a chance if ``scoring`` is there, else it only ranks
    heatmaps: Float[np.ndarray, "3 H W"]  # [0, 1], order of PROMPT_NAMES, tower's input size
    frame_index: int
    time: float
    size_wh: tuple[int, int]
    method: str
    model_version: str
    window: tuple[float, ...] = ()  # seconds of the frames the model looked at, target included
    doubtful: bool = False  # verb and object name no one place, see boxes.py
    signals: Signals | None = None  # None: from a system that has none
    scoring: str | None = None  # which fit made the score; None: it is uncalibrated
    presence: float | None = None  # chance that the frame shows the action at all; with a fit

    @classmethod
    def lazily(cls, heatmaps: Callable[[], np.ndarray], **fields: Any) -> "Grounding":
        """A grounding whose heatmaps are computed when somebody looks at them, and then kept."""
        grounding = cls(heatmaps=np.empty((3, 0, 0), np.float32), **fields)
        vars(grounding)[_AtFirstUse.place] = heatmaps
        return grounding

    def with_signals(self, signals: Signals | None) -> "Grounding":
        """The same with other signals; its heatmaps stay as they are, computed or not."""
        fields = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "heatmaps"
        }
        return Grounding.lazily(lambda: self.heatmaps, **(fields | {"signals": signals}))


class _AtFirstUse:
    """The field ``heatmaps`` of a `Grounding`: an array, or the function that will make it."""

    place = "_heatmaps"

    def __get__(self, grounding: Grounding, _: type) -> np.ndarray:
        found = vars(grounding)[self.place]
        if callable(found):
            # Two threads may both compute it: the same numbers.
            vars(grounding)[self.place] = found = found()
        array: np.ndarray = found
        return array

    def __set__(self, grounding: Grounding, heatmaps: np.ndarray) -> None:
        vars(grounding)[self.place] = heatmaps


# After the class is made: as a default in its body this would make the field optional.
setattr(Grounding, "heatmaps", _AtFirstUse())  # noqa: B010
