"""What reading frames out of H.264 costs, by the distance of key frames.

    python -m benchmarks.video_gops [--seconds 20]

Makes videos of 360p and 720p with ffmpeg, a key frame every 1, 12, 48 or 250 frames. Then reads
every frame, and ten cues: in one pass, as the service does with all cues of a video, and each by
itself. Times are of the processor, over all threads of the decoder.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from videogem.media.video import clips_from, open_frames

SIZES = ("640x360", "1280x720")
GOPS = (1, 12, 48, 250)
FPS = 25
CUES = 10


def make_video(path: Path, size: str, gop: int, seconds: int) -> None:
    """A moving picture with some noise, with key frames exactly every ``gop`` frames."""
    picture = f"testsrc2=s={size}:r={FPS}:d={seconds},noise=alls=8:allf=t"
    codec = f"-c:v libx264 -preset veryfast -g {gop} -keyint_min {gop} -sc_threshold 0"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture, *codec.split()]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True)


def read(path: Path, times: Sequence[float]) -> tuple[int, float]:
    """How many frames were decoded for these moments in one pass, and the processor's seconds."""
    start = time.process_time()
    with open_frames(path) as reader:
        for _ in clips_from(reader, times):
            pass
        decoded: int = reader.num_decoded  # type: ignore[attr-defined]
    return decoded, time.process_time() - start


def main(seconds: int = 20) -> None:
    """Print a table."""
    every = [number / FPS for number in range(seconds * FPS)]
    cues = [(cue + 0.5) * seconds / CUES for cue in range(CUES)]
    say = sys.stdout.write
    say(f"{seconds} s at {FPS} frames/s, {CUES} cues\n\n")
    say("| | key frame every | all frames | cues in one pass | cues one by one |\n")
    say("|---|---|---|---|---|\n")
    with TemporaryDirectory() as folder:
        for size in SIZES:
            for gop in GOPS:
                path = Path(folder) / "video.mp4"
                make_video(path, size, gop, seconds)
                decoded, cpu = read(path, every)
                together, cpu_together = read(path, cues)
                alone = [read(path, [cue]) for cue in cues]
                say(
                    f"| {size} | {gop} | {decoded / cpu:.0f} frames/s "
                    f"| {together} decoded, {1e3 * cpu_together / CUES:.0f} ms a cue "
                    f"| {sum(n for n, _ in alone)} decoded, "
                    f"{1e3 * sum(s for _, s in alone) / CUES:.0f} ms a cue |\n"
                )


if __name__ == "__main__":
    typer.run(main)
