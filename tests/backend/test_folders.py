"""Folders for what is kept: made for their owner alone."""

import stat
from pathlib import Path

from backend.database.engine import open_engine
from backend.settings import Settings
from backend.web.app import configured_store
from backend.web.checks import data_folder


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_a_new_data_folder_is_closed_to_others(tmp_path: Path) -> None:
    store = configured_store(Settings(data_dir=tmp_path / "a" / "data"))
    store.close()
    assert mode(tmp_path / "a" / "data") == 0o700
    assert data_folder(tmp_path / "b").level == "ok"
    assert mode(tmp_path / "b") == 0o700
    open_engine(f"sqlite:///{tmp_path}/c/quality.sqlite3").dispose()
    assert mode(tmp_path / "c") == 0o700


def test_a_folder_that_is_there_stays_as_its_owner_made_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o750)
    configured_store(Settings(data_dir=tmp_path / "data")).close()
    assert mode(tmp_path / "data") == 0o750
