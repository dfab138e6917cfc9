"""Where a demo runs on this machine: written down when it is ready, and read by others."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

DEFAULT_STATE = Path("var/demo")


@dataclass(frozen=True)
class RunningDemo:
    """A demo that is ready: its process, addresses and projects by title."""

    pid: int
    label_studio: str
    backend: str
    projects: dict[str, int]

    def write(self, state: Path) -> None:
        """Say in the demo's folder that it runs."""
        file_of(state).write_text(json.dumps(asdict(self)), encoding="utf-8")


def file_of(state: Path) -> Path:
    """The file that is there while a demo runs in this folder."""
    return state / "running.json"


def token_file_of(state: Path) -> Path:
    """The file with Label Studio's user, password and token."""
    return state / "label-studio" / "credentials.json"


def running_demo_in(state: Path) -> RunningDemo | None:
    """The demo that runs in this folder; None where there is none, or it was killed."""
    try:
        found = RunningDemo(**json.loads(file_of(state).read_text(encoding="utf-8")))
        os.kill(found.pid, 0)  # sends nothing
    except (OSError, ValueError, TypeError):
        return None
    return found


def token_in(state: Path) -> str | None:
    """The token of the demo's Label Studio."""
    try:
        return str(json.loads(token_file_of(state).read_text(encoding="utf-8"))["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
