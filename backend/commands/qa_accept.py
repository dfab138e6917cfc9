"""`videogem qa accept`: sure predictions become annotations in bulk, under a stated guarantee."""

import json
from typing import TYPE_CHECKING, Any

import typer

from backend.commands.qa import commands
from backend.commands.qa_reviews import PROJECT, VERSION, label_studio_of
from backend.commands.support.numbers import finite
from backend.commands.support.quality_store import DATABASE_HELP, known_project, open_store

if TYPE_CHECKING:
    from backend.database.keys import ProjectKey
    from backend.qa.estimates.accepting import Look
    from backend.qa.estimates.rules import Rule
    from backend.qa.events import Row
    from backend.qa.store import Store

PRECISION, CONFIDENCE = 0.95, 0.9


def register(app: typer.Typer) -> None:
    """Add it to `videogem qa`."""
    commands.command()(accept)


def accept(
    *,
    project: str = PROJECT,
    precision: float | None = typer.Option(
        None,
        callback=finite,
        help=f"At least this share of what is accepted is right; default: {PRECISION}.",
    ),
    confidence: float | None = typer.Option(
        None, callback=finite, help=f"How sure that is to be; default: {CONFIDENCE}."
    ),
    check: float = typer.Option(
        0.1, callback=finite, help="Share, drawn at random, that people check instead."
    ),
    model_version: str | None = VERSION,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show, change nothing."),
    off: bool = typer.Option(False, "--off", help="Switch the rule off; keep what it did."),
    undo: bool = typer.Option(
        False, "--undo", help="Switch it off and delete what it accepted and nobody touched."
    ),
    database: str | None = typer.Option(None, help=DATABASE_HELP),
    as_json: bool = typer.Option(False, "--json", help="Print JSON and nothing else."),
) -> None:
    """Accept predictions from a score on that reviews prove sure enough; or say why none is.

    The first time it looks for the threshold; every look at new reviews spends some of the allowed
    error, a dry run's too. Afterwards it follows the rule it found: run it again for tasks that
    came since. A share of the tasks goes to people in the tab "Spot checks"; when these contradict
    the guarantee the rule is withdrawn by itself. The exit code is 1 where nothing may be accepted.
    """
    from backend.database.turns import in_turn
    from backend.qa.estimates.accepting import active_rule, watch
    from videogem.errors import InputError

    if off and undo:
        raise InputError("Give --off or --undo, not both: --undo switches off, too.")
    with open_store(database) as store, in_turn(store.engine, "accept"):
        key = known_project(store, project)
        before = active_rule(store, key, model_version)
        watch(store, key)
        rule = active_rule(store, key, model_version)
        seen: Look | None = None
        accepted = 0
        if off or undo:
            rule = _end(store, key, model_version, undo=undo, dry_run=dry_run)
        elif before is None or rule is not None:
            if rule is None:
                rule, seen = _begin(
                    store, key, precision, confidence, check, model_version, dry_run=dry_run
                )
            else:
                _check_same(rule, precision, confidence)
            if rule is not None and not dry_run:
                rule, accepted = _follow(store, key, rule)
        rows = watch(store, key)
        shown = rule or before
        row = next((one for one in rows if shown is not None and one["rule"] == shown.id), None)
        told = _lists(store, shown) if (off or undo) and shown else {}
    if as_json:
        typer.echo(json.dumps({"rule": row, "look": _look_row(seen), "accepted": accepted, **told}))
    else:
        for line in _lines(row, seen, accepted, told, project):
            typer.echo(line)
        if dry_run:
            typer.echo("Nothing was changed (--dry-run), but a look at new reviews counts.")
    if not (off or undo) and (row is None or row["state"] != "active") and (
        seen is None or seen.found.least_score is None
    ):  # fmt: skip
        raise typer.Exit(1)


def _begin(
    store: "Store", key: "ProjectKey", precision: float | None, confidence: float | None,
    check: float, model_version: str | None, *, dry_run: bool,
) -> "tuple[Rule | None, Look]":  # fmt: skip
    from backend.qa.estimates.accepting import check_share, look, start_rule

    check_share(check)
    promise = {
        "precision": PRECISION if precision is None else precision,
        "confidence": CONFIDENCE if confidence is None else confidence,
    }
    if not dry_run:
        label_studio_of(store, key)  # to look costs: first see that it can be used
    seen = look(store, key, model_version=model_version, **promise)
    if dry_run or seen.found.least_score is None:
        return None, seen
    return start_rule(store, key, seen, share=check, **promise), seen


def _follow(store: "Store", key: "ProjectKey", rule: "Rule") -> "tuple[Rule, int]":
    from backend.commands.support.progress import progress
    from backend.qa.estimates.accepting import follow

    with progress("accepting") as told:
        return follow(store, label_studio_of(store, key), key, rule, told)


def _end(
    store: "Store", key: "ProjectKey", model_version: str | None, *, undo: bool, dry_run: bool
) -> "Rule":
    from backend.commands.support.progress import progress
    from backend.qa.estimates.accepting import end, last_rule

    rule = last_rule(store, key, model_version, has_made=undo)
    if dry_run:
        return rule
    api = label_studio_of(store, key) if undo else None
    with progress("taking back") as told:
        return end(store, api, key, rule, told)


def _check_same(rule: "Rule", precision: float | None, confidence: float | None) -> None:
    from videogem.errors import InputError

    asked = (precision, rule.precision), (confidence, rule.confidence)
    if any(wanted not in (None, kept) for wanted, kept in asked):
        raise InputError(
            f"Rule {rule.id} is in force with precision {rule.precision:g} and confidence "
            f"{rule.confidence:g}. Switch it off with --off before asking for another guarantee."
        )


def _lists(store: "Store", rule: "Rule") -> dict[str, list[int]]:
    """Annotations that a rule made: those that are still as it made them, and the others."""
    from backend.qa.estimates.rules import Taken, taken

    return {
        name: [row["annotation_id"] for row in taken(store, rule, state)]
        for name, state in (("annotations", Taken.made), ("touched", Taken.touched))
    }


def _look_row(seen: "Look | None") -> dict[str, Any] | None:
    if seen is None:
        return None
    found = seen.found
    return {
        "number": seen.number, "basis": seen.basis, "least_score": found.least_score,
        "tested": found.tested, "wrong": found.wrong, "tasks": found.tasks,
        "fresh": len(seen.fresh), "needed": found.needed, "reason": found.reason or None,
        "model_version": seen.population.model_version,
    }  # fmt: skip


def _lines(
    row: "Row | None", seen: "Look | None", accepted: int, told: dict[str, list[int]], project: str
) -> list[str]:
    """What happened, in words."""
    lines = []
    if seen is not None:
        lines += _look_lines(seen)
    if row is not None:
        lines += _rule_lines(row, accepted)
    if row is not None and row["state"] == "withdrawn":
        if row["tasks"]["made"]:
            lines.append(
                f"`videogem qa accept --project {project} --undo` deletes what it accepted and "
                "nobody touched."
            )
        lines.append("Without --undo the next run looks for a stricter threshold.")
    for name, words in (("annotations", "Accepted"), ("touched", "Changed by people since, left")):
        if told.get(name):
            ids = " ".join(map(str, told[name]))
            lines.append(f"{words} ({len(told[name])} annotations): {ids}")
    return lines


def _look_lines(seen: "Look") -> list[str]:
    found, version = seen.found, seen.population.model_version
    if found.least_score is None:
        return [
            f"No threshold can be given for {version}: {found.reason}. At least {found.needed} "
            f"more reviews of such tasks{_what_helps(seen)} (Look {seen.number}.)"
        ]
    lines = [
        f"{version}: {found.tasks} tasks have a score of at least {found.least_score:.3f}. "
        f"{found.tested} reviews of such tasks were tested, {found.wrong} found a miss. "
        f"{len(seen.fresh)} of the tasks are annotated by nobody yet. (Look {seen.number}.)"
    ]
    if seen.basis == "independent":
        lines.append(
            "Rests on what people reviewed by themselves, one task of a video: it assumes that "
            "they did not pick by whether the model was right."
        )
    return lines


def _what_helps(seen: "Look") -> str:
    """Which further reviews would count, as the rest of a sentence."""
    tasks = seen.population.tasks
    videos = len({task.video for task in tasks})
    if seen.basis == "plan" or videos == len(tasks):
        return " are needed, all of them right; `videogem qa plan` draws tasks."
    return (
        ", each of another video, are needed, all of them right: of each video one counts, and the "
        f"project has tasks of {videos} video{'s' if videos > 1 else ''}. Or each of the tasks "
        "that `videogem qa plan` draws counts, whatever its video."
    )


def _rule_lines(row: "Row", accepted: int) -> list[str]:
    tasks, checks = row["tasks"], row["checks"]
    lines = [
        f"Rule {row['rule']}, {row['state']}: at least {100 * row['precision']:g} % right with "
        f"{100 * row['confidence']:g} % confidence from a score of {row['least_score']:.3f} on."
    ]
    if row["reason"]:
        lines.append(f"{row['reason'][0].upper()}{row['reason'][1:]}.")
    if accepted:
        lines.append(f"{accepted} predictions were accepted just now.")
    lines.append(
        f"Accepted: {tasks['made']}; waiting: {tasks['wanted']}; left to people who were quicker: "
        f"{tasks['left']}; taken back: {tasks['removed']}; changed since: {tasks['touched']}."
    )
    lines.append(
        f'Spot checks (tab "Spot checks {row["rule"]}"): {checks["done"]} of {checks["of"]} done, '
        f"{checks['wrong']} found a miss."
    )
    return lines
