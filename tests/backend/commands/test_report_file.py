"""The report as one file, written on the command line: pictures inside, nothing fetched, PDF."""

import base64
import json

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.commands.support import pdf
from backend.qa.store import Store
from tests.qa_world import team_events
from videogem.errors import InputError


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", "http://studio.example")
    store = Store(f"sqlite:///{tmp_path}/qa.db")
    for event in team_events(20, images=True):
        store.append_event(event)
    store.process_pending()
    store.close()
    return f"sqlite:///{tmp_path}/qa.db"


def run(*words):
    return CliRunner().invoke(app, ["qa", "report", *map(str, words)])


def test_suspects_have_their_frames_inside_and_lead_to_their_tasks(url, tmp_path):
    out = tmp_path / "report.html"
    done = run("--out", out, "--database", url)
    assert done.exit_code == 0, done.output
    text = out.read_text()
    pictures = [part.split('"')[0] for part in text.split('src="data:image/jpeg;base64,')[1:]]
    suspects = json.loads(run("--json", "--database", url).output)["audit"]
    assert len(pictures) == len(suspects) > 1
    assert base64.b64decode(pictures[0])[:3] == b"\xff\xd8\xff"
    first = f"task={suspects[0]['task_id']}&amp;annotation={suspects[0]['annotation_id']}"
    assert f'href="http://studio.example/projects/7/data?{first}"' in text


def test_a_report_may_leave_the_suspects_out(url, tmp_path):
    whole, without = tmp_path / "whole.html", tmp_path / "without.html"
    for out, more in ((whole, ()), (without, ("--no-audit",))):
        assert run("--out", out, "--database", url, *more).exit_code == 0
    assert "Labels to look at again" in whole.read_text()
    text = without.read_text()
    assert "Labels to look at again" not in text and "data:image/jpeg" not in text
    assert "Pointing accuracy" in text
    found = json.loads(run("--json", "--no-audit", "--database", url).output)
    assert found["audit"] is None and found["headline"]["n"] > 0


def test_without_chromium_a_pdf_is_refused_in_one_sentence(url, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    out = tmp_path / "report.pdf"
    done = run("--out", out, "--database", url)
    assert isinstance(done.exception, InputError) or done.exit_code == 2
    assert "A PDF needs Chromium or Chrome" in f"{done.output}{done.exception}"
    assert not out.exists()


@pytest.mark.parametrize("prints", [True, False])
def test_a_pdf_is_what_chromium_prints(tmp_path, monkeypatch, prints):
    program = tmp_path / "chrome"
    write = 'for a in "$@"; do case "$a" in --print-to-pdf=*) echo %PDF > "${a#*=}";; esac; done'
    program.write_text(f"#!/bin/sh\n{write if prints else 'echo no display >&2; exit 3'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CHROME_PATH", str(program))
    out = tmp_path / "out.pdf"
    if prints:
        pdf.print_pdf("<p>fine</p>", out)
        assert out.read_text().startswith("%PDF")
    else:
        with pytest.raises(InputError, match="could not print the PDF: no display"):
            pdf.print_pdf("<p>fine</p>", out)
