"""What a number of the other tabs counts, as pictures."""

from collections.abc import Callable

from backend.database import schema
from backend.qa.events import Row
from backend.qa.flat import flat
from backend.qa.picks import Asking, pick_named
from backend.qa.queries import resolve
from backend.qa.selection import Selection
from backend.qa.store import Store
from backend.qa.tab import Asked, Tab, page_of
from backend.qa.table import Table
from backend.qa.views import PER_PAGE, side_text, thumbnail

AMONG = {
    "person": "all that was reviewed",
    "independent": "independent annotations",
    "edited": "edited annotations",
}


def context(asked: Asked) -> Row:
    """A page of the pictures that ``show`` asks for, the newest annotation first.

    Raises:
        InputError: nothing is shown by that name, or what narrows it is not of its form.
    """
    pick = pick_named(asked.args.get("show", "annotations"))
    snapshot = asked.store.ledger.look()
    selection = Selection.of(snapshot, asked.filters, resolve(asked.store, asked.filters.project))
    asking = Asking(
        selection,
        snapshot.overlaps,
        asked.args,
        bool(asked.filters.model_version),
        asked.tolerance,
    )
    rows = pick.find(asking)
    listed = page_of(range(len(rows) - 1, -1, -1), asked.args, PER_PAGE)
    cards = [_card(asked, row) for row in _stored(asked.store, rows, listed["rows"])]
    return {"pick": pick, "narrowed": _narrowed(asked, asking), "listed": listed, "cards": cards}


def _narrowed(asked: Asked, asking: Asking) -> list[str]:
    """What narrows the pictures beside the filters, as people call it."""

    def side(name: str) -> str:
        return side_text(asking.text(name), asked.person)

    words: dict[str, Callable[[], str]] = {
        "who": lambda: f"by {asked.person(asking.text('who'))}",
        "day": lambda: f"on {asking.text('day')} (UTC)",
        "outcome": lambda: asking.text("outcome"),
        "among": lambda: f"of {AMONG.get(asking.text('among'), asking.text('among'))}",
        "least": lambda: f"score from {_score(asking.text('least'))}",
        "most": lambda: f"score to {_score(asking.text('most'))}",
        "first": lambda: f"{side('first')} and {side('second')}",
        "better": lambda: f"only {asking.text('better')} hits",
    }
    return [say() for name, say in words.items() if asking.text(name)]


def _score(text: str) -> str:
    return f"{float(text):.2f}"


def _stored(store: Store, rows: Table, places: Row) -> list[Row]:
    """The rows of the database behind some rows of a table, flat."""
    found = []
    c = schema.scores.c
    names = rows.vocabulary["annotation"].values
    for place in places:
        server, annotation = names[rows["annotation"][place]]
        position = int(rows["position"][place])
        where = c.server == server, c.annotation_id == annotation
        stored = {row["position"]: row for row in store.rows(schema.scores, *where)}
        if position in stored and (row := flat(stored[position])) is not None:
            items = [flat(each) or {} for each in stored.values()]
            known = (each["item"] for each in items if each.get("item") is not None)
            item = row["item"] if row.get("item") is not None else next(known, 0)
            found.append({**row, "item": item})
    return found


def _card(asked: Asked, row: Row) -> Row:
    drawn = thumbnail(asked.store, row, (row["model_version"],))
    return {**row, **drawn, "link": asked.task_link(row)}


TAB = Tab("pictures", "Pictures", "/qa/pictures", 9, context, always=True, listed=False)
