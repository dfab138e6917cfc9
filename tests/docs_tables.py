"""The README's tables of settings and attributes, written from the code: `make docs`."""

import re
from pathlib import Path

from backend.attributes import ATTRIBUTES
from backend.settings import PREFIX, Settings

README = Path(__file__).resolve().parents[1] / "README.md"


def settings_table() -> str:
    """Every setting with its default and what it means."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def attributes_table() -> str:
    """Every `model_*` attribute of a labeling config."""
    rows = ["| attribute | values | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{a.name}` | {a.values} | {a.default} | {a.meaning} |" for a in ATTRIBUTES]
    return "\n".join(rows)


TABLES = {"settings": settings_table, "attributes": attributes_table}


def with_tables(text: str) -> str:
    """The text with every table between its marks made anew."""
    for name, table in TABLES.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.DOTALL)
        if not marks.search(text):
            raise ValueError(f"the marks <!-- {name} --> ... <!-- /{name} --> are missing")
        text = marks.sub(lambda found, table=table: f"{found[1]}{table()}\n{found[2]}", text)
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
