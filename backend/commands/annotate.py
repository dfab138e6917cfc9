"""`videogem annotate`: pre-annotate a whole project through Label Studio's API."""

from pathlib import Path

import typer

from backend.commands.support import engine_options as engines
from backend.commands.support.progress import progress
from videogem.backbones.known import check_model

SHOWN_FAILURES = 20


def register(app: typer.Typer) -> None:
    app.command()(annotate)


def annotate(
    *,
    project: str = typer.Option(
        ..., help="The Label Studio project: NUMBER, or NUMBER@SERVER where several are configured."
    ),
    file: Path | None = typer.Option(
        None, "--from", help="Take them from a file of `videogem predict`, and predict nothing."
    ),
    limit: int | None = typer.Option(None, min=1, help="Predict at most so many tasks."),
    overwrite: bool = typer.Option(
        False, "--overwrite", help="Predict all tasks and replace predictions of this version."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only count what there is to do."),
    engine: engines.Engine = "local",
    address: engines.Address = None,
    cores: engines.Cores = 1,
    patience: engines.Patience = 600.0,
) -> None:
    """Predict every task that has no prediction of this model version, and save it.

    With --from the rows of a bulk run are saved instead, for the tasks that show the same media.

    May be stopped at any moment and started again: it does what is left. Label Studio's address
    and key come from VIDEOGEM_LABEL_STUDIO_URL and VIDEOGEM_LABEL_STUDIO_API_KEY. The exit code is
    0 when every task has its prediction, 1 when some failed, 2 when nothing could be done.
    """
    from backend.settings import load_settings

    settings = load_settings()
    if file is None:
        check_model(settings.model)
    from backend.bulk.imports import FromFile
    from backend.commands.support.cluster_jobs import OnCluster, models_of
    from backend.label_studio.connections import Connections
    from backend.media.media import Media
    from backend.prediction.annotate import Here, Predictor
    from backend.prediction.annotate import annotate as run
    from backend.web.app import configured_store

    connections = Connections(settings)
    key, label_studio = connections.named(project)
    cluster = engines.cluster_of(engine, address, cores, patience)
    predictor: Predictor
    if file is not None:
        predictor = FromFile(file)
    elif cluster is not None:
        predictor = OnCluster(settings, cluster)
    else:
        predictor = Here(models_of(settings), Media(settings, connections))
    with progress("tasks") as update:
        tally = run(
            label_studio,
            key.id,
            predictor=predictor,
            record=configured_store(settings).record_all,
            score_threshold=settings.score_threshold,
            limit=limit,
            overwrite=overwrite,
            dry_run=dry_run,
            report=lambda tally: update(tally.seen, tally.total),
        )
    for task, reason in tally.failures[:SHOWN_FAILURES]:
        typer.echo(f"task {task}: {reason}", err=True)
    if len(tally.failures) > SHOWN_FAILURES:
        typer.echo(f"... and {len(tally.failures) - SHOWN_FAILURES} more", err=True)
    verb = "to predict" if dry_run else "predicted"
    typer.echo(
        f"{tally.done} {verb}, {tally.skipped} had a prediction of this version, "
        f"{len(tally.failures)} failed, of {tally.total}"
    )
    if tally.failures:
        typer.echo("Next: mend what the reasons above say, and run this again: it does the rest.")
        raise typer.Exit(1)
    if dry_run:
        typer.echo("Next: run this again without --dry-run.")
    else:
        typer.echo(
            f"Next: open {label_studio.url}/projects/{key.id}/data, order the tasks by Prediction "
            "score, lowest first, and correct what is wrong."
        )
