"""The job list as it was kept until now, ``jobs.sqlite3`` in the data folder: taken over once."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from backend.database.keys import ProjectKey
from backend.prediction.jobs import Jobs

logger = logging.getLogger(__name__)

NAME = "jobs.sqlite3"
DONE = "jobs.sqlite3.taken-over"


def take_over(jobs: Jobs, folder: Path, key_of: Callable[[int], ProjectKey | None]) -> int:
    """Bring what an earlier version left unfinished into the job list; returns how many jobs.

    May be cut off at any moment: jobs that are in the list already are left alone, and the file
    gets its new name last. A file that cannot be read is named in the log and stays.
    """
    path = folder / NAME
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as old:
            old.row_factory = sqlite3.Row
            rows = old.execute(
                "SELECT jobs.*, config FROM jobs JOIN configs USING (project) "
                "WHERE state IN ('queued', 'running', 'ready', 'failed') ORDER BY updated, task"
            ).fetchall()
            old.execute("PRAGMA journal_mode=DELETE")  # so that all of it is in the one file
    except sqlite3.Error as error:
        logger.warning("the old job list %s cannot be read (%s); it is left alone", path, error)
        return 0
    states = {"running": "queued"}
    taken = jobs.take_over(
        [
            dict(row)
            | {
                "key": key_of(row["project"]) or ProjectKey("", row["project"]),
                "state": states.get(row["state"], row["state"]),
            }
            for row in rows
        ]
    )
    try:
        path.rename(folder / DONE)
    except FileNotFoundError:
        return taken  # another process was as quick
    logger.info("%d jobs taken over from %s, which is now %s", taken, path, DONE)
    return taken
