"""A disk that is really full: told, and nothing that was acknowledged is lost."""

import os
import subprocess
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
