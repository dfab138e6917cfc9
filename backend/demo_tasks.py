"""The demo's tasks: what the shipped clips show in the middle of each sentence that is spoken."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from videogem.narration import cue_time, read_cues

from backend.processes import Report
from backend.project_setup import Task, local_file_url
from videogem.errors import InputError
from videogem.video import read_clips

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "videogem" / "data" / "demo" / "clips"
CONFIGS = ROOT / "label_config"


@dataclass(frozen=True)
class DemoProject:
    """A project as it should be in Label Studio; `folder` holds what its tasks refer to."""

    title: str
    label_config: str
    folder: Path
    tasks: Sequence[Task]


def frames_project(files_root: Path, report: Report, *, clips: Path = CLIPS) -> DemoProject:
    """One frame for each sentence: the picture shown in the middle of it, with its words."""
    videos = sorted(clips.glob("*.mp4"))
    if not videos:
        raise InputError(f"There are no clips in {clips}; the checkout is incomplete.")
    folder = files_root / "frames"
    tasks: list[Task] = []
    for number, video in enumerate(videos, start=1):
        report(f"Cutting frames from clip {number} of {len(videos)}")
        tasks += _frame_tasks(video, folder / video.stem, files_root)
    config = (CONFIGS / "frame.xml").read_text(encoding="utf-8")
    return DemoProject("VideoGEM demo: frames", config, folder, tasks)


def _frame_tasks(video: Path, folder: Path, files_root: Path) -> list[Task]:
    cues = read_cues(video.with_suffix(".srt"))
    times = [cue_time(cue) for cue in cues]
    paths = [folder / f"{index:02d}.jpg" for index in range(len(cues))]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, clip in zip(paths, read_clips(video, times), strict=True):
            Image.fromarray(clip.target_frame).save(path, quality=92)
    return [
        {"frame": local_file_url(path, files_root), "narration": cue.text, "time": round(time, 3)}
        for path, cue, time in zip(paths, cues, times, strict=True)
    ]
