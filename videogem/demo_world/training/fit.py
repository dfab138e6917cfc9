"""The training loop of the demo models: a schedule by the clock, no weights lost."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

logger = logging.getLogger(__name__)

WEIGHT_DECAY = 0.1
_LOG_SECONDS, _SAVE_SECONDS = 20.0, 110.0

Compute = Callable[[float], tuple[Float[Tensor, ""], Float[Tensor, ""]]]
"""Share of the time that has passed -> loss of the next batch, and share of samples got right."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    minutes: float
    batch_size: int
    learning_rate: float
    warmup_steps: int

    def rate(self, step: int, share: float) -> float:
        """Linear warm-up by step times a cosine by the share of the time that has passed."""
        warmup = min(1.0, (step + 1) / self.warmup_steps)
        return self.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def start_logging() -> None:
    """Log to the terminal, and let a polite kill end the training like Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler()])
    signal.signal(signal.SIGTERM, _interrupt)


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def make_optimizer(model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """AdamW that decays matrices and tables, not biases, norms or single vectors."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=0.0, betas=(0.9, 0.98), eps=1e-6, fused=device.type == "cuda"
    )


def fit(
    model: nn.Module,
    schedule: Schedule,
    compute: Compute,
    save: Callable[[int, float], None],
    device: torch.device,
    *,
    after_step: Callable[[], None] = lambda: None,
    warm_up: Sequence[float] = (0.0,),
    passed_minutes: float = 0.0,
    max_steps: int | None = None,
) -> int:
    """Train until the minutes are over or ``max_steps`` are done; returns the steps.

    ``save`` gets the steps and minutes every two minutes, and once more however this ends. On a
    GPU, batches at the ``warm_up`` shares are computed first, so that compiling does not count.
    """
    optimizer = make_optimizer(model, device)
    model.train()

    def backward(share: float) -> tuple[Tensor, Tensor]:
        value, accuracy = compute(share)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        return value.detach(), accuracy

    if device.type == "cuda":
        compiling = time.monotonic()
        for share in warm_up:
            backward(share)
        torch.cuda.synchronize()
        logger.info("compiled in %.0f s", time.monotonic() - compiling)

    step, minutes = 0, passed_minutes
    first = logged = saved = time.monotonic()
    with _progress(schedule.minutes) as show:
        try:
            while minutes < schedule.minutes and (max_steps is None or step < max_steps):
                share = minutes / schedule.minutes
                for group in optimizer.param_groups:
                    group["lr"] = schedule.rate(step, share)
                value, accuracy = backward(share)
                optimizer.step()
                after_step()
                step += 1
                now = time.monotonic()
                minutes = passed_minutes + (now - first) / 60
                show(minutes)
                if now - logged > _LOG_SECONDS or step == 1:
                    logged = now
                    logger.info(
                        "step %d, %.2f min: loss %.3f, fitting caption first %.1f %%, %.0f/s",
                        step,
                        minutes,
                        value.item(),
                        100 * accuracy.item(),
                        step * schedule.batch_size / (now - first),
                    )
                if now - saved > _SAVE_SECONDS:
                    saved = now
                    save(step, minutes)
        finally:
            save(step, minutes)
    return step


@contextmanager
def _progress(minutes: float) -> Iterator[Callable[[float], None]]:
    """A bar over the minutes; only a terminal shows it, log lines appear everywhere."""
    columns = (TextColumn("training"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=minutes)

        def show(passed: float) -> None:
            progress.update(task, completed=passed)

        yield show


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
