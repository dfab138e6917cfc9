"""What marks say as a field of Label Studio's tasks: what is written, and what is left alone."""

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from backend.cli import app
from backend.label_studio.client import LabelStudio, LabelStudioError
from backend.qa.mark_field import Written, states_of, write_field
from backend.qa.marks import Verdict, all_marks, put_mark
from backend.qa.store import Store
from tests.http_server import Answer, Request, Server, http_server
from tests.qa_events import created
from tests.qa_marks import PROJECT, place, send, tiny
from videogem.errors import InputError

FIX, FINE, OPEN = Verdict.fix, Verdict.fine, Verdict.open


class Studio:
    """Tasks that are listed by pages, and the action that sets a field of some."""

    def __init__(self, server: Server, num_tasks: int = 4) -> None:
        self.url = server.url
        self.tasks = {n: {"image": f"s3://bucket/{n}.jpg", "n": n} for n in range(1, 1 + num_tasks)}
        self.deaf = False
        server.routes["/api/tasks/"] = self._page
        server.routes["/api/dm/actions"] = self._action
        self.actions: list[Any] = []

    def api(self) -> LabelStudio:
        return LabelStudio(self.url, SecretStr("a" * 40))

    def _page(self, request: Request) -> Answer:
        asked = parse_qs(request.query)
        size, page = int(asked["page_size"][0]), int(asked["page"][0])
        rows = [{"id": n, "data": data} for n, data in self.tasks.items()]
        return Answer({"tasks": rows[(page - 1) * size : page * size], "total": len(rows)})

    def _action(self, request: Request) -> Answer:
        assert parse_qs(request.query)["id"] == ["add_data_field"]
        body = request.body if isinstance(request.body, dict) else json.loads(request.body)
        self.actions.append(body)
        if not self.deaf:
            for n in body["selectedItems"]["included"]:
                self.tasks[n][body["value_name"]] = body["value"]
        return Answer({"detail": "done"})


@pytest.fixture
def studio() -> Iterator[Studio]:
    with http_server() as server:
        yield Studio(server)


def test_only_what_differs_is_written_and_other_fields_stay(studio: Studio) -> None:
    before = copy.deepcopy(studio.tasks)
    states = {1: FIX, 2: FINE, 3: OPEN, 9: FIX}
    assert write_field(studio.api(), 1, "review", states) == Written({FIX: 1, FINE: 1}, 0, 1)
    held = {n: data.pop("review", None) for n, data in copy.deepcopy(studio.tasks).items()}
    assert held == {1: "fix", 2: "fine", 3: None, 4: None}
    assert {n: {k: v for k, v in d.items() if k != "review"} for n, d in studio.tasks.items()} == (
        before
    )
    count = len(studio.actions)
    assert write_field(studio.api(), 1, "review", states) == Written({}, 2, 1)
    assert len(studio.actions) == count
    assert write_field(studio.api(), 1, "review", {**states, 1: OPEN}) == Written({OPEN: 1}, 1, 1)
    assert studio.tasks[1]["review"] == "open"


@pytest.mark.parametrize(
    ("task", "value"),
    [(1, "looks good"), (1, 7), (4, "fine"), (4, "")],
    ids=["other words", "no text", "a task nobody marked", "empty"],
)
def test_a_field_of_others_is_never_written(studio: Studio, task: int, value: object) -> None:
    studio.tasks[task]["review"] = value
    before = copy.deepcopy(studio.tasks)
    with pytest.raises(InputError, match=f"Task {task} of project 1 has a field 'review'"):
        write_field(studio.api(), 1, "review", {1: FIX, 2: FINE})
    assert (studio.tasks, studio.actions) == (before, [])


@pytest.mark.parametrize("name", ["", "a.b", "1st", "$image", "a b", "x" * 65, "ü"])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(InputError, match="letters, digits and underscores"):
        write_field(LabelStudio("http://127.0.0.1:9", SecretStr("k")), 1, name, {1: FIX})


def test_what_label_studio_only_says_it_wrote_is_told(studio: Studio) -> None:
    studio.deaf = True
    with pytest.raises(LabelStudioError, match="1 tasks do not hold it, task 2"):
        write_field(studio.api(), 1, "review", {2: FIX})


def test_many_tasks_are_written_in_pieces(studio: Studio) -> None:
    studio.tasks = {n: {} for n in range(1, 1202)}
    done = write_field(studio.api(), 1, "review", dict.fromkeys(studio.tasks, FIX))
    assert done.changed == {FIX: 1201}
    sizes = [len(action["selectedItems"]["included"]) for action in studio.actions]
    assert sizes == [500, 500, 201]


def test_one_annotation_to_fix_is_a_task_to_fix_and_what_is_taken_back_is_open() -> None:
    def mark(task: int, verdict: str, *, counts: bool = True) -> dict[str, Any]:
        return {"task_id": task, "verdict": verdict, "counts": counts}

    marks = [mark(1, "fine"), mark(1, "fix"), mark(2, "fine"), mark(2, "fix", counts=False),
             mark(3, "fix", counts=False), mark(3, "open", counts=False)]  # fmt: skip
    assert states_of(marks) == {1: FIX, 2: FINE, 3: OPEN}


def test_the_command(studio: Studio, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/qa.db"
    store = Store(url)
    send(store, *(created(tiny(id)) for id in (1, 2, 3)))
    put_mark(store, place(1), FIX, by="Ana", reasons=["tiny"])
    put_mark(store, place(2), FINE, by="Ana", reasons=["tiny"])
    assert len(all_marks(store, PROJECT)) == 2
    store.close()
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("backend.commands.qa_marks.label_studio_of", lambda *_: studio.api())

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["qa", "marks", "--database", url, *words])

    refused = run("--write-field", "review")
    assert isinstance(refused.exception, InputError)
    assert "say --project" in str(refused.exception)
    done = run("--project", "1", "--write-field", "review", "--format", "json")
    assert done.exit_code == 0, done.output
    assert "Wrote 'review' into 2 tasks (1 fine, 1 fix); 0 had it already." in done.stderr
    assert len(json.loads(done.stdout)["marks"]) == 2
    assert [studio.tasks[n].get("review") for n in (1, 2, 3)] == ["fix", "fine", None]
    assert "Wrote 'review' into 0 tasks; 2 had it already." in run(
        "--project", "1", "--write-field", "review").stderr  # fmt: skip


def test_no_mark_writes_nothing(studio: Studio) -> None:
    states: dict[int, Verdict] = {}
    assert write_field(studio.api(), 1, "review", states) == Written({}, 0, 0)
    assert studio.actions == []
