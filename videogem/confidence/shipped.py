"""The fits that come with the package, and whom they hold for."""

import json
from functools import cache
from importlib.resources import files

from videogem.confidence.model import Scoring
from videogem.method.settings import MethodSettings

UNCALIBRATED = "uncalibrated"
"""Said wherever a score is shown that no fit stands behind: it ranks, it is no probability."""

_FITS = ("demo", "demo-viclip")  # each a file; a family's towers of other weights have other levels
_NO_MATTER = ("box_threshold", "label_style", "words", "spacy_model")  # leave point and signals


def shipped_scoring(
    model: str, settings: MethodSettings, image_size: int | None = None
) -> Scoring | None:
    """The fit for a model with these settings; None where there is none, see `UNCALIBRATED`.

    A fit holds for the settings and the input size it was made with, but for what changes neither
    points nor signals.
    """
    if model not in _FITS or image_size is not None:
        return None
    usual = MethodSettings()
    for name in vars(usual):
        if name not in _NO_MATTER and getattr(settings, name) != getattr(usual, name):
            return None
    return _read(model)


@cache
def _read(name: str) -> Scoring:
    path = files("videogem") / "data" / "confidence" / f"{name}.json"
    return Scoring.from_json(json.loads(path.read_text("utf-8")))
