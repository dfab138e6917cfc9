"""How many reviews does the score save, and do the intervals cover? Simulated projects.

    python -m benchmarks.reviews_saved [--runs 1000] [--seed 0] [--out docs/reviews_saved.svg]

A project has tasks with a hit or a miss each, and a score of a given AUROC (two normal
distributions). Reviews are drawn by the code of `videogem qa plan`, in rounds, and estimated by
that of `videogem qa estimate`. Printed as the tables of docs/reviews.md: how often nominal 95 %
intervals hold the truth, and how many reviews it takes until half an interval is 2 points, beside
the number that uniform sampling takes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backend.qa.estimates.plan import draw
from backend.qa.estimates.population import Population, Predicted
from backend.qa.estimates.project import estimate_population

ROUNDS = 3
HALF = 0.02  # of the interval that is asked for
NEEDED_TASKS, NEEDED_ACCURACY, NEEDED_STEP = 20_000, 0.65, 100
AUROCS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Setting:
    """One kind of project: how many reviews (or videos), and how alike a video's tasks are."""

    accuracy: float
    auroc: float
    reviews: int
    per_video: int = 1
    alike: float = 0.0
    by_video: bool = False
    tasks: int = 2000

    @property
    def words(self) -> str:
        how = f"{self.reviews} whole videos" if self.by_video else f"{self.reviews} by plan"
        videos = f", {self.per_video} frames a video, alike {self.alike}" * (self.per_video > 1)
        return f"accuracy {self.accuracy}, AUROC {self.auroc}{videos}: {how}"


SETTINGS = (
    Setting(0.65, 0.85, 60), Setting(0.65, 0.85, 300), Setting(0.9, 0.85, 100),
    Setting(0.9, 0.85, 400), Setting(0.95, 0.9, 200), Setting(0.5, 0.5, 100),
    Setting(0.3, 0.9, 200), Setting(0.65, 0.97, 100),
    Setting(0.65, 0.85, 150, per_video=20, alike=0.6),
    Setting(0.9, 0.85, 200, per_video=20, alike=0.9),
    Setting(0.7, 0.85, 20, per_video=20, alike=0.6, by_video=True),
    Setting(0.7, 0.85, 40, per_video=20, alike=0.6, by_video=True),
    Setting(0.9, 0.85, 30, per_video=20, alike=0.3, by_video=True),
    Setting(0.7, 0.85, 60, per_video=8, alike=0.9, by_video=True),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A simulated project: tasks with score, hit and video."""

    scores: dict[int, float | None]
    hits: dict[int, bool]
    videos: dict[int, int]

    @property
    def accuracy(self) -> float:
        return sum(self.hits.values()) / len(self.hits)


def world(
    tasks: int, accuracy: float, auroc: float, rng: np.random.Generator, *, per_video: int = 1,
    alike: float = 0.0,
) -> World:  # fmt: skip
    """Tasks whose score tells hits from misses with this AUROC.

    Of a video's tasks a share of about ``alike`` has the outcome of its first.
    """
    hits = rng.random(tasks) < accuracy
    video = np.arange(tasks) // per_video
    follow = rng.random(tasks) < alike
    hits = np.where(follow, hits[video * per_video], hits)
    from scipy.special import expit, ndtri

    shift = math.sqrt(2) * float(ndtri(auroc))
    scores = expit(rng.normal(size=tasks) + shift * hits)
    return World(
        dict(enumerate(scores.tolist())), dict(enumerate(hits.tolist())),
        dict(enumerate(video.tolist())),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One simulated estimate."""

    reviews: int
    half_width: float
    covers: bool
    error: float


def by_plan(
    made: World, budget: int, seed: int, *, rounds: int = ROUNDS, until: float | None = None
) -> Outcome:
    """Review by plan, in rounds; ``until`` ends as soon as half the interval is that short."""
    known: dict[int, float] = {}
    plans = []
    for number in range(1, rounds + 1):
        size = round(budget * number / rounds) - len(known)
        plans.append(draw(made.scores, size, rounds=plans, hits=known, seed=seed + number))
        known |= {task: float(made.hits[task]) for tasks in plans[-1].chosen for task in tasks}
        if until is not None:
            found = estimate_population(_population(made, known), plans)[0]
            if found.half_width is not None and found.half_width <= until:
                break
    found = estimate_population(_population(made, known), plans)[0]
    return _outcome(made, found.accuracy, found.low, found.high, len(known))


def by_video(made: World, videos: int, seed: int) -> Outcome:
    """Review whole videos, without a plan."""
    rng = np.random.default_rng(seed)
    chosen = set(rng.choice(len(set(made.videos.values())), videos, replace=False).tolist())
    known = {task: float(hit) for task, hit in made.hits.items() if made.videos[task] in chosen}
    found = estimate_population(_population(made, known), [])[0]
    return _outcome(made, found.accuracy, found.low, found.high, len(known))


def reviews_needed(
    auroc: float, *, accuracy: float, tasks: int, runs: int, seed: int, step: int = NEEDED_STEP
) -> list[Outcome]:
    """Draws by plan, ``step`` at a time, until half the interval is at most `HALF`."""
    return [
        by_plan(
            world(tasks, accuracy, auroc, np.random.default_rng([seed, run])),
            60 * step, 100 * run, rounds=60, until=HALF,
        )
        for run in range(runs)
    ]  # fmt: skip


def needed_uniformly(accuracy: float, tasks: int) -> int:
    """Uniformly drawn reviews for the same, of a project of so many tasks."""
    from scipy.special import ndtri

    infinite = float(ndtri(0.975)) ** 2 * accuracy * (1 - accuracy) / HALF**2
    return math.ceil(infinite / (1 + infinite / tasks))


def _population(made: World, known: dict[int, float]) -> Population:
    tasks = [
        Predicted(task, score, 1, made.videos[task], known.get(task))
        for task, score in made.scores.items()
    ]
    return Population("m", tasks, {})


def _outcome(
    made: World, accuracy: float | None, low: float | None, high: float | None, reviews: int
) -> Outcome:
    if accuracy is None or low is None or high is None:
        raise ValueError(f"{reviews} reviews are too few for an estimate")
    truth = made.accuracy
    covers = low <= truth <= high
    return Outcome(reviews, (high - low) / 2, covers, accuracy - truth)


def coverage(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Share of the intervals that hold the truth, and the mean of half their length."""
    return (
        float(np.mean([one.covers for one in outcomes])),
        float(np.mean([one.half_width for one in outcomes])),
    )


def simulate(setting: Setting, runs: int, seed: int) -> list[Outcome]:
    """Estimates of so many projects of one kind."""
    found = []
    for run in range(runs):
        made = world(
            setting.tasks, setting.accuracy, setting.auroc, np.random.default_rng([seed, run]),
            per_video=setting.per_video, alike=setting.alike,
        )  # fmt: skip
        review = by_video if setting.by_video else by_plan
        found.append(review(made, setting.reviews, 100 * run))
    return found


def picture(rows: Sequence[dict[str, object]], out: Path) -> None:
    """Reviews needed by AUROC, by plan and uniformly, as SVG or PNG."""
    import altair as alt

    base = alt.Chart(alt.Data(values=list(rows))).encode(
        x=alt.X("auroc:Q", title="AUROC of the score: hit against miss",
                scale=alt.Scale(domain=[0.48, 0.98])),
        y=alt.Y("reviews:Q", title="reviews for \u00b12 %", scale=alt.Scale(domain=[0, 2300])),
        color=alt.Color("how:N", title=None, sort=["uniformly", "by plan"],
                        legend=alt.Legend(orient="bottom"),
                        scale=alt.Scale(range=["#6b6b6b", "#1f6feb"])),
    )  # fmt: skip
    text = alt.Text("reviews:Q", format=",.0f")
    planned = base.transform_filter("datum.how == 'by plan' && datum.auroc > 0.6")
    uniform = base.transform_filter(f"datum.how == 'uniformly' && datum.auroc == {AUROCS[-1]}")
    title = f"{NEEDED_TASKS:,} tasks, accuracy {NEEDED_ACCURACY:.0%}"
    layers = alt.layer(
        base.mark_line(point=True),
        planned.mark_text(dy=15, dx=-12).encode(text=text),
        uniform.mark_text(dy=-10).encode(text=text),
    )
    layers.properties(width=460, height=240, title=title, background="white").save(out)


def main(
    runs: Annotated[int, typer.Option(help="Simulated projects of each kind.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the random numbers.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="SVG or PNG of the reviews that are saved.")
    ] = None,
) -> None:
    """Coverage of nominal 95 % intervals, and reviews needed for +- 2 %."""
    typer.echo("| simulated project | covers | half an interval | bias |\n|---|---|---|---|")
    for setting in SETTINGS:
        found = simulate(setting, runs, seed)
        covers, half = coverage(found)
        bias = float(np.mean([one.error for one in found]))
        typer.echo(
            f"| {setting.words} | {100 * covers:.1f} % | {100 * half:.1f} % | {100 * bias:+.2f} % |"
        )
    uniform = needed_uniformly(NEEDED_ACCURACY, NEEDED_TASKS)
    rows: list[dict[str, object]] = []
    typer.echo("\n| AUROC | reviews by plan | uniformly | saved | covers |\n|---|---|---|---|---|")
    for auroc in AUROCS:
        found = reviews_needed(
            auroc, accuracy=NEEDED_ACCURACY, tasks=NEEDED_TASKS, runs=max(1, runs // 100), seed=seed
        )
        planned = float(np.mean([one.reviews for one in found]))
        rows += [
            {"auroc": auroc, "reviews": planned, "how": "by plan"},
            {"auroc": auroc, "reviews": uniform, "how": "uniformly"},
        ]
        typer.echo(
            f"| {auroc} | {planned:,.0f} | {uniform:,} | {100 * (1 - planned / uniform):.0f} % | "
            f"{100 * coverage(found)[0]:.0f} % of {len(found)} |"
        )
    if out is not None:
        picture(rows, out)


if __name__ == "__main__":
    typer.run(main)
