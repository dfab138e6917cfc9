"""The very same box on many frames."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from backend.qa.audit_items import MANY, WHOLE_FRAME, Doubt, Item, Reason, flat, rounded
from videogem.metrics import box_area
from videogem.structures import Box


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    tasks: dict[tuple[Box, tuple[float, float]], set[str]] = defaultdict(set)
    for item in items:
        for box in item.boxes:
            tasks[rounded(box), item.size_wh].add(item.task or item.id)
    for item in items:
        width, height = item.size_wh
        repeats = max(
            (len(tasks[rounded(box), item.size_wh]) for box in item.boxes
             if not flat(box) and box_area(box) < WHOLE_FRAME * width * height),
            default=0,
        )  # fmt: skip
        if repeats >= MANY:
            detail = f"the same box on {repeats} frames"
            yield Doubt(item, 1 - MANY / (2 * repeats), detail)


REASON = Reason("identical-boxes", "many frames carry exactly this box", 0.6, check)
