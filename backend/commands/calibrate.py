"""`videogem calibrate`: settings and a score of one's own, from corrections, with proof."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from backend.folders import check_folder
from videogem.errors import InputError

if TYPE_CHECKING:
    from backend.settings import Settings
    from videogem.calibration.calibrate import Calibration
    from videogem.calibration.candidates import Sample

RESTART = "The backend takes it up when it is started again (its model version moves)."


def register(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    *,
    project: str | None = typer.Option(None, help="Project: NUMBER or NUMBER@SERVER."),
    data: Path | None = typer.Option(
        None, help="A Label Studio export or .jsonl instead, with its media beside it."
    ),
    name: str | None = typer.Option(None, help="Of the profile; default: of what it is made."),
    narration_field: str | None = typer.Option(
        None, help="--data: the data field with the narration."
    ),
    media_field: str | None = typer.Option(None, help="--data: the one with image or video."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what it gives, keep nothing."),
    out: Path | None = typer.Option(None, help="Folder for a picture of before and after."),
    use: str | None = typer.Option(None, help="Put a kept profile in use, or 'shipped'."),
    undo: bool = typer.Option(False, "--undo", help="Go back to what was in use before."),
    show: bool = typer.Option(False, "--list", help="List the profiles."),
) -> None:
    """Fit the score, and choose settings, by corrections; each only if held-out videos confirm it.

    Only boxes that were drawn without a prediction in sight, or are ground truth, are used of a
    project; of a file all are. At least 50 of 10 videos. Nothing is trained: box threshold, merge
    weights, layer weights and temperature are chosen, and the score is fitted. The exit code is 1
    if nothing is gained.
    """
    from backend.prediction.profiles import SHIPPED, Profiles
    from backend.settings import load_settings

    settings = load_settings()
    profiles = Profiles(settings.data_dir)
    if sum([project is not None, data is not None, use is not None, undo, show]) != 1:
        raise InputError("Give one of --project, --data, --use, --undo and --list.")
    if undo:
        typer.echo(f"In use: {profiles.undo()}. {RESTART}")
    elif use is not None:
        profiles.use(use)
        typer.echo(f"In use: {use}. {RESTART}")
    elif show:
        current = profiles.in_use()
        for each in [SHIPPED, *profiles.names()]:
            mark = "  (in use)" if each == (current.name if current else SHIPPED) else ""
            typer.echo(each + mark)
    else:
        _calibrate(settings, project, data, name, narration_field, media_field, dry_run, out)


def _calibrate(
    settings: "Settings",
    project: str | None,
    data: Path | None,
    name: str | None,
    narration_field: str | None,
    media_field: str | None,
    dry_run: bool,  # noqa: FBT001 (as the command has it)
    out: Path | None,
) -> None:
    if out is not None:
        check_folder(out, "--out")
    from backend.commands.support.corrections import Corrections
    from backend.commands.support.progress import progress
    from backend.prediction.profiles import Profiles, profile_of, settings_of
    from backend.web.app import numerics_of
    from videogem.calibration import candidates
    from videogem.calibration.calibrate import calibrate as run
    from videogem.calibration.candidates import measure
    from videogem.confidence.profile import Profile
    from videogem.datasets.base import ReadOptions
    from videogem.grounding import load_grounder

    if settings.method != "videogem":
        raise InputError(f"Only the method 'videogem' is calibrated, not '{settings.method}'.")
    profiles = Profiles(settings.data_dir)
    name = profiles.free_name(name or (f"project-{project}".split("@")[0] if project else "data"))
    profiles.check_name(name)
    current = profile_of(settings)
    grounder = load_grounder(
        settings.model,
        settings.method,
        device=settings.device,
        **numerics_of(settings),
        **settings_of(current),
    )
    corrections = Corrections()
    if data is not None:
        options = ReadOptions(
            annotations=data.absolute(), narration_field=narration_field, media_field=media_field
        )
        samples = corrections.of_file(data, options, grounder.num_frames)
    else:
        samples = _of_project(corrections, settings, str(project), grounder.num_frames)
    first = next(samples, None)
    if first is None:
        raise InputError(f"There is no correction to learn from{_told(corrections.left_out)}.")
    with progress("corrections") as update:
        measured = measure(
            grounder, chain([first], samples), lambda done: update(done, None), candidates.LAYERS
        )
    found = run(measured, grounder.settings, grounder.scoring, name)
    count, videos = len(measured.videos), len(set(measured.videos))
    typer.echo(f"{count} corrections of {videos} videos{_told(corrections.left_out)}")
    typer.echo(summary(found))
    if out is not None and found.rescored is not None:
        from videogem.evaluation.calibration_picture import write_picture

        typer.echo(f"picture    {write_picture(measured, found, out)}")
    if not found.is_gain:
        raise typer.Exit(1)
    if dry_run:
        typer.echo("Nothing is kept (--dry-run).")
        return
    profiles.keep(
        Profile(
            name,
            settings.model,
            settings.method,
            {**(current.settings if current else {}), **found.settings},
            found.scoring or (current.scoring if current else None),
            {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "of": str(data) if data else f"project {project}",
                "corrections": count,
                "videos": videos,
            },
        )
    )
    typer.echo(f"Kept and in use as '{name}'. {RESTART}\nBack: videogem calibrate --undo")


def _of_project(
    corrections: Any, settings: "Settings", project: str, num_frames: int
) -> Iterator["Sample"]:
    from backend.label_studio.connections import Connections
    from backend.labeling.config import parse_labeling
    from backend.media.media import Media
    from backend.prediction.task_fields import Project

    connections = Connections(settings)
    key, client = connections.named(project)
    config = str(client.project(key.id).get("label_config") or "")
    labeling = parse_labeling(config)
    labeling.require_targets()
    tasks = [task for page in client.task_pages(key.id) for task in page.tasks]
    own = Project(key.id, config, labeling, "", key=key)
    return iter(corrections.of_project(tasks, own, Media(settings, connections), num_frames))


def summary(found: "Calibration") -> str:
    """Before and after on videos that had no say, and what was refused."""
    lines = []
    if found.chosen is not None:
        lines.append(f"{'on videos held out':28}{'before':>9}{'after':>9}   difference (interval)")
        for label, each in (
            ("boxes: mean overlap", found.chosen.overlap),
            ("points that hit", found.chosen.hits),
        ):
            lines.append(
                f"{label:28}{each.before:9.3f}{each.after:9.3f}   "
                f"{each.after - each.before:+.3f} ({each.low:+.3f} to {each.high:+.3f})"
            )
    if found.rescored is not None:
        one = found.rescored
        low, high = -one.brier.high, -one.brier.low
        lines.append(
            f"{'score: squared error':28}{1 - one.brier.before:9.3f}{1 - one.brier.after:9.3f}   "
            f"{one.brier.before - one.brier.after:+.3f} ({low:+.3f} to {high:+.3f})"
        )
        lines.append(
            f"{'score: calibration error':28}{one.error_before:9.3f}{one.error_after:9.3f}"
        )
    lines += found.reasons
    for key, value in found.settings.items():
        lines.append(f"{key} = {value}")
    if found.scoring is not None:
        lines.append(f"score fitted: {found.scoring.digest}")
    return "\n".join(lines)


def _told(left_out: dict[str, int]) -> str:
    reasons = "; ".join(f"{number} x {reason.rstrip('.')}" for reason, number in left_out.items())
    return f" (left out: {reasons})" if reasons else ""
