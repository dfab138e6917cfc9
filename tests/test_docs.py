"""What the README, the configs and the help say is what the code does."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from label_studio_sdk.label_interface import LabelInterface

from backend.cli import app
from backend.labeling.ready import ready_configs
from backend.settings import PREFIX, Settings
from tests.docs_tables import with_tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS: Any = typer.main.get_command(app)


def shell_lines(page: Path) -> Iterator[str]:
    """Commands in the page's ```bash blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in blocks:
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())


def test_tables_are_those_of_the_code() -> None:
    assert with_tables(README) == README, "run 'make docs'"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_unknown_settings_are_documented(page: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text(encoding="utf-8")))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in shell_lines(page):
        program, *words = shlex.split(line, comments=True) or [""]
        if Path(program).name == "videogem":
            check_command(COMMANDS, words)
        if program == "make":
            targets = [word for word in words if "=" not in word]
            assert all(re.search(rf"^{name}:", makefile, flags=re.MULTILINE) for name in targets)


def check_command(command: Any, words: list[str]) -> None:
    while getattr(command, "commands", None) and words:
        assert words[0] in command.commands, f"there is no 'videogem {words[0]}'"
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known, f"'{command.name}' has no {given - known}"


def test_every_command_is_documented() -> None:
    assert [name for name in COMMANDS.commands if f"videogem {name}" not in README] == []
    rows = re.findall(r"^\| (`videogem qa .*?) \|", README, flags=re.MULTILINE)
    named = re.findall(r"`(?:videogem qa )?(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(COMMANDS.commands["qa"].commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("name", "text"), ready_configs().items(), ids=list(ready_configs()))
def test_label_configs_are_accepted(name: str, text: str) -> None:
    LabelInterface(text).validate()
    assert text.startswith("<!--"), f"{name} says in its first lines what it is for"
    assert f"(label_config/{name}.xml)" in README


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs").glob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > 500_000] == []


def test_the_readme_says_of_reasons_what_the_measurement_says() -> None:
    measured = (ROOT / "docs" / "qa.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([a-z-]+)` \| [^|]+ \| (\S+) \([^)]*\) \| (\S+) \(", measured, re.MULTILINE
    )
    assert len(rows) > 10
    told = re.findall(r"`([a-z-]+)` \| (\d\.\d\d) \| (\d\.\d\d)", README)
    assert sorted(told) == sorted(rows)
