"""JPEG files of 720p to rows: `python -m benchmarks.bulk [--frames 60000] [--workers 4]`.

Runs `videogem predict` itself on noise-like pictures with random ViT-B/16 weights, and counts rows
between the middle and the end of the run, when all is loaded and compiled. On an NVIDIA GPU the
driver is asked ten times a second how much of the time a kernel was running.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from threading import Thread
from time import monotonic, sleep
from typing import Annotated

import numpy as np
import open_clip
import torch
import typer
from PIL import Image

from benchmarks.gpu import write

PICTURES = 256  # different ones; the others are further names of these
VERBS = ("cut", "wash", "stir", "open", "pour", "peel", "mix", "hold", "fry", "chop")
THINGS = ("tomato", "onion", "pan", "bowl", "egg", "knife", "bread", "milk", "rice", "fish")


@dataclass
class Usage:
    """Per cent of time that a GPU was at work, with the moment of each answer."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def watch(self) -> subprocess.Popen[str] | None:
        """Start to ask; None without an NVIDIA driver."""
        if which("nvidia-smi") is None:
            return None
        asking = subprocess.Popen(
            ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits",
             "--id=0", "-lms", "100"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        Thread(target=self._read, args=(asking,), daemon=True).start()
        return asking

    def _read(self, asking: subprocess.Popen[str]) -> None:
        assert asking.stdout is not None
        for line in asking.stdout:
            if line.strip().isdigit():
                self.samples.append((monotonic(), float(line)))

    def mean(self, start: float, end: float) -> str:
        """Over a stretch of time."""
        inside = [percent for moment, percent in self.samples if start <= moment <= end]
        return f"GPU busy {statistics.mean(inside):.0f} %" if inside else "GPU not asked"


def make_files(folder: Path, frames: int) -> Path:
    """Pictures (of some 150 KB) and the lines that ask for each of them."""
    rng = np.random.default_rng(0)
    for number in range(min(PICTURES, frames)):
        coarse = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((1280, 720), Image.Resampling.BICUBIC))
        grain = rng.integers(-8, 9, picture.shape[:2])[..., None]
        picture = np.clip(picture.astype(np.int16) + grain, 0, 255).astype(np.uint8)
        data = io.BytesIO()
        Image.fromarray(picture).save(data, "JPEG", quality=75)
        (folder / f"{number}.jpg").write_bytes(data.getvalue())
    lines = folder / "lines.jsonl"
    with lines.open("w") as file:
        for number in range(frames):
            if number >= PICTURES:
                os.link(folder / f"{number % PICTURES}.jpg", folder / f"{number}.jpg")
            label = f"{VERBS[number % 10]} {THINGS[number // 10 % 10]}"
            file.write(f'{{"image": "{number}.jpg", "narration": "{label}"}}\n')
    return lines


def run(lines: Path, weights: Path, frames: int, options: list[str]) -> None:
    """One run of the command, and what it did in its second half."""
    rows = lines.with_name("rows.jsonl")
    usage = Usage()
    asking = usage.watch()
    command = [
        sys.executable, "-c", "from backend.cli import main; main()", "predict", str(lines),
        "--out", str(rows), "--model", f"ViT-B-16:{weights}", *options,
    ]  # fmt: skip
    started, seen, at, half = monotonic(), 0, 0, (0.0, 0)
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            sleep(0.1)
            if rows.exists():
                with rows.open("rb") as file:
                    file.seek(at)
                    new = file.read()
                at, seen = at + len(new), seen + new.count(b"\n")
            if seen < frames:
                ended = monotonic(), seen
            if not half[1] and seen >= frames / 2:
                half = monotonic(), seen
    if asking is not None:
        asking.terminate()
    if process.returncode or ended[1] <= half[1]:
        raise SystemExit(f"videogem predict: exit code {process.returncode}, {seen} rows")
    rate = (ended[1] - half[1]) / (ended[0] - half[0])
    write(
        f"{' '.join(options)}: {rate:.0f} rows/s, {usage.mean(half[0], ended[0])}; "
        f"{half[0] - started:.0f} s before"
    )


def main(
    frames: Annotated[int, typer.Option(min=100)] = 60_000,
    workers: Annotated[int, typer.Option(min=1)] = 4,
    jpeg: Annotated[str, typer.Option(help="cpu or gpu.")] = "gpu",
) -> None:
    """Print rows a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.pt"
        torch.manual_seed(0)
        torch.save(open_clip.create_model("ViT-B-16", load_weights=False).state_dict(), weights)
        lines = make_files(folder, frames)
        size = statistics.mean(path.stat().st_size for path in folder.glob("?.jpg"))
        write(f"{frames} files of {size / 1e3:.0f} KB")
        run(lines, weights, frames, ["--jpeg", jpeg, "--workers", str(workers)])


if __name__ == "__main__":
    typer.run(main)
