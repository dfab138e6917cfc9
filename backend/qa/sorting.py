"""Tables in the order that somebody asked for: ``?sort=annotators.accepted.accuracy``.

The first word names the table, the others where the value is; a minus before it all: largest first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.qa.events import Row


@dataclass(frozen=True)
class Sorting:
    """What ``sort`` in an address says; empty where it says nothing."""

    table: str = ""
    column: str = ""
    down: bool = False

    @classmethod
    def of(cls, text: str) -> "Sorting":
        """Read it.

        >>> Sorting.of("-annotators.accepted.accuracy")
        Sorting(table='annotators', column='accepted.accuracy', down=True)
        """
        down = text.startswith("-")
        table, _, column = text.removeprefix("-").partition(".")
        return cls(table, column, down)

    def state(self, table: str, column: str) -> str:
        """How a column is sorted, as ``aria-sort`` says it."""
        if (table, column) != (self.table, self.column):
            return "none"
        return "descending" if self.down else "ascending"

    def next(self, table: str, column: str) -> str:
        """What a click on a column asks for: largest first, then the other way."""
        down = self.state(table, column) != "descending"
        return f"{'-' if down else ''}{table}.{column}"

    def rows(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """The rows of a table in this order; those without a value come last."""
        if table != self.table:
            return list(rows)
        known = [row for row in rows if self._value(row) is not None]
        unknown = [row for row in rows if self._value(row) is None]
        try:
            ordered = sorted(known, key=self._value, reverse=self.down)
        except TypeError:  # a column of several kinds, such as one that nobody offers
            ordered = sorted(known, key=lambda row: str(self._value(row)), reverse=self.down)
        return ordered + unknown

    def _value(self, row: Row) -> Any:
        value: Any = row
        for name in self.column.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value.casefold() if isinstance(value, str) else value
