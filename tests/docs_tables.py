"""The README's tables of settings and attributes, written from the code: `make docs`."""

import json
import re
from pathlib import Path

from backend.labeling.attributes import ATTRIBUTES
from backend.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BENCHMARK = ROOT / "docs" / "demo_benchmark.json"
SHOWN = (
    "unseen pairs, 1 actor",
    "unseen pairs, 3 actors",
    "unseen style, 3 actors",
    "moving clips",
)
METHODS = ("clip", "maskclip", "gem", "videogem")


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


def accuracy_table() -> str:
    """Pointing accuracy in the demo world, from the kept figures of the benchmark."""
    parts = {part["part"]: part["rows"] for part in json.loads(BENCHMARK.read_text())["parts"]}
    lines = [f"| method | {' | '.join(SHOWN)} |", f"|---|{'---|' * len(SHOWN)}"]
    for method in METHODS:
        rows = [next(row for row in parts[part] if row["method"] == method) for part in SHOWN]
        lines.append(f"| {method} | {' | '.join(map(_figure, rows))} |")
    counts = [str(parts[part][0]["n"]) for part in SHOWN]
    return "\n".join([*lines, f"| n | {' | '.join(counts)} |"])


def _figure(row: dict[str, float]) -> str:
    accuracy, low, high = (100 * row[name] for name in ("accuracy", "low", "high"))
    return f"{accuracy:.1f} ({low:.1f} to {high:.1f}), {row['box_iou']:.2f}"


TABLES = {
    "settings": settings_table,
    "attributes": attributes_table,
    "accuracy": accuracy_table,
}


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
