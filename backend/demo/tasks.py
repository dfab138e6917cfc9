"""The demo's projects: the shipped clips and what is said in them, as tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from backend.commands.support.task_building import Kind, build_tasks
from backend.demo.processes import Report, silent
from backend.label_studio.project_setup import Task
from backend.labeling.ready import ready_config
from videogem.errors import InputError
from videogem.narration.reading import read_cues

CLIPS = Path(str(resources.files("videogem"))) / "data" / "demo" / "clips"


@dataclass(frozen=True)
class DemoProject:
    """A project as it should be in Label Studio; `folder` holds what its tasks refer to."""

    title: str
    label_config: str
    folder: Path
    tasks: Sequence[Task]


def demo_project(
    kind: Kind, files_root: Path, report: Report = silent, *, clips: Path = CLIPS
) -> DemoProject:
    """One task for each sentence (`frame`: the picture in the middle of it) or clip (`video`).

    Pictures and clips are put below `files_root`, Label Studio's document root.

    Raises:
        InputError: there are no clips.
    """
    videos = sorted(clips.glob("*.mp4"))
    if not videos:
        raise InputError(f"There are no clips in {clips}; the installation is incomplete.")
    folder = files_root / kind
    tasks: list[Task] = []
    for number, video in enumerate(videos, start=1):
        report(f"Making tasks of clip {number} of {len(videos)}")
        cues = read_cues(video.with_suffix(".srt"))
        made = build_tasks(video, cues, kind=kind, out_dir=folder, files_root=files_root)
        tasks += [task["data"] for task in made]
    config = ready_config(kind)
    return DemoProject(f"VideoGEM demo: {kind}s", config, folder, tasks)
