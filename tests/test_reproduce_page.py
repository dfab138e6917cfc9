"""The page on the paper's numbers names commands, methods and figures that exist."""

import re
from pathlib import Path

import pytest
import typer

from backend.cli import app
from videogem.datasets.registry import dataset_readers
from videogem.evaluation.methods import parse_method
from videogem.evaluation.paper import FIGURES, TABLES, published, table_methods

PAGE = (Path(__file__).resolve().parents[1] / "docs/reproduce.md").read_text()
COMMANDS = re.findall(r"`(videogem [^`]+)`", PAGE)
GROUP = typer.main.get_command(app)


def options_of(command: str) -> set[str]:
    parameters = GROUP.commands[command].params
    return {option for parameter in parameters for option in parameter.opts}


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands_and_options_exist(line):
    _, command, *rest = line.split()
    assert {word for word in rest if word.startswith("--")} <= options_of(command)


def test_loose_options_exist():
    known = options_of("evaluate") | options_of("datasets") | options_of("models")
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", PAGE)) <= known


def test_methods_parse():
    named = re.findall(r"--method ([\w:=/,.-]+)", PAGE)
    assert named
    for name in named:
        parse_method(name)


def test_every_dataset_table_and_figure_has_its_command():
    for name in dataset_readers():
        assert name in ("jsonl", "labelstudio") or f"`{name}`" in PAGE
    for number in TABLES:
        assert table_methods(number)
        assert f"--table {number}`" in PAGE
    for name in FIGURES:
        assert f"--figure {name} --out OUT`" in PAGE


def test_printed_numbers_are_those_the_tables_show():
    for row in [*published()["rows"], *published()["since"]["rows"]]:
        values = [*row["accuracy"], row.get("mean")]
        cells = " | ".join("-" if value is None else f"{value:.2f}" for value in values)
        lines = [line for line in PAGE.splitlines() if line.endswith(f"| {cells} |")]
        assert any(row["name"] in line for line in lines), row
