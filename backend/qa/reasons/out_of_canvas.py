"""The box reaches beyond the frame."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    for item in items:
        width, height = item.size_wh
        beyond = max(
            (max(-x1 / width, -y1 / height, x2 / width - 1, y2 / height - 1)
             for x1, y1, x2, y2 in item.boxes),
            default=0.0,
        )  # fmt: skip
        if beyond > 1e-6:
            detail = f"{100 * beyond:.1f} % of the frame's side beyond its edge"
            yield Doubt(item, min(1.0, 0.5 + beyond), detail)


REASON = Reason("out-of-canvas", "the box leaves the frame", 0.9, check)
