"""One project of the unseen style, calibrated: the picture of before and after in the docs."""

import sys
from pathlib import Path

from PIL import Image

from backend.commands.calibrate import summary
from benchmarks.confidence.groundings import drawn
from videogem.calibration.calibrate import calibrate
from videogem.calibration.candidates import LAYERS, Sample, measure
from videogem.confidence.shipped import shipped_scoring
from videogem.evaluation.calibration_picture import write_picture
from videogem.grounding import VideoGEM
from videogem.structures import Clip

FILE = "confidence_calibration.png"


def draw(grounder: VideoGEM, num_scenes: int, seed: int, folder: Path) -> None:
    """What `videogem calibrate --data` shows for boxes of these scenes, and its picture."""
    samples = (
        Sample(Clip.from_image(frame.image), said, (box,), frame.name)
        for frame in drawn("unseen-style", num_scenes, seed)
        for said, box in zip(frame.said, frame.boxes, strict=True)
    )
    measured = measure(grounder, samples, layers=LAYERS)
    scoring = shipped_scoring("demo", grounder.settings)
    found = calibrate(measured, grounder.settings, scoring, "project")
    videos = len(set(measured.videos))
    sys.stdout.write(f"{len(measured.videos)} corrections of {videos} scenes\n{summary(found)}\n")
    path = write_picture(measured, found, folder).replace(folder / FILE)
    with Image.open(path) as picture:
        picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path, optimize=True)
