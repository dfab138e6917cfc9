"""`videogem tasks`: a video and its subtitles become Label Studio tasks."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import unquote

import typer

from backend.commands.support.numbers import finite, positive
from backend.commands.support.quick_spacy import import_spacy_alone
from backend.commands.support.sidecars import sidecar_of
from backend.folders import check_folder
from videogem.backbones.known import check_model
from videogem.errors import InputError, check_choice

if TYPE_CHECKING:
    from backend.commands.support.task_building import Advance, Kind, Moment
    from videogem.media.sources import VideoInfo
    from videogem.narration.reading import At, Cue
    from videogem.structures import WordCut

CONFIGS = {"frame": "frame", "frames": "frame_list", "video": "video"}  # of --kind


def register(app: typer.Typer) -> None:
    app.command()(tasks)


def tasks(
    video: Path = typer.Argument(help="The video file."),
    *,
    subtitles: Path | None = typer.Option(
        None, help="What was said, and when; default: the file beside the video."
    ),
    kind: str = typer.Option("frame", help="One task a frame, a list of frames, or the video."),
    out: Path = typer.Option(Path("tasks"), help="Folder for tasks.json and the frames."),
    at: str = typer.Option("middle", help="Moment of a cue: start, middle, end or best."),
    offset: float = typer.Option(0.0, callback=finite, help="Seconds added to that moment."),
    every: float | None = typer.Option(
        None, callback=positive, help="Instead: every so many seconds in a cue."
    ),
    candidates: int = typer.Option(5, help="Frames a cue that --at best chooses from."),
    actions_only: bool = typer.Option(
        False, "--actions-only", help="Leave out cues that tell of nothing to be seen."
    ),
    url_prefix: str = typer.Option(
        "/data/local-files/?d=", help="What comes before a file's path in the tasks."
    ),
    files_root: Path | None = typer.Option(
        None, help="Folder those paths start from; default: --out."
    ),
    format: str | None = typer.Option(None, help="Form of the subtitles, if not as its name says."),
    model: str = typer.Option("demo", help="Model that --at best compares frames with words by."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Show cues, times and prompts; write nothing."
    ),
    paper_words: bool = typer.Option(
        False, "--paper-words", help="Show words cut as the paper does, not as people write."
    ),
    as_json: bool = typer.Option(False, "--json", help="With --dry-run: print JSON."),
) -> None:
    """Make Label Studio tasks from a video and what was said in it."""
    if not video.exists():
        raise InputError(f"There is no video '{video}'; check the path.")
    _check(kind=kind, at=at, format=format)
    if at == "best":
        check_model(model)
    if not dry_run:
        check_folder(out, "--out")
    from backend.commands.support.task_building import build_tasks, choose_best, plan_moments
    from backend.commands.support.task_folder import add_tasks, check_tasks
    from videogem.media.video import probe
    from videogem.narration.action_cues import why_no_action

    if as_json and not dry_run:
        raise InputError("--json belongs to --dry-run; tasks themselves are written as JSON.")
    if dry_run and at != "best":
        import_spacy_alone()
    info = probe(video)
    cues = _read_cues(video, subtitles, format, info)
    moments = plan_moments(
        cues,
        info,
        at=cast("At", "middle" if at == "best" else at),
        offset=offset,
        every=every,
        judge=why_no_action if actions_only else None,
    )
    if at == "best" and every is None and kind != "video":
        score, num_frames = _scorer(model, device)
        with _progress("Choosing frames") as advance:
            moments = choose_best(
                video,
                moments,
                score,
                count=candidates,
                num_frames=num_frames,
                offset=offset,
                advance=advance,
            )
    words: WordCut = "paper" if paper_words else "everyday"
    if dry_run and as_json:
        rows = [_row(moment, words) for moment in moments]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    elif dry_run:
        _show(moments, words)
    _tell_language(cues)
    if dry_run:
        return
    if all(moment.reason for moment in moments):
        raise InputError("No cue is left to make a task of; --dry-run shows the reason for each.")
    check_tasks(out)
    with _progress("Writing frames") as advance:
        made = build_tasks(
            video,
            cues,
            kind=cast("Kind", kind),
            out_dir=out,
            url_prefix=url_prefix,
            files_root=files_root,
            moments=moments,
            advance=advance,
        )
    added = add_tasks(out, made)
    left_out = len({moment.cue for moment in moments if moment.reason})
    typer.echo(
        f"{added.total} tasks in {added.path}: {added.new} new, {added.renewed} written again, "
        f"{added.kept} of other runs; cues left out: {left_out} of {len(cues)}"
    )
    url = made[0]["data"].get("video") or made[0]["data"].get("frame")
    typer.echo(_next_steps(out, files_root, url_prefix, kind, url or made[0]["data"]["frames"][0]))


def _check(*, kind: str, at: str, format: str | None) -> None:
    from videogem.narration.reading import At, narration_forms

    check_choice("--kind", kind, CONFIGS)
    check_choice("--at", at, (*get_args(At), "best"))
    if format is not None:
        check_choice("--format", format, narration_forms())


def _read_cues(
    video: Path, subtitles: Path | None, format: str | None, info: "VideoInfo"
) -> list["Cue"]:
    from videogem.narration.reading import read_cues

    if info.kind != "video":
        raise InputError(f"{video} is no video; tasks are made from a video and its subtitles.")
    if subtitles is None:
        subtitles = sidecar_of(video)
    if subtitles is None:
        raise InputError(f"There are no subtitles beside {video.name}; name them with --subtitles.")
    return read_cues(subtitles, format, video=video.name, duration=info.duration)


def _scorer(model: str, device: str) -> tuple[Any, int]:
    from backend.prediction.batcher import Batcher
    from backend.prediction.questions import Priority, Question
    from videogem.grounding import load_grounder
    from videogem.narration.prompts import parse

    batcher = Batcher(load_grounder(model, device=device))

    def score(clip: Any, text: str) -> float:
        prompt = parse(text).action_prompt
        answer = batcher.ask(Question(clip, texts=[prompt]), Priority.REQUEST).result()
        return (answer.scores or {})[prompt]

    return score, batcher.num_frames


def _row(moment: "Moment", words: "WordCut") -> dict[str, Any]:
    from videogem.narration.prompts import parse

    cue = moment.cue
    kept = moment.reason is None
    found = parse(cue.text, words=words) if any(map(str.isalnum, cue.text)) else None
    return {
        "start": cue.start,
        "end": cue.end,
        "text": cue.text,
        "time": moment.time if kept else None,
        "verb": found.verbs[0] if found and found.verbs else None,
        "object": found.objects[0] if found and found.objects else None,
        "kept": kept,
        "reason": moment.reason,
    }


def _tell_language(cues: Sequence["Cue"]) -> None:
    from videogem.narration.language import why_not_english

    foreign = why_not_english(" ".join(cue.text for cue in cues[:200]))
    if foreign is not None:
        typer.echo(f"Note: {foreign}", err=True)


def _show(moments: Sequence["Moment"], words: "WordCut") -> None:
    """Print a table: what is said when, the moment looked at, the prompts, or why not."""
    from rich.console import Console
    from rich.table import Table

    from videogem.narration.prompts import parse

    table = Table(
        "cue", "time", "chosen", "narration", "verb prompt", "object prompt", "action prompt"
    )
    for moment in moments:
        cue = moment.cue
        span = f"{cue.start:.2f}-{cue.end:.2f}"
        if moment.reason is not None:
            table.add_row(span, "-", "left out", cue.text, moment.reason)
            continue
        prompts = parse(cue.text, words=words).select()
        table.add_row(span, f"{moment.time:.2f}", moment.choice, cue.text, *prompts.texts)
    console = Console()
    if not console.is_terminal:
        console.width = 240  # piped: lines are not to be folded to a narrow default
    console.print(table)


def _next_steps(out: Path, files_root: Path | None, url_prefix: str, kind: str, url: str) -> str:
    """What to do with the tasks, in three steps."""
    from backend.commands.support.task_building import LOCAL_FILES

    root = (files_root or out).resolve()
    if url_prefix == LOCAL_FILES:
        # Label Studio serves folders below its document root, never the root itself.
        folder = (root / unquote(url.removeprefix(url_prefix))).parent
        if out.resolve() != root and folder.is_relative_to(out.resolve()):
            folder = out.resolve()
        serve = (
            "Start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}, and in the project add {folder} under "
            "Settings > Cloud storage > Add source storage > Local files."
        )
    else:
        serve = f"Make sure that the files below {root} can be had at {url_prefix}."
    return "\n".join(
        (
            "Next:",
            f"1. Make a project with the labeling config that 'videogem configs {CONFIGS[kind]}' "
            f"prints. {serve}",
            f"2. Import {out / 'tasks.json'} into the project.",
            "3. Run 'videogem serve', connect its address under Settings > Model, then select the "
            "tasks and choose Actions > Retrieve predictions.",
        )
    )


@contextmanager
def _progress(title: str) -> Iterator["Advance"]:
    """A bar on stderr, so that stdout stays clean."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(row, completed=done, total=total)

        yield advance
