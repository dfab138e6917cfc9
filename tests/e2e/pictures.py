"""Write the README's pictures: `make pictures`, after the end-to-end tests have run."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from backend.demo.tasks import CLIPS
from videogem.narration.reading import cue_time, read_cues

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CLIP = CLIPS / "kitchen.mp4"
CONFIGS = ("frame_list", "video", "interactive", "actions")
HEIGHT = 690  # below this the screenshots are empty
WIDTH = 720  # of a labeling config's picture


def main() -> None:
    """The end-to-end tests' screenshots, and what `videogem ground` draws for a clip."""
    DOCS.mkdir(exist_ok=True)
    store(ROOT / "test-artifacts" / "task_with_predictions.png", "label_studio.png", height=HEIGHT)
    for config in CONFIGS:
        picture = ROOT / "test-artifacts" / f"config_{config}.png"
        store(picture, f"config_{config}.png", height=HEIGHT, width=WIDTH)
    cue = read_cues(CLIP.with_suffix(".srt"))[0]
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from backend.cli import main; main()", "ground"]
        options = ["--narration", cue.text, "--time", str(cue_time(cue)), "--out", folder]
        subprocess.run([*program, str(CLIP), *options], check=True)
        (picture,) = Path(folder).glob("*.png")
        store(picture, "grounding.png")


def store(source: Path, name: str, *, height: int | None = None, width: int | None = None) -> None:
    """Keep the upper `height` pixels of a picture, made `width` wide."""
    with Image.open(source) as picture:
        part = picture.convert("RGB").crop((0, 0, picture.width, height or picture.height))
        if width is not None:
            part = part.resize((width, round(part.height * width / part.width)))
        part.save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
