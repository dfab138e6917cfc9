"""`videogem qa score`: how good any system's points and boxes are, from two files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.qa import commands

if TYPE_CHECKING:
    from backend.qa.audit import Suspect
    from backend.qa.pairs import Pair


def register(app: typer.Typer) -> None:
    """Add it to `videogem qa`."""
    commands.command()(score)


def score(
    *,
    predictions: Path = typer.Option(
        help='JSON lines {"id", "point": [x, y], "box": [x1, y1, x2, y2], "label"?, "score"?}; '
        "point and box may be null."
    ),
    annotations: Path = typer.Option(
        help='JSON lines {"id", "boxes": [[x1, y1, x2, y2], …], "size": [w, h], "label"?, '
        '"annotator"?}.'
    ),
    audit: bool = typer.Option(False, "--audit", help="Also list annotations to look at again."),
    limit: int = typer.Option(20, min=0, help="Rows of the printed audit list."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Score points or boxes of any system against any boxes; no Label Studio needed.

    A point hits when it lies in any box of its id, edges included; no point is a miss. Ids on one
    side only are counted as missing and not scored. Boxes of several annotators all count.
    """
    from backend.qa.audit import count_reasons, find_suspects
    from backend.qa.pairs import (
        audit_items,
        figures,
        read_annotations,
        read_predictions,
        score_pairs,
    )

    predicted, annotated = read_predictions(predictions), read_annotations(annotations)
    pairs = score_pairs(predicted, annotated)
    suspects = find_suspects(audit_items(predicted, annotated)) if audit else []
    found = {**figures(pairs, predicted, annotated), "audit": count_reasons(suspects)}
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(_table(found, pairs))
    if audit:
        typer.echo(_audit_table(found["audit"], suspects, limit))


def _table(found: dict[str, Any], pairs: "Sequence[Pair]") -> str:
    from backend.qa.figures import group, mean, share
    from backend.qa.views import percent

    rows = [{"hit": pair.hit, "iou": pair.iou, "label": pair.label} for pair in pairs]
    lines = [_figure_line("all", found, found["mean_iou"])]
    by_label = group(rows, lambda row: row["label"])
    by_label_shares = {
        label: share(sum(row["hit"] for row in same), len(same)) for label, same in by_label.items()
    }
    if len(by_label) > 1:
        for label in sorted(by_label):
            overlap = mean(row["iou"] for row in by_label[label])["mean"]
            lines.append(_figure_line(str(label), by_label_shares[label], overlap))
    head = f"{'':<24} {'n':>7} {'hits':>7}  pointing accuracy (95 % interval)  mean IoU"
    notes = [
        f"Missing: {found['missing_predictions']} annotated without a prediction, "
        f"{found['missing_annotations']} predicted without an annotation (not scored)."
    ]
    if len(by_label) > 1:
        macro = sum(figure["accuracy"] for figure in by_label_shares.values()) / len(by_label)
        notes.append(f"Mean over labels (macro): {percent(macro)}.")
    return "\n".join([head, *lines, "", *notes])


def _figure_line(name: str, found: dict[str, Any], overlap: float | None) -> str:
    from backend.qa.views import percent

    interval = "" if not found["n"] else f" ({percent(found['low'])} to {percent(found['high'])})"
    accuracy = f"{percent(found['accuracy'])}{interval}"
    iou = "-" if overlap is None else f"{overlap:.3f}"
    return f"{name[:24]:<24} {found['n']:>7} {found['hits']:>7}  {accuracy:<34} {iou:>8}"


def _audit_table(counts: dict[str, int], suspects: "Sequence[Suspect]", limit: int) -> str:
    from backend.qa.audit import audit_reasons

    if not counts:
        return "\nNothing suspicious found."
    lines = ["", "Annotations to look at again:"]
    known = audit_reasons()
    lines += [f"{count:>7}  {code:<23} {known[code].meaning}" for code, count in counts.items()]
    if limit:
        lines += ["", f"The first {min(limit, len(suspects))} of the list:"]
        lines += [f"  {s.id}: {s.reason} ({s.detail})" for s in suspects[:limit]]
    return "\n".join(lines)
