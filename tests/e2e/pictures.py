"""Write the README's pictures: `make pictures`, after the end-to-end tests have run."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from backend.demo_tasks import CLIPS
from videogem.narration import cue_time, read_cues

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CLIP = CLIPS / "kitchen.mp4"
HEIGHT = 690  # below this the screenshot is empty


def main() -> None:
    """The end-to-end test's screenshot, and what `videogem ground` draws for a clip."""
    DOCS.mkdir(exist_ok=True)
    store(ROOT / "test-artifacts" / "task_with_predictions.png", "label_studio.png", height=HEIGHT)
    cue = read_cues(CLIP.with_suffix(".srt"))[0]
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from backend.cli import main; main()", "ground"]
        options = ["--narration", cue.text, "--time", str(cue_time(cue)), "--out", folder]
        subprocess.run([*program, str(CLIP), *options], check=True)
        (picture,) = Path(folder).glob("*.png")
        store(picture, "grounding.png")


def store(source: Path, name: str, *, height: int | None = None) -> None:
    with Image.open(source) as picture:
        part = picture.convert("RGB").crop((0, 0, picture.width, height or picture.height))
        part.save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
