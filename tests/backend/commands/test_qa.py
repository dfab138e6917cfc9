"""`videogem qa report`, `export` and `sync` from the shell."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.qa.marks import Verdict, put_mark
from backend.qa.store import Store
from tests.http_server import Answer, http_server
from tests.qa_events import annotation, box, created
from tests.qa_marks import place, send, tiny
from tests.qa_world import team_events
from videogem.errors import InputError


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('store')}/qa.db"
    store = Store(url)
    for event in team_events(40):
        store.append_event(event)
    store.close()  # events that wait are done by whoever opens the store next
    return url


def run(*arguments):
    return CliRunner().invoke(app, ["qa", *arguments])


def test_report_writes_one_file_or_prints_json(database, tmp_path):
    out = tmp_path / "report.html"
    result = run("report", "--database", database, "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "Dataset quality report" in out.read_text()
    found = json.loads(run("report", "--database", database, "--json").stdout)
    assert found["headline"]["n"] > 30
    empty = json.loads(run("report", "--database", database, "--project", "9", "--json").stdout)
    assert empty["headline"]["n"] == 0


def test_export_in_each_form(database, tmp_path):
    assert run("export", "--database", database).stdout.startswith("project_id,task_id,")
    coco = json.loads(run("export", "--database", database, "--format", "coco").stdout)
    assert [(category["id"], category["name"]) for category in coco["categories"]] == [
        (1, "action")
    ]
    out = tmp_path / "figures.json"
    assert (
        run("export", "--database", database, "--format", "json", "--out", str(out)).exit_code == 0
    )
    assert json.loads(out.read_text())["headline"]["n"] > 30


def test_what_is_missing_is_said(database, tmp_path, monkeypatch):
    absent = run("report", "--database", f"sqlite:///{tmp_path}/absent.db")
    assert isinstance(absent.exception, InputError)
    assert not (tmp_path / "absent.db").exists()
    monkeypatch.delenv("VIDEOGEM_LABEL_STUDIO_URL", raising=False)
    sync = run("sync", "--database", database)
    assert isinstance(sync.exception, InputError)
    assert "VIDEOGEM_LABEL_STUDIO_URL" in str(sync.exception)


def test_nothing_of_the_quality_part_imports_torch():
    program = (
        "import sys, pkgutil, importlib, backend.qa\n"
        "for m in pkgutil.iter_modules(backend.qa.__path__):\n"
        "    if m.name != 'migrations': importlib.import_module('backend.qa.' + m.name)\n"
        "import backend.commands.qa, backend.commands.qa_score, backend.commands.qa_target\n"
        "assert 'torch' not in sys.modules and 'altair' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def label_studio(monkeypatch):
    """One that has project 2 without tasks, and no project 1."""
    with http_server() as server:
        server.routes["/api/current-user/whoami"] = lambda _: Answer({"id": 1})
        server.routes["/api/projects/2/"] = lambda _: Answer({"id": 2, "label_config": "<View/>"})
        server.routes["/api/tasks/"] = lambda _: Answer({"tasks": [], "total": 0})
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", server.url)
        monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", "k")
        yield server


def test_one_project_that_fails_does_not_stop_the_others(label_studio, tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    store = Store(url)
    for number in (1, 2):
        project = {"id": number, "title": "", "label_config": "<View/>"}
        store.append_event({"action": "PROJECT_UPDATED", "project": project})
    store.close()
    result = run("sync", "--database", url)
    assert result.exit_code == 1
    assert "Project 1: 404: no such project" in result.stderr
    assert "Project 2: 0 tasks" in result.stdout


def test_much_is_removed_only_when_forced(label_studio, tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    store = Store(url)
    for number in range(1, 13):
        event = created(annotation(number, [box(1, 1, 9, 9)], task=number, project=2))
        store.append_event({**event, "project": {"id": 2}})
    store.close()
    arguments = "sync", "--database", url, "--project", "2"
    stopped = run(*arguments)
    assert stopped.exit_code == 1
    assert "12 of 12 annotations" in stopped.stderr
    forced = run(*arguments, "--force")
    assert (forced.exit_code, "12 removed" in forced.stdout) == (0, True), forced.output


def test_marks_as_table_csv_and_json(tmp_path):
    url = f"sqlite:///{tmp_path}/qa.db"
    store = Store(url)
    send(store, created(tiny(1)), created(tiny(2)))
    store.close()
    assert "Nothing is marked yet" in run("marks", "--database", url).stdout
    store = Store(url)
    put_mark(store, place(1), Verdict.fix, by="Ana", reasons=["tiny"])
    put_mark(store, place(2), Verdict.fine, by="Ana", reasons=["tiny"])
    store.close()
    assert "50.0 % (9.5 to 90.5 %)" in run("marks", "--database", url, "--project", "1").stdout
    assert isinstance(run("marks", "--database", url, "--project", "9").exception, InputError)
    found = json.loads(run("marks", "--database", url, "--format", "json").stdout)
    assert [mark["verdict"] for mark in found["marks"]] == ["fix", "fine"]
    out = tmp_path / "marks.csv"
    run("marks", "--database", url, "--format", "csv", "--out", str(out))
    assert len(out.read_text().splitlines()) == 3
