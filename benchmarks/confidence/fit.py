"""The fits that are shipped for the demo models: their data, and the files that are made of them.

    python -m benchmarks.confidence features     # some minutes of one core, demo-viclip's more
    python -m benchmarks.confidence fit

Both take `--model`. Half of the weight is on frames as the model was trained on (cameras,
degradation), half on looks it has never seen; half of the sentences are of the frame, half of
another. Pairs are those of training, so that unseen pairs, the unseen style and the clips stay
held out.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.confidence.groundings import (
    Frame,
    Outcomes,
    outcomes,
    strange_looks,
    trained_looks,
)
from benchmarks.confidence.moving import moving, strange_clips
from videogem.confidence.fitting import fit_scoring
from videogem.grounding import VideoGEM

FOLDER = Path(__file__).parent
SHIPPED = FOLDER.parents[1] / "videogem" / "data" / "confidence"
NUM_SCENES = {"demo": 480, "demo-viclip": 160}  # of each kind; a clip takes far longer than a frame
SEED = 101


Frames = Callable[[int, int], Iterator[Frame]]
WORLDS: Mapping[str, tuple[Frames, Frames]] = {  # as trained, and strange; of scenes and a seed
    "demo": (trained_looks, strange_looks),
    "demo-viclip": (partial(moving, seen=True, degradation=True), strange_clips),
}


def write_features(model: str, grounder: VideoGEM, folder: Path = FOLDER) -> None:
    for name, number, frames in zip(("trained", "strange"), (0, 1), WORLDS[model], strict=True):
        found = outcomes(grounder, frames(NUM_SCENES[model], SEED + number), seed=SEED)
        found.save(folder / f"{model}_{name}.npz")


def write_fit(model: str = "demo", folder: Path = FOLDER, out: Path = SHIPPED) -> Path:
    """Fit the shipped scoring to the kept features."""
    trained, strange = (Outcomes.load(folder / f"{model}_{n}.npz") for n in ("trained", "strange"))
    sizes = np.array([len(trained.hits), len(strange.hits)])
    scoring = fit_scoring(
        model,
        [*trained.signals, *strange.signals],
        np.concatenate([trained.hits, strange.hits]),
        np.concatenate([trained.present, strange.present]),
        np.repeat(1 / sizes, sizes),
    )
    path = out / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_rounded(scoring.as_json()), indent=1) + "\n")
    return path


def _rounded(value: object) -> object:
    """Six digits: what another machine's arithmetic gives too."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
