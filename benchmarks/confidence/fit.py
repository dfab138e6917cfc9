"""The fit that is shipped for the demo model: its data, and the file that is made of them.

    python -m benchmarks.confidence features     # about three minutes of one core
    python -m benchmarks.confidence fit

Half of the weight is on frames as the model was trained on (cameras, degradation), half on looks
it has never seen; half of the sentences are of the frame, half of another. Pairs are those of
training, so that unseen pairs, the unseen style and the clips stay held out.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks.confidence.groundings import Outcomes, outcomes, strange_looks, trained_looks
from videogem.confidence.fitting import fit_scoring
from videogem.grounding import VideoGEM

FOLDER = Path(__file__).parent
SHIPPED = FOLDER.parents[1] / "videogem" / "data" / "confidence"
NUM_SCENES = 480
SEED = 101


def write_features(grounder: VideoGEM, folder: Path = FOLDER) -> None:
    for name, frames in (
        ("trained", trained_looks(NUM_SCENES, SEED)),
        ("strange", strange_looks(NUM_SCENES, SEED + 1)),
    ):
        outcomes(grounder, frames, seed=SEED).save(folder / f"demo_{name}.npz")


def write_fit(folder: Path = FOLDER, out: Path = SHIPPED) -> Path:
    """Fit the shipped scoring to the kept features."""
    trained, strange = (Outcomes.load(folder / f"demo_{n}.npz") for n in ("trained", "strange"))
    sizes = np.array([len(trained.hits), len(strange.hits)])
    scoring = fit_scoring(
        "demo",
        [*trained.signals, *strange.signals],
        np.concatenate([trained.hits, strange.hits]),
        np.concatenate([trained.present, strange.present]),
        np.repeat(1 / sizes, sizes),
    )
    path = out / "demo.json"
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
