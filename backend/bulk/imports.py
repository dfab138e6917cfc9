"""A file of rows -> predictions of a Label Studio project, saved as `annotate` saves its own.

A row belongs to the task it names, or else to every task that shows its file and says its sentence.
Whether a task has its prediction is seen in Label Studio, so running it twice saves nothing twice.
"""

import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from backend.bulk.files import read_rows
from backend.bulk.rows import Row, grounding_of
from backend.labeling.targets import Labeling, Target, fill
from backend.prediction.moments import Film, Key, Still
from backend.prediction.predict import Outcome
from backend.prediction.questions import Answer
from backend.prediction.task_fields import (
    Project,
    Task,
    data_of,
    frame_list,
    id_of,
    sentences_of,
    with_task_labels,
)
from backend.prediction.videos import shown_of
from backend.prediction.writing import Writer
from videogem.datasets.exports import address_of, path_of
from videogem.errors import InputError
from videogem.narration.cues import Cue

NO_HEATMAPS = (
    "The project asks for masks, or boxes at a threshold of its own, and rows hold neither: run "
    "'videogem annotate' without --from."
)
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")


class FromFile:
    """Predicts nothing: gives what a bulk run found.

    Raises:
        InputError: there is no such file, it is empty, or no file of rows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows = list(read_rows(path))
        if not self._rows:
            raise InputError(f"'{path}' holds no rows.")

    def version(self, labeling: Labeling) -> str:
        """The version of the rows.

        Raises:
            InputError: they are of several models.
        """
        versions = sorted({row["model_version"] for row in self._rows})
        if len(versions) > 1:
            raise InputError(
                f"'{self._path}' holds rows of several models ({', '.join(versions)}); keep those "
                "of one."
            )
        return str(versions[0]) + labeling.version_suffix

    def outcomes(self, tasks: Iterable[Task], project: Project) -> Generator[Outcome]:
        for task in tasks:
            try:
                yield Outcome(task, prediction=self._prediction(task, project))
            except InputError as error:
                yield Outcome(task, error=str(error))
            except (KeyError, TypeError, ValueError) as error:
                yield Outcome(task, error=f"Its rows in '{self._path}' are damaged ({error!r}).")

    @cached_property
    def _by_task(self) -> dict[int, list[Row]]:
        found: defaultdict[int, list[Row]] = defaultdict(list)
        for row in self._rows:
            if row.get("task") is not None:
                found[row["task"]].append(row)
        return dict(found)

    @cached_property
    def _by_name(self) -> dict[str, list[Row]]:
        """Rows that name no task, by the name of their file."""
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for row in self._rows:
            if row.get("task") is None:
                found[PurePosixPath(row["source"]).name].append(row)
        return dict(found)

    def _prediction(self, task: Task, project: Project) -> dict[str, Any]:
        writer = Writer(task, project)
        num_written = 0
        for place, target in enumerate(project.labeling.targets):
            target = with_task_labels(target, task)
            if target.source.kind == "video":
                num_written += self._add_video(writer, task, target, place, project.version)
            else:
                num_written += self._add_stills(writer, task, target, place, project.version)
        if not num_written and (named := self._named(task)):
            raise InputError(
                f"Its rows in '{self._path}' are of '{PurePosixPath(named[0]['source']).name}', "
                "which it does not show: are they of another project?"
            )
        if not num_written:
            raise InputError(f"'{self._path}' has no row for it.")
        return writer.prediction()

    def _add_stills(
        self, writer: Writer, task: Task, target: Target, place: int, version: str
    ) -> int:
        value = fill(target.source.value, data_of(task))
        listed = target.source.kind == "images"
        addresses = frame_list(value) if listed else [value]
        num_written = 0
        for index, address in enumerate(addresses):
            rows = self._rows_of(task, address, index if listed else None)
            sentences = sentences_of(task, target)
            if not callable(sentences):
                rows = _in_order(rows, sentences)
            if rows:
                slot = Still(target, place, index if listed else None)
                writer.add(slot, Answer([_grounding(row, version) for row in rows]))
                num_written += len(rows)
        return num_written

    def _add_video(
        self, writer: Writer, task: Task, target: Target, place: int, version: str
    ) -> int:
        rows = self._rows_of(task, fill(target.source.value, data_of(task)), None)
        if not rows:
            return 0
        keys: defaultdict[Cue, list[Row]] = defaultdict(list)
        for row in rows:
            start, end = row.get("start"), row.get("end")
            time = float(row["time"])
            keys[
                Cue(
                    time if start is None else float(start),
                    time if end is None else float(end),
                    row["narration"],
                )
            ].append(row)
        cues = sorted(keys, key=lambda cue: (cue.start, cue.end, cue.text))
        film = Film(
            target,
            place,
            tuple(cues),
            tuple(len(keys[cue]) for cue in cues),
            shown_of(task, target, float(rows[0]["duration"])),
        )
        for number, cue in enumerate(cues):
            for row in keys[cue]:
                writer.add(Key(film, (number,)), Answer([_grounding(row, version)]))
        return len(rows)

    def _rows_of(self, task: Task, address: Any, index: int | None) -> list[Row]:
        """Rows of what a task shows.

        Raises:
            InputError: they are of several files, and nothing says which is meant.
        """
        text = address_of(address)
        if text is None:
            return []
        shown = path_of(text)
        rows = [row for row in self._named(task) if row.get("item_index") == index]
        rows = rows or [row for name in _names(shown) for row in self._by_name.get(name, [])]
        rows = [row for row in rows if _is_same_file(shown, PurePosixPath(row["source"]))]
        if len(sources := sorted({row["source"] for row in rows})) > 1:
            raise InputError(
                f"The task shows '{shown.name}', which may be any of {', '.join(sources[:5])}: "
                "predict an export of the project, whose tasks have ids."
            )
        return rows

    def _named(self, task: Task) -> list[Row]:
        id = id_of(task)
        return [] if id is None else self._by_task.get(id, [])


def _names(shown: PurePosixPath) -> tuple[str, ...]:
    """What a file may have been called before Label Studio put a number before its name."""
    bare = _UPLOADED.sub("", shown.name) if "upload" in shown.parts else shown.name
    return tuple(dict.fromkeys((shown.name, bare)))


def _is_same_file(shown: PurePosixPath, source: PurePosixPath) -> bool:
    """Whether two paths may be of one file, seen from different folders: one ends as the other."""
    if "upload" in shown.parts:
        return source.name in _names(shown)
    one, other = _parts(shown), _parts(source)
    count = min(len(one), len(other))
    return count > 0 and one[-count:] == other[-count:]


def _parts(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(part for part in path.parts if part not in ("/", ".", ".."))


def _in_order(rows: Sequence[Row], sentences: Sequence[str]) -> list[Row]:
    """The rows of a task's sentences, in their order."""
    by_text = {row["narration"].strip(): row for row in rows}
    return [by_text[text] for text in sentences if text in by_text]


def _grounding(row: Row, version: str) -> Any:
    def heatmaps() -> np.ndarray:
        raise InputError(NO_HEATMAPS)

    return grounding_of(row, version, heatmaps)
