"""A disk that is really full: told, and nothing that was acknowledged is lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.database import schema
from backend.qa.store import Store
from tests.backend.prediction.test_batch import wait_for
from tests.backend.web.test_killed import Sender
from tests.fake_backend import BackendProcess

MEGABYTE = 1024 * 1024
ROOM = 12 * MEGABYTE


@pytest.fixture(autouse=True)
def _pages_show_what_came() -> None:
    """In place of the other tests' fixture: how long pages wait is tried here."""


def check_of(process: BackendProcess, name: str) -> dict[str, Any]:
    """One part's state, as monitors read it."""
    checks = requests.get(f"{process.url}/health?details", timeout=30).json()["checks"]
    return next((check for check in checks if check["name"] == name), {"level": "", "found": ""})


def kept_in(url: str, spool: Path) -> set[int]:
    """The annotations that are in the store after all."""
    store = Store(url, spool)
    store.process_pending()
    kept = {row["id"] for row in store.rows(schema.annotations)}
    assert store.inbox_counts()["failed"] == 0
    store.close()
    return kept


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own, as large as ROOM."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk to fill can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with small_disk(tmp_path):
        process = BackendProcess({"data_dir": tmp_path, "qa_sync_minutes": 0})
        try:
            process.wait()
            filler = tmp_path / "filler"
            filler.write_bytes(bytes(ROOM // 2))
            sender = Sender(process.url, filler="x" * 20_000)
            wait_for(lambda: len(sender.refused) > 5, seconds=120)
            full = len(sender.acknowledged)
            assert full > 20
            statuses = {status for status, _ in sender.refused}
            assert statuses == {503}
            assert "Free some space" in sender.refused[-1][1]
            wait_for(lambda: check_of(process, "data folder")["level"] == "failure", seconds=60)
            assert str(tmp_path) in check_of(process, "data folder")["found"]
            assert requests.get(f"{process.url}/health", timeout=10).json()["status"] == "UP"
            filler.unlink()
            wait_for(lambda: len(sender.acknowledged) > full + 20, seconds=60)
            sender.stop()
        finally:
            process.kill()
        store = f"sqlite:///{tmp_path}/quality.sqlite3"
        assert sender.acknowledged - kept_in(store, tmp_path / "spool") == set()


def obeying() -> list[str]:
    """What a command is started by so that folders' permissions hold for it, also for root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root heeds no permissions, and setpriv (util-linux) is not there")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def permit(folder: Path, *, writing: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o777 if path.is_dir() else 0o666) & (0o777 if writing else 0o555))


def test_a_folder_that_becomes_read_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    process = BackendProcess({"data_dir": folder, "qa_sync_minutes": 0}, before=obeying())
    try:
        process.wait()
        sender = Sender(process.url)
        wait_for(lambda: len(sender.acknowledged) > 20, seconds=120)
        permit(folder, writing=False)
        wait_for(lambda: check_of(process, "data folder")["level"] == "failure", seconds=60)
        assert "VIDEOGEM_DATA_DIR" in check_of(process, "data folder")["fix"]
        assert requests.get(f"{process.url}/health", timeout=10).json()["status"] == "UP"
        permit(folder, writing=True)
        before = len(sender.acknowledged)
        wait_for(lambda: len(sender.acknowledged) > before + 20, seconds=60)
        wait_for(lambda: check_of(process, "data folder")["level"] != "failure", seconds=60)
        sender.stop()
    finally:
        process.kill()
    assert {status for status, _ in sender.refused} <= {503}
    permit(folder, writing=True)
    store = f"sqlite:///{folder}/quality.sqlite3"
    assert sender.acknowledged - kept_in(store, folder / "spool") == set()


def test_a_read_only_folder_at_the_start(tmp_path: Path) -> None:
    """Nothing starts, and a sentence says why."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o555)
    program = "from backend.cli import main; main()"
    command = [*obeying(), sys.executable, "-c", program, "serve"]
    given = {**os.environ, "VIDEOGEM_DATA_DIR": str(folder)}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert done.returncode == 2
    assert f"Nothing can be written to '{folder}'" in done.stderr
    assert "VIDEOGEM_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr
