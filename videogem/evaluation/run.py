"""From a dataset, models and methods to rows: resumable, in one process or several."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from videogem.backbones.versions import planned_version
from videogem.datasets.base import Item
from videogem.errors import InputError
from videogem.evaluation import Answers, Prediction, Row, Rule, Skipped, score, source_key
from videogem.evaluation.files import PredictionFiles
from videogem.evaluation.methods import MethodSpec
from videogem.method.settings import Dtype

if TYPE_CHECKING:
    from videogem.evaluation.tower import Ground, TowerPredictor

Advance = Callable[[int], None]

PARTS = 4  # of a batch, each read in a thread of its own and told as done


@dataclass(frozen=True)
class RunOptions:
    """How a run computes; only ``image_size``, ``dtype`` and ``rule`` change the numbers."""

    device: str = "auto"
    batch_size: int = 16
    processes: int = 1
    image_size: int | None = None
    dtype: Dtype = "fp32"
    rule: Rule = "exact"
    predictions_folder: Path | None = None  # where predictions are kept, to resume a run
    tokens_folder: Path | None = None  # where the tower's output is kept
    spread: "Spread | None" = None  # who works on batches elsewhere, such as a cluster
    asks: "Callable[[TowerPredictor], Ground] | None" = None  # who fills the tower's batches


@dataclass(frozen=True)
class Work:
    """What is done with batches of items, wherever: one model's methods. Can be pickled."""

    model: str
    specs: tuple[MethodSpec, ...]
    options: RunOptions

    def start(self) -> Callable[[Sequence[Item]], Answers]:
        """Load the model; what is returned answers a batch."""
        predictor = _make_predictor(self.model, self.specs, self.options)
        asks = self.options.asks
        ground = predictor.ground_batch if asks is None else asks(predictor)
        return lambda items: predictor.answer(items, ground)


Spread = Callable[[Work, Sequence[list[Item]]], Iterator[tuple[int, Answers]]]
"""Gives each batch's number of items and their answers, in any order."""


@dataclass
class RunResult:
    """Rows of a run, models and methods in the order asked for, and the items left out."""

    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def count_pending(
    dataset: str,
    items: Sequence[Item],
    models: Sequence[str],
    specs: Sequence[MethodSpec],
    options: RunOptions,
) -> int:
    """How many items a run still has to go through, over all models, for a progress bar."""
    plans = (_plan(dataset, items, model, specs, options) for model in models)
    return sum(len(plan.pending) for plan in plans)


def run(
    dataset: str,
    items: Sequence[Item],
    models: Sequence[str],
    specs: Sequence[MethodSpec],
    options: RunOptions,
    *,
    advance: Advance | None = None,
) -> RunResult:
    """Evaluate every method on every model, using what an earlier run already predicted.

    Raises:
        InputError: nothing to evaluate, an unknown model, or missing weights.
    """
    if not items:
        raise InputError(
            f"There is nothing to evaluate: the dataset '{dataset}' has no usable item; "
            f"`videogem datasets {dataset}` says why."
        )
    result = RunResult()
    for model in models:
        plan = _plan(dataset, items, model, specs, options)
        skipped = _predict(plan, model, options, advance) if plan.pending else []
        result.skipped.extend(skipped)
        unread = {one.id for one in skipped}
        readable = [item for item in items if item.id not in unread]
        for spec in specs:
            result.rows.append(
                score(
                    readable,
                    plan.known[spec.name],
                    dataset=dataset,
                    model=model,
                    method=spec.name,
                    rule=options.rule,
                )
            )
    unique = {skipped.id: skipped for skipped in result.skipped}
    result.skipped = list(unique.values())
    return result


@dataclass
class _Plan:
    """What one model still has to do."""

    dataset: str
    specs: tuple[MethodSpec, ...]
    versions: dict[str, str]
    known: dict[str, dict[str, Prediction]]
    pending: list[Item]
    files: PredictionFiles | None


def _plan(
    dataset: str,
    items: Sequence[Item],
    model: str,
    specs: Sequence[MethodSpec],
    options: RunOptions,
) -> _Plan:
    versions = {spec.name: _version(model, spec, options) for spec in specs}
    files = None
    known: dict[str, dict[str, Prediction]] = {spec.name: {} for spec in specs}
    if options.predictions_folder is not None:
        files = PredictionFiles(options.predictions_folder, items)
        known = {name: files.load(dataset, version) for name, version in versions.items()}
    pending = [item for item in items if any(item.id not in found for found in known.values())]
    return _Plan(dataset, tuple(specs), versions, known, pending, files)


def _version(model: str, spec: MethodSpec, options: RunOptions) -> str:
    settings = {
        name: getattr(spec.settings, name)
        for name in spec.settings.__dataclass_fields__
        if name != "method"
    }
    version = planned_version(
        model,
        spec.settings.method,
        image_size=options.image_size,
        dtype=options.dtype,
        **settings,
    )
    return f"{version}-repeat" if spec.repeat_target else version


def _predict(
    plan: _Plan, model: str, options: RunOptions, advance: Advance | None
) -> list[Skipped]:
    """Fill in a plan's missing predictions and store them; returns what had to be left out."""

    def keep(name: str, predictions: Sequence[Prediction]) -> None:
        fresh = [p for p in predictions if p.id not in plan.known[name]]
        plan.known[name].update((p.id, p) for p in fresh)
        if plan.files is not None:
            plan.files.add(plan.dataset, plan.versions[name], fresh)

    work = Work(model, plan.specs, replace(options, spread=None))
    spread = options.spread or (_in_processes if options.processes > 1 else _in_threads)
    skipped: list[Skipped] = []
    for count, (answers, left_out) in spread(work, list(_split(plan.pending, options.batch_size))):
        for spec, predictions in zip(plan.specs, answers, strict=True):
            keep(spec.name, predictions)
        skipped.extend(left_out)
        if advance is not None:
            advance(count)
    return skipped


def _make_predictor(
    model: str, specs: Sequence[MethodSpec], options: RunOptions
) -> "TowerPredictor":
    from videogem.backbones.zoo import load_backbone
    from videogem.evaluation.tower import TowerPredictor

    backbone = load_backbone(
        model, device=options.device, image_size=options.image_size, dtype=options.dtype
    )
    return TowerPredictor(
        backbone,
        specs,
        tokens_folder=options.tokens_folder,
        image_size=options.image_size,
        batch_size=options.batch_size,
    )


def _in_threads(work: Work, batches: Sequence[list[Item]]) -> Iterator[tuple[int, Answers]]:
    """Where somebody else fills the batches, what comes next is read meanwhile."""
    answer = work.start()
    if work.options.asks is None:
        yield from ((len(batch), answer(batch)) for batch in batches)
        return
    parts = [part for batch in batches for part in _parts(batch, len(batch) // PARTS)]
    pool = ThreadPoolExecutor(2 * PARTS, "read")
    try:
        for part, found in zip(parts, pool.map(answer, parts), strict=True):
            yield len(part), found
    finally:
        pool.shutdown(cancel_futures=True)


def _parts(batch: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """So many items at least, those of one frame together: it is read and encoded once."""
    part: list[Item] = []
    for _, same in groupby(batch, source_key):
        part += same
        if len(part) >= size:
            yield part
            part = []
    if part:
        yield part


def _in_processes(work: Work, batches: Sequence[list[Item]]) -> Iterator[tuple[int, Answers]]:
    # Spawned, not forked: a forked child cannot use CUDA, nor OpenMP threads of its parent.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(work.options.processes, context, _start_worker, (work,)) as pool:
        for batch, found in zip(batches, pool.map(_work, batches), strict=True):
            yield len(batch), found


def _split(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


_answer: Callable[[Sequence[Item]], Answers] | None = None  # one per process, by _start_worker


def _start_worker(work: Work) -> None:
    global _answer
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // work.options.processes))
    _answer = work.start()


def _work(batch: list[Item]) -> Answers:
    assert _answer is not None
    return _answer(batch)
