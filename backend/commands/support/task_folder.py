"""The folder `videogem tasks` writes to: nothing in it is lost, whoever else writes there.

Clips are known by what is in them. The first clip of a name gets the folder of that name, others of
the same name get folders of their own; a note for each below ``.videogem`` says whose it is.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from videogem.errors import InputError

NOTES = ".videogem"
BLOCKS = 16  # pieces of a video that tell it from others, spread over the file
BLOCK_BYTES = 256 * 1024
TASKS = "tasks.json"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` at the end; a failed attempt leaves nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
    ) as made:
        part = Path(made.name)
    try:
        yield part
        part.chmod(0o644)  # temporary files are for their owner alone, these are to be served
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def content_of(video: Path) -> str:
    """A digest that tells a video from others of its name, without reading gigabytes."""
    size = video.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with video.open("rb") as file:
        for block in range(BLOCKS):
            file.seek(max(0, size - BLOCK_BYTES) * block // (BLOCKS - 1))
            digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def claim_folder(out: Path, video: Path) -> str:
    """The name of the folder below ``out`` that belongs to this video alone.

    A folder that is there without a note is somebody else's.
    """
    content = content_of(video)
    notes = out / NOTES / "clips"
    notes.mkdir(parents=True, exist_ok=True)
    for length in (0, 6, 12, 64):
        name = video.stem if not length else f"{video.stem}-{content[:length]}"
        note = notes / name
        if not note.exists() and (out / name).exists():
            continue
        try:
            with note.open("x", encoding="utf-8") as file:
                file.write(content)
            return name
        except FileExistsError:
            if note.read_text(encoding="utf-8") == content:
                return name
    raise InputError(f"{out} has folders of the names that {video.name} could use; choose --out.")


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file, unless the target is it already."""
    if not target.exists() or content_of(target) != content_of(source):
        with whole_file(target) as part:
            shutil.copyfile(source, part)


@dataclass(frozen=True)
class Added:
    """What became of the tasks of one run."""

    path: Path
    new: int
    renewed: int  # were there with the same id
    kept: int  # of other runs

    @property
    def total(self) -> int:
        return self.new + self.renewed + self.kept


def add_tasks(out: Path, made: Sequence[dict[str, Any]]) -> Added:
    """Add tasks to those in the folder; a task of the same id takes the place of the earlier one.

    Raises:
        InputError: the file there holds no tasks, and stays as it is.
    """
    path = out / TASKS
    notes = out / NOTES
    notes.mkdir(parents=True, exist_ok=True)
    with FileLock(notes / "lock"):
        before = _read(path)
        by_id = {_id(task): task for task in made}
        known = {_id(task) for task in before}
        renewed = [by_id.get(_id(task), task) if _id(task) else task for task in before]
        new = [task for id_, task in by_id.items() if id_ not in known]
        with whole_file(path) as part:
            text = json.dumps([*renewed, *new], indent=1, ensure_ascii=False)
            part.write_text(text + "\n", encoding="utf-8")
    again = sum(_id(task) in by_id for task in before)
    return Added(path, len(new), again, len(before) - again)


def check_tasks(out: Path) -> None:
    """Refuse a folder whose tasks.json is no list of tasks, before anything is written.

    Raises:
        InputError: it is not.
    """
    _read(out / TASKS)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        tasks = None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(
            f"{path} holds no list of tasks, so nothing can be added to it; move it away, or "
            "choose another folder with --out."
        )
    return tasks


def _id(task: dict[str, Any]) -> str:
    data = task.get("data")
    return str(data.get("id") or "") if isinstance(data, dict) else ""
