"""What is installed works by itself: built, put into an empty environment, used far from here."""

import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("backend", "label_config", "videogem")
SOURCE = (*PACKAGES, "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
MAX_WHEEL = 35_000_000  # bytes
START = 120  # seconds for the backend to answer on a busy machine

pytestmark = pytest.mark.slow


def run(*command: object, **options: Any) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as building writes into the folder of the source."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", source, "--no-deps", "--no-build-isolation", "--wheel-dir", out)
    [made] = out.glob("*.whl")
    return made


class Installed:
    """An environment with the wheel and what it needs, but without this checkout."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        place = folder / "venv"
        venv.create(place, symlinks=True)
        self.bin = place / "bin"
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python")
        run(*pip, self.bin / "python", "install", "--no-deps", "--no-index", wheel)
        [packages] = place.glob("lib/python*/site-packages")
        # A folder named in a .pth file is looked into; its own .pth files, by which a checkout is
        # installed, are not.
        (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
        self.environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "VIDEOGEM_DATA_DIR": str(self.folder / "data"),
            "OMP_NUM_THREADS": "2",
        }

    def command(self, *words: object) -> str:
        return run(self.bin / "videogem", *words, cwd=self.folder, env=self.environment)

    def python(self, code: str) -> str:
        return run(self.bin / "python", "-c", code, cwd=self.folder, env=self.environment)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="module")
def clip(installed: Installed) -> Path:
    """A clip with its subtitles, from what is installed."""
    code = "from backend.demo.tasks import CLIPS; print(CLIPS)"
    folder = Path(installed.python(code).strip())
    assert installed.bin.parent in folder.parents
    for name in ("bakery.mp4", "bakery.srt"):
        shutil.copy(folder / name, installed.folder / name)
    return installed.folder / "bakery.mp4"


def test_the_wheel_holds_what_is_used_and_no_more(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "label_config/frame.xml" in names
    assert "backend/database/migrations/env.py" in names
    assert "videogem/data/demo/clips/bakery.mp4" in names
    assert not [name for name in names if "/training/" in name or name.startswith("tests")]
    source = {str(path.relative_to(ROOT)) for path in ROOT.glob("videogem/data/**/*.*")}
    source |= {str(path.relative_to(ROOT)) for path in ROOT.glob("backend/**/*.html")}
    assert source <= names
    assert wheel.stat().st_size <= MAX_WHEEL


def test_it_is_the_wheel_that_is_used(installed: Installed) -> None:
    where = installed.python("import backend, videogem; print(backend.__file__, videogem.__file__)")
    assert all(str(installed.bin.parent) in path for path in where.split())


def test_ground(installed: Installed, clip: Path) -> None:
    given = ("--narration", "judge the honey pot", "--time", "1", "--json")
    assert len(json.loads(installed.command("ground", clip, *given))["point"]) == 2


def test_tasks(installed: Installed, clip: Path) -> None:
    out = installed.folder / "tasks"
    installed.command("tasks", clip, "--out", out)
    assert json.loads((out / "tasks.json").read_text())[0]["data"]["narration"]


def test_evaluate(installed: Installed) -> None:
    given = ("--dataset", "demo", "--num-scenes", "2", "--method", "videogem", "--json")
    assert '"accuracy"' in installed.command("evaluate", *given)


def test_the_demo_finds_its_configs(installed: Installed) -> None:
    assert "--once" in installed.command("demo", "--help")
    assert "<TimelineLabels" in installed.command("configs", "video")
    assert "frame_list" in installed.command("configs")


@pytest.fixture
def port(installed: Installed) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    environment = {**installed.environment, "VIDEOGEM_PORT": str(number)}
    command = [str(installed.bin / "videogem"), "serve"]
    with (installed.folder / "serve.log").open("w") as log:
        served = subprocess.Popen(
            command, cwd=installed.folder, env=environment, stdout=log, stderr=log
        )
    yield number
    served.terminate()
    served.wait(30)


def test_serve(installed: Installed, port: int) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert json.load(answer)["status"] == "UP"
                break
        except OSError:
            assert time.monotonic() < deadline, (installed.folder / "serve.log").read_text()
            time.sleep(0.2)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/qa", timeout=30) as page:
        assert b"<html" in page.read()
