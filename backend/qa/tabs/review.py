"""Which labels to look at again, the most suspicious first."""

from backend.qa.events import Row
from backend.qa.tab import Asked, Tab, page_of
from backend.qa.views import PER_PAGE, thumbnail


def context(asked: Asked) -> Row:
    """The suspects, those of one reason where it is asked for, a page of them as cards."""
    reason = asked.args.get("reason", "")
    suspects = [
        s
        for s in asked.report["audit"]
        if not reason or any(r["reason"] == reason for r in s["reasons"])
    ]
    listed = page_of(suspects, asked.args, PER_PAGE)
    cards = [{**s, **thumbnail(asked.store, s), "link": asked.task_link(s)} for s in listed["rows"]]
    return {"reason": reason, "listed": listed, "cards": cards}


def count(report: Row) -> int | None:
    return len(report["audit"]) or None


TAB = Tab("review", "Review", "/qa/review", 2, context, count)
