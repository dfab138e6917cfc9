"""The demo benchmark: every method on the demo world's splits, written to files kept with the code.

``python -m videogem.evaluation.benchmark docs`` makes ``demo_benchmark.json`` and ``.md`` afresh
(some ten minutes on two CPU cores; with ``--predictions FOLDER`` an interrupted run goes on). A
test makes the part called ``small`` again and compares.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videogem import __version__
from videogem.datasets.base import Dataset
from videogem.evaluation import Row
from videogem.evaluation.compare import Comparison, compare_runs
from videogem.evaluation.demo import demo_dataset
from videogem.evaluation.methods import parse_method
from videogem.evaluation.report import percent
from videogem.evaluation.run import RunOptions, run

METHODS = ("clip", "maskclip", "clip_surgery", "gem6", "gem", "videogem")
SEED = 0


@dataclass(frozen=True)
class Part:
    """One column of the benchmark: a split, and how many actors a scene has."""

    name: str
    split: str
    actors: int
    num_scenes: int

    def dataset(self) -> Dataset:
        return demo_dataset(self.split, num_scenes=self.num_scenes, actors=self.actors, seed=SEED)


# Scenes are chosen so that every column has about 300 items; of the clips all cues are taken.
PARTS = (
    Part("unseen pairs, 1 actor", "unseen-pairs", 1, 300),
    Part("unseen pairs, 2 actors", "unseen-pairs", 2, 150),
    Part("unseen pairs, 3 actors", "unseen-pairs", 3, 200),
    Part("unseen style, 1 actor", "unseen-style", 1, 300),
    Part("unseen style, 2 actors", "unseen-style", 2, 150),
    Part("unseen style, 3 actors", "unseen-style", 3, 200),
    Part("moving clips", "moving-clips", 3, 1000),
)
SMALL = (
    Part("unseen pairs, 3 actors", "unseen-pairs", 3, 3),
    Part("unseen style, 3 actors", "unseen-style", 3, 3),
    Part("moving clips", "moving-clips", 3, 4),
)


def measure(
    parts: Sequence[Part], options: RunOptions, *, methods: Sequence[str] = METHODS
) -> Iterator[tuple[Part, list[Row], list[Comparison]]]:
    """Rows of every part, and the last method (VideoGEM) compared with the others."""
    specs = [parse_method(name) for name in methods]
    for part in parts:
        dataset = part.dataset()
        rows = run(dataset.name, dataset.items, ["demo"], specs, options).rows
        runs = {row.method: row.outcomes for row in rows}
        yield part, rows, compare_runs(runs, reference=methods[-1])


def as_content(found: Sequence[tuple[Part, list[Row], list[Comparison]]]) -> list[dict[str, Any]]:
    """The measured parts as plain values."""
    return [
        {
            "part": part.name,
            "split": part.split,
            "actors": None if part.split == "moving-clips" else part.actors,
            "num_scenes": part.num_scenes,
            "rows": [{**row.as_json(), "hits": row.share.hits} for row in rows],
            "comparisons": [
                {
                    "of": comparison.first,
                    "with": comparison.second,
                    "difference": comparison.difference,
                    "low": comparison.low,
                    "high": comparison.high,
                    "p_value": comparison.adjusted,
                    "videos": comparison.num_clusters,
                    "better": comparison.better,
                }
                for comparison in comparisons
            ],
        }
        for part, rows, comparisons in found
    ]


def as_markdown(content: dict[str, Any]) -> str:
    """Accuracies with intervals, one column a part; then box overlaps and the comparisons."""
    parts: Sequence[dict[str, Any]] = content["parts"]
    header = "| method | " + " | ".join(part["part"] for part in parts) + " |"
    rule = "|---|" + "---|" * len(parts)
    accuracies, overlaps = [header, rule], [header, rule]
    for index, method in enumerate(METHODS):
        rows = [part["rows"][index] for part in parts]
        accuracies.append(f"| {method} | " + " | ".join(map(_accuracy, rows)) + " |")
        overlaps.append(f"| {method} | " + " | ".join(f"{r['box_iou']:.2f}" for r in rows) + " |")
    accuracies.append("| n | " + " | ".join(str(part["rows"][0]["n"]) for part in parts) + " |")
    lines = [
        "# Demo benchmark",
        "",
        f"Made by `python -m videogem.evaluation.benchmark docs` (version {content['version']}, "
        f"seed {content['seed']}); do not edit. The model is the demo model; it was trained on "
        "image-caption pairs of the emoji world alone, never on a box. Unseen pairs: verb-object "
        "pairs that no training scene shows. Unseen style: such pairs in a drawing style that no "
        "training scene uses. Moving clips: every cue of the shipped clips at its middle, words "
        "found in the narration. "
        "Baselines use the action prompt alone, as in the paper's Table 1.",
        "",
        "Pointing accuracy in percent, 95 % interval over scenes or clips, whose items are alike:",
        "",
        *accuracies,
        "",
        "Mean box IoU:",
        "",
        *overlaps,
        "",
        "VideoGEM against the others, named before looking (sign-flip test over scenes or clips at "
        "5 % with Holm's correction, and an interval that excludes zero; otherwise, and with fewer "
        "than ten of them, no difference is claimed):",
        "",
    ]
    for part in parts:
        verdicts = ", ".join(_verdict(comparison) for comparison in part["comparisons"])
        lines.append(f"- {part['part']}: {verdicts}")
    return "\n".join(lines) + "\n"


def _accuracy(row: dict[str, Any]) -> str:
    return f"{percent(row['accuracy'])} ({percent(row['low'])} to {percent(row['high'])})"


def _verdict(comparison: dict[str, Any]) -> str:
    points = f"{100 * comparison['difference']:+.1f}"
    if comparison["better"] is None:
        return f"no difference shown to {comparison['with']} ({points})"
    word = "better" if comparison["better"] == comparison["of"] else "worse"
    return f"{word} than {comparison['with']} ({points})"


def main() -> None:
    from rich.console import Console
    from rich.progress import Progress

    parser = argparse.ArgumentParser(description="Make the demo benchmark afresh.")
    parser.add_argument("folder", type=Path, help="where the two files are written")
    parser.add_argument("--predictions", type=Path, help="folder to resume from")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    options = RunOptions(
        device=arguments.device,
        processes=arguments.processes,
        predictions_folder=arguments.predictions,
    )
    found: dict[str, list[tuple[Part, list[Row], list[Comparison]]]] = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name, wanted in (("small", SMALL), ("parts", PARTS)):
            task = progress.add_task(name, total=len(wanted))
            found[name] = []
            for measured in measure(wanted, options):
                found[name].append(measured)
                progress.advance(task)
    content = {
        "version": __version__,
        "seed": SEED,
        "parts": as_content(found["parts"]),
        "small": as_content(found["small"]),
    }
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "demo_benchmark.json").write_text(json.dumps(content, indent=1) + "\n")
    (arguments.folder / "demo_benchmark.md").write_text(as_markdown(content))


if __name__ == "__main__":
    main()
