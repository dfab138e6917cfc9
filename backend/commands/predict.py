"""`videogem predict`: ground everything in many files, into one file of rows."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import typer

from backend.commands.support import engine_options as engines
from backend.commands.support import numbers
from backend.commands.support.progress import progress
from backend.folders import check_file
from videogem.backbones.known import check_model
from videogem.errors import InputError, check_choice
from videogem.method.settings import JpegDecoder, method_settings

if TYPE_CHECKING:
    from backend.bulk.files import RowFile
    from backend.bulk.rows import Row
    from backend.bulk.units import Failure, Unit
    from backend.commands.support.bulk_sources import Wanted

WRITTEN_TOGETHER = 256  # rows, or what there is after
WRITTEN_EVERY = 2.0  # seconds


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    sources: list[Path] = typer.Argument(
        help="Images, videos, folders of them, exports of Label Studio (.json), lines (.jsonl)."
    ),
    *,
    out: Path = typer.Option(..., help="FILE.jsonl or FILE.parquet; one that is there is resumed."),
    narration: str | None = typer.Option(None, help="What happens, where nothing else says it."),
    subtitles: Path | None = typer.Option(
        None, help="What was said in the one video; default: the file beside each video."
    ),
    at: str = typer.Option("middle", help="Moment of a cue: start, middle or end."),
    offset: float = typer.Option(
        0.0, callback=numbers.finite, help="Seconds added to that moment."
    ),
    every: float | None = typer.Option(
        None, callback=numbers.positive, help="Instead: every so many seconds in a cue."
    ),
    actions_only: bool = typer.Option(
        False, "--actions-only", help="Leave out cues that tell of nothing to be seen."
    ),
    files_root: Path | None = typer.Option(
        None, help="Folder of the files an export names; default: the export's own."
    ),
    narration_field: str | None = typer.Option(
        None, help="Label Studio: the data field with the narration."
    ),
    media_field: str | None = typer.Option(
        None, help="Label Studio: the data field with the image, video or frames."
    ),
    model: str = typer.Option("demo", help="A name that `videogem models` lists."),
    method: str = typer.Option(
        "videogem", help="videogem, gem, gem6, clip_surgery, maskclip, clip."
    ),
    image_size: int | None = typer.Option(None, help="Input side in pixels; default: the model's."),
    profile: str | None = typer.Option(
        None,
        help="Settings and score of `videogem calibrate`, or 'shipped'; default: the one in use, "
        "where it is for this model and these options.",
    ),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    dtype: str = typer.Option(
        "auto", help="auto (bfloat16 on a GPU, float32 on a CPU), float32 or bfloat16."
    ),
    engine: engines.Engine = "local",
    address: engines.Address = None,
    cores: engines.Cores = 1,
    patience: engines.Patience = 600.0,
    compiling: str = typer.Option(
        "auto", "--compile", help="Compile the image tower meanwhile: auto (on a GPU), on or off."
    ),
    workers: int = typer.Option(
        1,
        min=1,
        callback=numbers.processes,
        help="Processes that ground, for each GPU; on a CPU they share its cores.",
    ),
    devices: int = typer.Option(1, min=1, help="GPUs to use."),
    jpeg: str = typer.Option(
        "cpu", help="Who decodes JPEG: cpu, or gpu (faster; pixels differ a little)."
    ),
) -> None:
    """Ground every narrated moment of many files; the rows are for programs to read.

    May be stopped at any moment and started again: it does what is left. What cannot be grounded
    is written beside the file with its reason and tried again by the next run. The exit code is 0
    when every moment has its row, 1 when some failed, 2 when nothing could be done.
    """
    check_model(model)
    method_settings(method)
    check_file(out, "--out")
    from videogem.narration.reading import At

    check_choice("--at", at, get_args(At))
    check_choice("--jpeg", jpeg, get_args(JpegDecoder))
    from backend.bulk.files import RowFile
    from backend.bulk.grounding import GroundingJob, sent_from
    from backend.bulk.local import ground_here
    from backend.bulk.models import ModelChoice
    from backend.bulk.on_ray import spread
    from backend.bulk.processes import ground_in_processes, places
    from backend.commands.support.bulk_sources import Wanted
    from backend.prediction.profiles import profile_named, settings_of
    from backend.settings import load_settings
    from videogem.backbones.numerics import resolve
    from videogem.narration.action_cues import why_no_action

    wanted = Wanted(
        narration=narration,
        subtitles=subtitles,
        at=cast("At", at),
        offset=offset,
        every=every,
        judge=why_no_action if actions_only else None,
        files_root=files_root,
        narration_field=narration_field,
        media_field=media_field,
    )
    if engine != "local" and workers * devices > 1:
        raise InputError(
            "--workers and --devices are for this machine; with --engine ray say --cores."
        )
    cluster = engines.cluster_of(engine, address, cores, patience)
    own = profile_named(
        load_settings().data_dir,
        profile,
        model,
        method,
        unusual=["--image-size"] if image_size is not None else [],
    )
    numerics = resolve(dtype, compiling, device, cast("JpegDecoder", jpeg))
    chosen = ModelChoice(model, method, device, image_size, **numerics, settings=settings_of(own))
    with RowFile(out, chosen.version) as file:
        num_before = len(file.done)
        units = _units_to_do(sources, wanted, file)
        total = sum(len(unit.asks) for unit in units)
        if units:
            if cluster is not None:
                sent = sent_from(Path.cwd(), units)
                results = spread(sent, GroundingJob(chosen), cluster, num_results=total)
            elif workers * devices > 1:
                results = ground_in_processes(units, chosen, places(device, devices, workers))
            else:
                results = ground_here(units, chosen.load())
            _write(file, results, total)
        file.finish()
        if not file.done:
            raise InputError(_nothing(file))
        _tell(file, num_before)
        if file.num_failures:
            raise typer.Exit(1)


def _units_to_do(sources: list[Path], wanted: "Wanted", file: "RowFile") -> "list[Unit]":
    """What the sources ask for and the file does not have; what cannot be used is noted there."""
    from rich.console import Console

    from backend.bulk.units import Failure, failure
    from backend.commands.support.bulk_sources import find_units

    seen: dict[str, int] = {}
    units: list[Unit] = []
    with Console(stderr=True).status("Looking through the sources"):
        for found in find_units(sources, wanted):
            if isinstance(found, Failure):
                file.fail([found])
                continue
            asks = []
            for ask in found.asks:
                question = hash((found.source, ask))
                if ask.id not in seen:
                    seen[ask.id] = question
                    if ask.id not in file.done:
                        asks.append(ask)
                elif seen[ask.id] != question:  # else the same source was named twice
                    reason = "Another entry has the same id; ids must differ."
                    file.fail([failure(found.source, ask, reason)])
            if asks:
                units.append(replace(found, asks=tuple(asks)))
    return units


def _write(file: "RowFile", results: "Iterable[Row | Failure]", total: int) -> None:
    """Write results as they come, some at a time, under a progress bar."""
    from backend.bulk.units import Failure

    ready: list[Row] = []
    written_at = time.monotonic()
    with progress("moments") as update:
        update(0, total)
        try:
            for done, result in enumerate(results, start=1):
                if isinstance(result, Failure):
                    file.fail([result])
                else:
                    ready.append(result)
                now = time.monotonic()
                if len(ready) >= WRITTEN_TOGETHER or now - written_at >= WRITTEN_EVERY:
                    rows, ready, written_at = ready, [], now
                    file.add(rows)
                update(done, total)
        finally:  # a run that breaks off keeps what came
            file.add(ready)


def _nothing(file: "RowFile") -> str:
    if file.num_failures:
        told = f"Nothing could be grounded; '{file.failures_path}' has the reasons."
    else:
        told = "The sources hold nothing to ground."
    return f"{told} No '{file.path.name}' is written."


def _tell(file: "RowFile", num_before: int) -> None:
    typer.echo(
        f"{len(file.done)} rows in {file.path}: {len(file.done) - num_before} new, "
        f"{num_before} of earlier runs; {file.num_failures} failed"
    )
    if file.num_failures:
        typer.echo(f"The reasons are in {file.failures_path}; the next run tries them again.")
    if file.done:
        typer.echo(
            f"Next: 'videogem annotate --project NUMBER --from {file.path}' gives them to the "
            "tasks of a Label Studio project that show the same files."
        )
