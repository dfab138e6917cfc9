"""Many boxes end at one place inside the frame: they were clipped with a wrong limit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from backend.qa.audit_items import MANY, Doubt, Item, Reason, flat, rounded

CLIPPED_SHARE = 0.03  # of all boxes must share a value before it looks like clipping
AT_BORDER = 0.0025  # of the frame: a pixel of 480
SIDES = ("left", "top", "right", "bottom")


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    by_size: dict[tuple[float, float], list[Item]] = defaultdict(list)
    for item in items:
        by_size[item.size_wh].append(item)
    for (width, height), same in by_size.items():
        borders = ((0.0, width), (0.0, height), (width, width), (height, height))
        different = {rounded(box) for item in same for box in item.boxes if not flat(box)}
        spikes = {
            (side, value): share
            for side in range(4)
            for value, share in _spikes([box[side] for box in different], *borders[side]).items()
        }
        for item in same:
            shared = [
                (spikes[side, value], SIDES[side], value)
                for box in item.boxes
                for side, value in enumerate(rounded(box))
                if (side, value) in spikes and not flat(box)
            ]
            if shared:
                share, side, value = max(shared)
                detail = f"{side} side at {value:g}, as in {100 * share:.0f} % of the boxes"
                yield Doubt(item, min(1.0, 0.5 + share), detail)


def _spikes(values: Sequence[float], border: float, extent: float) -> dict[float, float]:
    """Values far more frequent than their peers, with their share; not the frame's own border,
    nor the pixel beside it, where datasets that count pixels inclusively end.

    Boxes drawn along a line all share a side too: a spike needs many other values beside it.
    """
    counts = Counter(values)
    found = {}
    for value, count in counts.most_common(4):
        if abs(value - border) <= AT_BORDER * extent:
            continue
        others = sorted(c for v, c in counts.items() if v != value)
        if len(others) < MANY or sum(others) < 0.3 * len(values):
            break
        usual = others[int(0.9 * (len(others) - 1))]
        if count >= max(MANY, CLIPPED_SHARE * len(values), 5 * usual):
            found[value] = count / len(values)
    return found


REASON = Reason(
    "edge-clipped", "one side has a value inside the frame that many other boxes share", 0.7, check
)
