"""A backend with a grounder that costs nothing, in a process of its own: it can be killed.

Settings come from the environment, as with `videogem serve`; `FAKE_SECONDS` is what a task costs,
and `FAKE_LEASE` how long jobs stay with a process that says nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.demo.processes import free_port
from backend.garbage import collect_seldom
from backend.prediction.job_leases import LEASE
from tests.fakes import FakeGrounder
from videogem.structures import Clip, Grounding

ROOT = Path(__file__).parents[1]


class Costly(FakeGrounder):
    """Takes its time for every frame, and forgets what it saw."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def ground(self, clip: Clip, narrations: Any) -> list[Grounding]:
        time.sleep(self.seconds)
        self.calls.clear()
        return super().ground(clip, narrations)


class BackendProcess:
    """Starts at once, by the command ``before`` it if any; ``wait`` until it answers."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        seconds: float = 0.0,
        lease: float = LEASE,
        before: Sequence[str] = (),
    ) -> None:
        self.port = int(settings.get("port") or free_port(None))
        self.url = f"http://localhost:{self.port}"
        values = {**settings, "port": self.port, "host": "127.0.0.1"}
        environment = {f"VIDEOGEM_{name.upper()}": str(value) for name, value in values.items()}
        environment |= {"FAKE_SECONDS": str(seconds), "FAKE_LEASE": str(lease)}
        environment |= {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [*before, sys.executable, __file__], cwd=ROOT, env={**os.environ, **environment}
        )

    def wait(self) -> None:
        import requests

        deadline = time.monotonic() + 120
        while True:
            try:
                requests.get(f"{self.url}/health", timeout=5)
                return
            except requests.ConnectionError:
                assert self.process.poll() is None, "the backend ended"
                assert time.monotonic() < deadline, "the backend does not answer"
                time.sleep(0.05)

    def kill(self) -> None:
        """As if the machine lost its power."""
        self.process.kill()
        self.process.wait()


def main() -> None:
    from backend.prediction import job_leases
    from backend.settings import load_settings
    from backend.web.app import create_app
    from backend.web.serving import serve

    collect_seldom()
    grounder = Costly(float(os.environ["FAKE_SECONDS"]))
    job_leases.LEASE = float(os.environ["FAKE_LEASE"])
    serve(load_settings(), lambda settings: create_app(settings, grounder))


if __name__ == "__main__":
    main()
