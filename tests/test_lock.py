"""The lock is the requirements': every package once, with hashes, for every supported Python."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, ALL = "requirements.lock", "requirements-dev.lock"
REQUIREMENTS = {
    "requirements.txt": RUNTIME,
    "requirements-dev.txt": ALL,
    "requirements-sdk.txt": ALL,
}
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))


def requirements(name: str) -> list[Requirement]:
    """The lines of a requirements file or a lock, hashes and comments left out."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / name).read_text())
    lines = (re.split(r"\s#|\s--hash=", line)[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def locked(name: str, python: str, platform: tuple[str, str]) -> dict[str, str]:
    """Package -> version that is installed there."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": platform[0],
        "platform_machine": platform[1],
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform[0]],
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    chosen: dict[str, str] = {}
    for entry in requirements(name):
        if entry.marker and not entry.marker.evaluate(environment):
            continue
        package = canonicalize_name(entry.name)
        assert package not in chosen, f"{package} stands twice in {name} for Python {python}"
        [pin] = entry.specifier
        assert pin.operator == "=="
        chosen[package] = pin.version
    return chosen


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_required_is_locked(python: str, platform: tuple[str, str]) -> None:
    for name, lock in REQUIREMENTS.items():
        versions = locked(lock, python, platform)
        for wanted in requirements(name):
            version = versions.get(canonicalize_name(wanted.name))
            assert version and wanted.specifier.contains(version, prereleases=True), (
                f"{wanted} of {name} is not what {lock} has ({version}): run 'make lock'"
            )


@pytest.mark.parametrize("python", PYTHONS)
def test_what_is_tested_is_what_is_installed(python: str) -> None:
    for platform in PLATFORMS:
        runtime = locked(RUNTIME, python, platform)
        assert runtime.items() <= locked(ALL, python, platform).items()


@pytest.mark.parametrize("name", [RUNTIME, ALL])
def test_every_entry_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.findall(r"^[A-Za-z0-9](?:[^\n]*\\\n)*[^\n]*", text, flags=re.MULTILINE)
    assert len(entries) == len(requirements(name)) > 50
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.split()[0]
    assert "://" not in text
