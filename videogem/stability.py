"""Does the point stay where it is, in the mirrored frame and in the frames beside it?

Two to three more groundings a frame, so it is asked for and not done by itself. A sentence that
speaks of left and right means another place in a mirrored frame.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from videogem.grounder import Grounder
from videogem.structures import Clip, Grounding, Point


def with_stability(
    grounder: Grounder, clip: Clip, groundings: Sequence[Grounding]
) -> list[Grounding]:
    """The groundings of a clip with ``mirrored`` and ``neighbours`` among their signals.

    Neighbours are the clip's frames before and after the target, where it has them; a still image
    has none.
    """
    beside = [place for place in (clip.target - 1, clip.target + 1) if 0 <= place < clip.num_frames]
    turned = replace(clip, frames=np.ascontiguousarray(clip.frames[:, :, ::-1]))
    others = [turned, *(replace(clip, target=place) for place in beside)]
    narrations = [grounding.narration for grounding in groundings]
    mirrored, *moved = grounder.ground_batch(others, [narrations] * len(others))
    found = []
    for place, grounding in enumerate(groundings):
        x, y = mirrored[place].point
        steady = [_nearness(each[place].point, grounding.point) for each in moved]
        signals = grounding.signals
        if signals is not None:
            signals = replace(
                signals,
                mirrored=_nearness((1 - x, y), grounding.point),
                neighbours=min(steady, default=None),
            )
        found.append(grounding.with_signals(signals))
    return found


def _nearness(one: Point, other: Point) -> float:
    return 1 - math.dist(one, other)
