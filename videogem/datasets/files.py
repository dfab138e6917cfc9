"""Finding and parsing a dataset's files, with errors that say what was looked for."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videogem.datasets.base import UNREADABLE, Annotation, Annotations, Finding, PixelBox
from videogem.errors import InputError
from videogem.nesting import DEEPEST, is_deep


def find_file(root: Path, patterns: Sequence[str], what: str, given: Path | None = None) -> Path:
    """The one file under the root that fits a pattern, or the one given.

    Patterns are tried in order, in the root and one folder below; the first that fits wins.

    Raises:
        InputError: the root is no folder, no file fits, or several do.
    """
    if given is not None:
        path = given if given.is_absolute() or given.exists() else root / given
        if not path.is_file():
            raise InputError(f"The {what} '{given}' was not found; give a file with --annotations.")
        return path
    check_root(root)
    for pattern in patterns:
        found = sorted({*root.glob(pattern), *root.glob(f"*/{pattern}")})
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(f"'{path.relative_to(root)}'" for path in found[:3])
            raise InputError(
                f"Several files under '{root}' may be the {what} ({names}); "
                f"say which one with --annotations."
            )
    raise InputError(
        f"No {what} under '{root}': expected a file named {' or '.join(patterns)} there or one "
        f"folder below; check --root, or name the file with --annotations."
    )


def check_root(root: Path) -> None:
    """Raise InputError unless the root is a folder."""
    if not root.exists():
        raise InputError(f"The dataset folder '{root}' does not exist; check --root.")
    if not root.is_dir():
        raise InputError(f"The dataset root '{root}' is a file; --root takes its folder.")


def load_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: the file is no JSON, or nested so deep that nobody means it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        value, deep = None, True
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"'{path}' is no JSON ({error}); get the published file again.") from error
    else:
        deep = is_deep(value)
    if deep:
        raise InputError(
            f"'{path}' has lists and objects nested more than {DEEPEST} deep, which no dataset "
            "has; get the published file again."
        )
    return value


def pixel_box(values: object) -> PixelBox:
    """Four finite numbers as a box.

    Raises:
        ValueError: anything else; the message names what came.
    """
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise ValueError(f"a box must be four numbers, got {values!r}")
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise ValueError(f"a box must be four numbers, got {value!r} in it")
        try:
            numbers.append(float(value))
        except OverflowError:  # a number of 400 digits
            numbers.append(math.inf)
    if len(numbers) != 4 or not all(abs(number) < 1e9 for number in numbers):
        raise ValueError(f"a box must be four finite numbers, got {numbers}")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def read_entries(content: Mapping[str, Any], make: Callable[[str, Any], Annotation]) -> Annotations:
    """One annotation for each entry of an object; entries that do not fit become findings."""
    entries: list[Annotation] = []
    findings: list[Finding] = []
    for key, value in content.items():
        try:
            entries.append(make(key, value))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            findings.append(Finding(key, UNREADABLE, dropped=True, detail=repr(error)))
    videos = frozenset(entry.video for entry in entries)
    return Annotations(tuple(entries), tuple(findings), videos, len(content))


def expect(condition: bool, path: Path, wanted: str) -> None:  # noqa: FBT001 (reads as an assertion)
    """Raise InputError when a file does not have the published structure."""
    if not condition:
        raise InputError(f"'{path}' does not have the published structure: expected {wanted}.")
