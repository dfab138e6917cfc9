"""The page about Label Studio names, for every ranked need, tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| (\d+) \| (.+?) \| (.+?) \|$",
    (ROOT / "docs" / "label_studio.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def test_there_are_eleven() -> None:
    assert [int(rank) for rank, _, _ in ROWS] == list(range(1, 12))


@pytest.mark.parametrize(("rank", "need", "tests"), ROWS)
def test_the_named_tests_exist(rank: str, need: str, tests: str) -> None:
    named = re.findall(r"`([^`]+)`", tests)
    assert named
    for name in named:
        file, _, function = name.partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {function or 'test_'}" in source
