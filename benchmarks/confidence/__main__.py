"""`python -m benchmarks.confidence`: features, fit, and how well the score keeps its word."""

import sys
from pathlib import Path
from typing import Any

import typer

from benchmarks.confidence import fit
from videogem.backbones.zoo import load_backbone
from videogem.grounding import VideoGEM, load_grounder

app = typer.Typer(help=__doc__, add_completion=False)


MODEL = typer.Option("demo", help="demo or demo-viclip.")


@app.command("features")
def features(model: str = MODEL) -> None:
    """Ground the frames that the shipped fit is made of."""
    fit.write_features(model, VideoGEM(load_backbone(model)))  # no fit is needed to make one


@app.command("fit")
def make_fit(model: str = MODEL) -> None:
    """Fit the shipped scoring to the features."""
    sys.stdout.write(f"{fit.write_fit(model)}\n")


@app.command("heldout")
def heldout(
    out: Path | None = typer.Option(None, help="Folder for the two pictures."),
    num_scenes: int = 400,
    seed: int = 21,
    model: str = MODEL,
) -> None:
    """Hit against miss, and present against absent, on splits that the fit has not seen."""
    from benchmarks.confidence import heldout

    heldout.report(model, num_scenes, seed, out)


@app.command("projects")
def simulated(
    pool: Path = typer.Argument(help="Where the groundings are kept; made if it is not there."),
    style: int = typer.Option(260, help="Scenes of the unseen style."),
    pairs: int = typer.Option(90, help="Scenes of unseen pairs."),
    layers: int = typer.Option(6, help="How many layer and temperature settings to choose from."),
    runs: int = typer.Option(100, help="Projects of each kind."),
    seed: int = 41,
) -> None:
    """Calibrate simulated projects, half of them of the unseen style alone."""
    from benchmarks.confidence import projects

    if not pool.exists():
        grounder: Any = load_grounder("demo")
        projects.make_pool(grounder, pool, style, pairs, seed, layers)
    both = projects.read_pool(pool)
    strange = [i for i, name in enumerate(both.videos) if name.startswith("unseen-style")]
    projects.tell("unseen style", projects.simulate(both.take(strange), runs, seed))
    projects.tell("style and pairs", projects.simulate(both, runs, seed + 1))


@app.command("before-after")
def before_after(
    out: Path = typer.Option(help="Folder for the picture."),
    num_scenes: int = 110,
    seed: int = 51,
) -> None:
    """Calibrate by the boxes of scenes of the unseen style, and draw the score before and after."""
    from benchmarks.confidence import one_project

    grounder: Any = load_grounder("demo")
    one_project.draw(grounder, num_scenes, seed, out)


@app.command("choices")
def choices(
    pool: Path = typer.Argument(help="Groundings that `projects` kept."),
) -> None:
    """Mean overlap and hits of every merge and box threshold on the whole pool, for the docs."""
    from benchmarks.confidence import projects

    projects.tell_choices(projects.read_pool(pool))


if __name__ == "__main__":
    app()
