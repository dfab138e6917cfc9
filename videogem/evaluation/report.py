"""Results as text, JSON, CSV, Markdown and pictures. Percent here and nowhere else."""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videogem.evaluation import Row, Skipped
from videogem.evaluation.compare import Comparison
from videogem.evaluation.paper import paper_table, published_accuracy, published_systems
from videogem.metrics import MIN_CLUSTERS, Share


def percent(share: float | None) -> str:
    """A share as people read it; a dash for none."""
    return "-" if share is None else f"{100 * share:.1f}"


def markdown_table(
    rows: Sequence[Row], table: str | None = None, as_published: Collection[str] = ()
) -> str:
    """Rows as a Markdown table; with a paper's table, its rows' names and its printed numbers.

    ``as_published`` names the datasets that were read as the paper reads them, in full; only
    beside those are its numbers shown.
    """
    paper = [_published(row, table, as_published) for row in rows]
    show_paper, show_dataset = any(p is not None for p in paper), len({r.dataset for r in rows}) > 1
    show_missing = any(row.num_missing for row in rows)
    header = [
        *(["dataset"] if show_dataset else []),
        *(["row"] if table else []),
        *["method", "model", "accuracy %", "95 % interval", "macro %", "box IoU", "n"],
        *(["without prediction"] if show_missing else []),
        *(["paper %"] if show_paper else []),
    ]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row, printed in zip(rows, paper, strict=True):
        cells = [
            *([row.dataset] if show_dataset else []),
            *([paper_table(table).name(row.method)] if table else []),
            row.method,
            row.model,
            percent(row.share.accuracy),
            f"{percent(row.share.low)} to {percent(row.share.high)}",
            percent(row.macro),
            "-" if row.box_iou is None else f"{row.box_iou:.3f}",
            str(row.share.n),
            *([str(row.num_missing)] if show_missing else []),
            *(["-" if printed is None else f"{100 * printed:.2f}"] if show_paper else []),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *_notes(rows, table, as_published)]) + "\n"


def _notes(rows: Sequence[Row], table: str | None, as_published: Collection[str]) -> list[str]:
    """What has to be said below a table."""
    notes = []
    by_dataset = {row.dataset: row for row in rows}
    for name, row in by_dataset.items():
        if row.num_clusters < row.share.n:
            few = "" if row.num_clusters >= MIN_CLUSTERS else ", too few to tell how alike they are"
            notes.append(
                f"{name}: frames of one video are alike, so the intervals are over "
                f"{row.num_clusters} videos{few}."
            )
        printed = published_systems(table, name) if table and name in as_published else {}
        if printed:
            systems = ", ".join(f"{system} {100 * p:.2f}" for system, p in printed.items())
            notes.append(f"{name}: the paper prints for other systems: {systems}.")
    return ["", *notes] if notes else []


def _published(row: Row, table: str | None, as_published: Collection[str]) -> float | None:
    if table is None or row.dataset not in as_published:
        return None
    return published_accuracy(table, row.method, row.model, row.dataset)


def as_csv(
    rows: Sequence[Row], table: str | None = None, as_published: Collection[str] = ()
) -> str:
    """One line per dataset, model and method; shares in 0..1."""
    file = io.StringIO()
    names = [*_flat(rows[0]), "paper"] if rows else ["dataset"]
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**_flat(row), "paper": _published(row, table, as_published)})
    return file.getvalue()


def as_json(
    rows: Sequence[Row],
    *,
    table: str | None = None,
    as_published: Collection[str] = (),
    comparisons: Sequence[Comparison] = (),
    skipped: Sequence[Skipped] = (),
    notes: Mapping[str, Any] | None = None,
) -> str:
    """Everything a run found, also by class."""
    content = {
        **(notes or {}),
        "rows": [
            {
                **_flat(row),
                "paper": _published(row, table, as_published),
                "by_class": {label: _share(share) for label, share in row.by_label.items()},
            }
            for row in rows
        ],
        "comparisons": [
            {**asdict(comparison), "better": comparison.better} for comparison in comparisons
        ],
        "skipped": [asdict(item) for item in skipped],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _flat(row: Row) -> dict[str, Any]:
    return {
        "dataset": row.dataset,
        **row.as_json(),
        "macro": row.macro,
        "videos": row.num_clusters,
        "missing": row.num_missing,
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "n": share.n,
        "hits": share.hits,
        "accuracy": share.accuracy,
        "low": share.low,
        "high": share.high,
    }


def write_report(
    folder: Path,
    rows: Sequence[Row],
    *,
    title: str,
    table: str | None = None,
    as_published: Collection[str] = (),
    comparisons: Sequence[Comparison] = (),
    skipped: Sequence[Skipped] = (),
    notes: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write results.json, .csv, .md and .png; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    text = f"# {title}\n\n{markdown_table(rows, table, as_published)}"
    if comparisons:
        text += "\n" + "".join(f"- {comparison.sentence()}\n" for comparison in comparisons)
    contents = {
        "results.json": as_json(
            rows,
            table=table,
            as_published=as_published,
            comparisons=comparisons,
            skipped=skipped,
            notes=notes,
        ),
        "results.csv": as_csv(rows, table, as_published),
        "results.md": text,
    }
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    picture = folder / "results.png"
    accuracy_chart(rows, picture, title=title)
    return [*paths, picture]


def accuracy_chart(rows: Sequence[Row], path: Path, *, title: str) -> None:
    """Accuracies with their intervals as a PNG."""
    import altair as alt

    values = [
        {
            "name": f"{row.method} · {row.model}",
            "dataset": row.dataset,
            "accuracy": 100 * (row.share.accuracy or 0.0),
            "low": 100 * row.share.low,
            "high": 100 * row.share.high,
        }
        for row in rows
    ]
    order = list(dict.fromkeys(str(value["name"]) for value in values))
    base = alt.Chart(alt.InlineData(values=values), title=title).encode(
        y=alt.Y("name:N", sort=order, title=None),
        yOffset=alt.YOffset("dataset:N"),  # intervals of several datasets side by side
    )
    axis = alt.X("low:Q", title="pointing accuracy, %", scale=alt.Scale(domain=[0, 100]))
    chart = base.mark_rule(strokeWidth=2).encode(
        x=axis, x2="high:Q", color=alt.Color("dataset:N", title=None)
    ) + base.mark_point(filled=True, size=60).encode(
        x="accuracy:Q", color=alt.Color("dataset:N", title=None)
    )
    chart.properties(width=480).save(str(path), ppi=144)


def line_chart(
    values: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str,
    x: str,
    y: str,
    facet: str,
) -> None:
    """Lines over layers, one per prompt with its band (``low``, ``high``), by panel.

    Where the values have a ``whole``, it is drawn as a dashed line.
    """
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("x:O", title=x, axis=alt.Axis(labelAngle=0)),
        color=alt.Color("prompt:N", title=None),
    )
    scale = alt.Scale(zero=False)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=y, scale=scale), y2="high:Q")
    line = base.mark_line(point=True).encode(y=alt.Y("y:Q", title=y, scale=scale))
    layers = [band, line]
    if any("whole" in value for value in values):
        layers.append(alt.Chart().mark_rule(strokeDash=[5, 4]).encode(y="whole:Q"))
    chart = (
        alt.layer(*layers, data=alt.InlineData(values=list(values)))
        .properties(width=320, height=240)
        .facet(facet=alt.Facet(f"{facet}:N", title=None), columns=3)
        .properties(title=title)
    )
    chart.save(str(path), ppi=144)
