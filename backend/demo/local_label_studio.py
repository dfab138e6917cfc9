"""A real Label Studio on this machine, in a virtual environment of its own.

Label Studio and the backend cannot share an environment (their pins differ), and a new Label Studio
database takes minutes of migrations. So it is installed once into `.venv-label-studio`, migrated
once into a template beside it, and every data folder starts as a copy of that template.
"""

import contextlib
import fcntl
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from backend.demo.processes import (
    ProcessError,
    Report,
    ServerProcess,
    free_port,
    local_environment,
    run_to_end,
    silent,
)
from backend.folders import make_private

LABEL_STUDIO_VERSION = "1.23.2"
DEFAULT_VENV = Path(".venv-label-studio")
START_SECONDS = 300.0  # seconds; 24 were measured on two busy cores
DATABASE = "label_studio.sqlite3"
# Without this flag the Data Manager shows scores only of predictions whose version is called like
# the connected model, so of none, and sorts by none.
SCORES_SHOWN = "ff_front_dev_1682_model_version_dropdown_070622_short"
NUM_PACKAGES = 160  # that pip reads, and
NUM_MIGRATIONS = 396  # that an empty database gets, with this version: for the progress line only


@dataclass(frozen=True)
class Credentials:
    """Who may log in, and the (legacy) API token for programs."""

    user: str
    password: str
    token: str

    @classmethod
    def generate(cls) -> "Credentials":
        """New secrets. Label Studio allows any web page to call it, so nothing may be guessable."""
        return cls("demo@example.com", secrets.token_urlsafe(9), secrets.token_hex(20))


class LabelStudioServer:
    """Installs, starts and stops one Label Studio; a context manager.

    `data_dir` keeps database, uploads and credentials from run to run. `files_root` is the folder
    whose subfolders a project may serve as local-files storage.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        files_root: Path,
        venv: Path = DEFAULT_VENV,
        logs: Path | None = None,
        port: int | None = None,
        report: Report = silent,
        extra_env: dict[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.files_root = files_root.resolve()
        self.venv = venv.resolve()
        self.logs = (logs or data_dir / "logs").resolve()
        self._preferred_port = port
        self.report = report
        self._extra_env = extra_env or {}
        self._process: ServerProcess | None = None
        self._port: int | None = None

    @property
    def url(self) -> str:
        """Address for browsers and programs on this machine; the port is chosen on first use."""
        if self._port is None:
            # Label Studio takes the next port without a word when its own is taken.
            self._port = free_port(self._preferred_port)
        return f"http://localhost:{self._port}"

    @property
    def credentials(self) -> Credentials:
        """User, password and token of this data folder, made on first use."""
        path = self.data_dir / "credentials.json"
        if not path.exists():
            make_private(path.parent)
            path.touch(mode=0o600)
            path.write_text(json.dumps(asdict(Credentials.generate())), encoding="utf-8")
        return Credentials(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self.logs / "label-studio.log"

    def install(self) -> None:
        """Make the virtual environment unless it is there; a broken one is made again."""
        stamp = self.venv / f"installed-{LABEL_STUDIO_VERSION}"
        with self._lock():
            if not _works(self._bin("python")):
                self.report(f"Making the virtual environment {self.venv.name}")
                self._run("venv", [sys.executable, "-m", "venv", "--clear", self.venv])
            if stamp.exists():
                return
            pip = ("-m", "pip", "install", "--disable-pip-version-check")
            self._run(
                "pip",
                [self._bin("python"), *pip, f"label-studio=={LABEL_STUDIO_VERSION}"],
                doing=lambda: (
                    f"Installing Label Studio {LABEL_STUDIO_VERSION}: "
                    f"{_packages_read(self.logs / 'pip.log')} of about {NUM_PACKAGES} packages read"
                ),
            )
            stamp.touch()

    def prepare(self) -> None:
        """Give a new data folder its migrated database, migrating the template the first time."""
        make_private(self.data_dir)
        self.data_dir.chmod(0o700)  # the database holds the token
        target = self.data_dir / DATABASE
        if target.exists():
            return
        template = self.venv / "data-template"
        with self._lock():
            if not (template / "ready").exists():
                self._migrate(template)
        # Only the database is copied: every data folder makes its own secret key.
        partial = target.with_suffix(".partial")
        shutil.copyfile(template / DATABASE, partial)
        partial.rename(target)

    def launch(self) -> ServerProcess:
        """Install, prepare and start without waiting until Label Studio answers."""
        self.install()
        self.prepare()
        self.files_root.mkdir(parents=True, exist_ok=True)
        port = self.url.rpartition(":")[2]
        command: list[str | Path] = [
            *(self._bin("label-studio"), "start", "--no-browser"),
            *("--data-dir", self.data_dir, "--internal-host", "127.0.0.1", "--port", port),
        ]
        self._process = ServerProcess(
            "Label Studio", command, log=self.log, env=self._environment()
        )
        self._process.start()
        return self._process

    def wait(self) -> None:
        """Wait until a launched Label Studio answers.

        Raises:
            ProcessError: it ended or stayed silent; the message holds the end of its log.
        """
        if self._process is None:
            raise RuntimeError("launch() comes before wait().")
        self._process.wait_until_answering(
            f"{self.url}/health", seconds=START_SECONDS, report=self.report
        )

    def start(self) -> None:
        """Launch and wait; nothing keeps running if that fails."""
        self.launch()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop Label Studio with everything it started."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> "LabelStudioServer":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _bin(self, name: str) -> Path:
        return self.venv / "bin" / name

    def _environment(self) -> dict[str, str]:
        credentials = self.credentials
        return self._base_environment() | {
            "LABEL_STUDIO_USERNAME": credentials.user,
            "LABEL_STUDIO_PASSWORD": credentials.password,
            "LABEL_STUDIO_USER_TOKEN": credentials.token,
            # Else whoever reaches the port makes an account that sees everything.
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            # /setup hands the backend a token of this kind; personal tokens are never handed out.
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            # Both, or Label Studio refuses backends and webhooks on this machine.
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            SCORES_SHOWN: "true",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.files_root),
            **self._extra_env,
        }

    def _base_environment(self) -> dict[str, str]:
        """The caller's environment less what would steer Label Studio, and no calls home."""
        steering = ("HOST", "PORT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DEBUG")
        kept = {
            name: value
            for name, value in local_environment().items()
            if name not in steering and not name.startswith(("LABEL_STUDIO_", "DJANGO_"))
        }
        return kept | {
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
        }

    def _migrate(self, template: Path) -> None:
        shutil.rmtree(template, ignore_errors=True)
        template.mkdir(parents=True)
        # The command "version" migrates, prints the version and ends; it makes no user.
        self._run(
            "migrate",
            [self._bin("label-studio"), "version", "--data-dir", template],
            doing=lambda: (
                "Preparing Label Studio's database, only this once: "
                f"migration {_migrations_done(template / DATABASE)} of {NUM_MIGRATIONS}"
            ),
        )
        if not (template / DATABASE).exists():
            raise ProcessError(f"Label Studio made no database; see {self.logs / 'migrate.log'}.")
        (template / "ready").touch()

    def _run(
        self, name: str, command: list[str | Path], doing: Callable[[], str] | None = None
    ) -> None:
        run_to_end(
            f"Label Studio: {name}",
            command,
            log=self.logs / f"{name}.log",
            env=self._base_environment(),
            report=self.report,
            doing=doing or (lambda: name),
        )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One program at a time makes the virtual environment and the template."""
        self.venv.parent.mkdir(parents=True, exist_ok=True)
        with self.venv.with_name(f"{self.venv.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _works(python: Path) -> bool:
    """Whether a virtual environment's Python still runs; it breaks when its base is removed."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _packages_read(pip_log: Path) -> int:
    if not pip_log.exists():
        return 0
    text = pip_log.read_text(encoding="utf-8", errors="replace")
    return sum(line.startswith(("Collecting ", "Processing ")) for line in text.splitlines())


def _migrations_done(database: Path) -> int:
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        ) as connection:
            return int(connection.execute("SELECT count(*) FROM django_migrations").fetchone()[0])
    except sqlite3.Error:  # not there yet, or being written
        return 0
