"""Which projects tell in another language than the words are found in: told once for each."""

import logging
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

from backend.database.keys import ProjectKey
from backend.prediction.task_fields import Project, Task, data_of
from videogem.errors import InputError
from videogem.narration.language import why_not_english
from videogem.narration.spoken import without_html

logger = logging.getLogger(__name__)

LOOKED_AT = 50  # tasks of a request
ENOUGH = 5000  # characters


class Languages:
    """Looks at what is narrated in requests, until a project is known not to be English."""

    def __init__(self) -> None:
        self._notes: dict[ProjectKey, str] = {}
        self._lock = Lock()

    def look(self, tasks: Sequence[Task], project: Project) -> None:
        """Note a project whose narration is not English, and say so in the log, once."""
        if project.key is None or project.key in self._notes:
            return
        texts: list[str] = []
        for text in _texts(tasks[:LOOKED_AT], project):
            texts.append(without_html(text[:ENOUGH]))
            if sum(map(len, texts)) > ENOUGH:
                break
        note = why_not_english(" ".join(texts))
        if note is None:
            return
        with self._lock:
            told = self._notes.setdefault(project.key, note) is not note
        if not told:
            logger.warning("project %s: %s", project.id, note)

    def note(self, key: ProjectKey) -> str | None:
        """What is to be said of a project's language; None where nothing is."""
        return self._notes.get(key)


def _texts(tasks: Sequence[Task], project: Project) -> Iterator[str]:
    for task in tasks:
        for target in project.labeling.targets:
            if target.labels_are != "narration" or target.narration_field is None:
                continue
            try:
                yield from _flat(target.narration(data_of(task)))
            except InputError:  # told with the task itself
                continue


def _flat(value: Any) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        text = item.get("text") if isinstance(item, dict) else item
        if isinstance(text, str):
            yield text
