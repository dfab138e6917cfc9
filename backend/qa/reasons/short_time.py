"""Done faster than anybody can look."""

from collections.abc import Iterable, Sequence

from backend.qa.audit_items import Doubt, Item, Reason

SHORT_N, SHORT_SHARE, SHORT_S = 10, 0.2, 1.0


def check(items: Sequence[Item]) -> Iterable[Doubt]:
    times = sorted(item.lead_time for item in items if item.lead_time is not None)
    if len(times) < SHORT_N:
        return
    usual = times[len(times) // 2]
    for item in items:
        limit = max(SHORT_S, SHORT_SHARE * usual)
        if item.lead_time is not None and item.lead_time < min(limit, usual):
            detail = f"{item.lead_time:.1f} s, usual are {usual:.1f} s"
            yield Doubt(item, 1 - item.lead_time / limit, detail)


REASON = Reason("short-time", "the annotation took far less time than usual", 0.4, check)
