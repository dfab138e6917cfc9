"""The cache of media: below its cap, and without what nobody wants."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from backend.media.cache import DiskCache
from backend.media.fetch import MediaError


def test_the_cache_keeps_below_its_cap_and_drops_the_oldest(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=250, max_age=60)
    made: list[str] = []

    def get(key: str) -> None:
        def write(file: Any) -> None:
            made.append(key)
            file.write(b"x" * 100)

        cache.open(key, write).close()
        time.sleep(0.01)

    for key in ("a", "b", "a", "c", "a", "b"):
        get(key)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 250
    assert made == ["a", "b", "c", "b"]  # b was unused for longest when c came


def test_a_killed_process_s_half_files_are_removed_and_a_writer_s_are_not(tmp_path: Path) -> None:
    old, young, kept = (tmp_path / name for name in ("a.part", "b.part", "whole"))
    for path in (old, young, kept):
        path.write_bytes(b"x")
    os.utime(old, (0, 0))
    cache = DiskCache(tmp_path, max_bytes=250, max_age=60)
    assert (old.exists(), young.exists(), kept.exists()) == (False, True, True)
    os.utime(young, (0, 0))
    cache.open("k", lambda file: file.write(b"y") and None).close()
    assert not young.exists()


def test_the_cache_remembers_no_key_that_nobody_wants(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, max_bytes=10_000, max_age=60)

    def fail(file: Any) -> None:
        raise MediaError("no")

    for number in range(20):
        cache.open(str(number), lambda file: file.write(b"x") and None).close()
        with pytest.raises(MediaError):
            cache.open(f"bad {number}", fail)
    assert not any(isinstance(value, dict) and value for value in vars(cache).values())


def test_a_file_of_a_time_to_come_is_too_old(tmp_path: Path) -> None:
    """A clock that was wrong wrote it: it would stand for a year."""
    cache = DiskCache(tmp_path, max_bytes=250, max_age=60)
    made: list[str] = []

    def get(text: str) -> bytes:
        with cache.open("k", lambda file: made.append(text) or file.write(text.encode())) as file:
            return file.read()

    assert (get("one"), get("two")) == (b"one", b"one")
    [path] = tmp_path.iterdir()
    os.utime(path, (time.time() + 365 * 86400,) * 2)
    assert get("three") == b"three"
