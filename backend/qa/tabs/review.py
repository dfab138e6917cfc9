"""Which labels to look at again, the most suspicious first, and what people said of them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from backend.qa.audit import audit_reasons
from backend.qa.events import Row
from backend.qa.figures import NO_SHARE
from backend.qa.marks import Verdict, codes_of
from backend.qa.tab import Asked, Tab, page_of
from backend.qa.views import PER_PAGE, thumbnail

STATES = {Verdict.open: "To look at", Verdict.fix: "To fix", Verdict.fine: "Fine"}
SAID = {
    "changed": "That annotation was changed since you looked at it, so nothing was kept: look at "
    "it again.",
    "gone": "That annotation is no longer there, so nothing was kept.",
}


def context(asked: Asked) -> Row:
    """The suspects of a state and reason, as cards: a page of them, or one large picture."""
    report, args = asked.report, asked.args
    found = state_of(args)
    lists: dict[str, list[Row]] = {Verdict.open: report["audit"]}
    for verdict in (Verdict.fix, Verdict.fine):
        lists[verdict] = [s for s in report["marked"] if s["mark"]["verdict"] == verdict]
    reason = args.get("reason", "")
    suspects = [s for s in lists[found] if not reason or reason in codes_of(s)]
    single = args.get("view") == "one"
    listed = page_of(suspects, args, 1 if single else PER_PAGE)
    cards = [{**s, **thumbnail(asked.store, s), "link": asked.task_link(s)} for s in listed["rows"]]
    last = max(report["marked"], key=lambda s: s["mark"]["id"], default=None)
    return {
        "reason": reason,
        "listed": listed,
        "cards": cards,
        "single": single,
        "state": found,
        "states": [(state, title, len(lists[state])) for state, title in STATES.items()],
        "reasons": _reasons(lists[found], report["marks"]["evidence"]),
        "said": SAID.get(args.get("said", "")),
        "last": last,
    }


def state_of(args: Mapping[str, Any]) -> Verdict:
    """Which suspects are asked for; without a word, or with a strange one, those nobody marked."""
    asked = args.get("state", "")
    return Verdict(asked) if asked in set(Verdict) else Verdict.open


def count(report: Row) -> int | None:
    return len(report["audit"]) or None


def _reasons(suspects: list[Row], evidence: Mapping[str, Row]) -> list[Row]:
    """Every reason of the list or of the marks: how many it has, and how often it was right."""
    counts = Counter(code for suspect in suspects for code in codes_of(suspect))
    return [
        {
            "code": code,
            "meaning": reason.meaning,
            "count": counts[code],
            "assumed": reason.weight,
            "right": evidence.get(code, NO_SHARE),
        }
        for code, reason in audit_reasons().items()
        if counts[code] or code in evidence
    ]


TAB = Tab("review", "Review", "/qa/review", 2, context, count)
