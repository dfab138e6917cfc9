"""JSON as strangers send it: refused in words, at once, in little memory."""

import json
import time
import tracemalloc

import pytest
from flask.testing import FlaskClient

from backend.database.json_text import LONG
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.json_body import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_VALUES,
    SLICE,
    BadJsonError,
    read_json,
)
from tests.fakes import FakeGrounder

HOSTILE = {
    "nothing": (b"", "cannot be read"),
    "half": (b'{"action": "X"', "cannot be read"),
    "two": (b"{}{}", "cannot be read"),
    "no characters": (b'{"action": "\xff\xfe"}', "cannot be read"),
    "deep lists": (b"[" * 400_000, "deep"),
    "deep lists, closed": (b"[" * 400_000 + b"]" * 400_000, "deep"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deep"),
    "just too deep": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deep"),
    "many lists": (b"[" + b"[]," * (MAX_CONTAINERS + 1) + b"[]]", "more than"),
    "many values": (b"[" + b"1," * (MAX_VALUES + 1) + b"1]", "more than"),
    "a long number": (b'{"id": ' + b"9" * 100_000 + b"}", "100000 digits"),
    "a large number": (b'{"lead_time": 1e999}', "beyond all"),
    "a small number": (b'{"lead_time": -1e999}', "beyond all"),
    "not a number": (b'{"score": NaN}', "NaN"),
    "infinity": (b'{"score": -Infinity}', "Infinity"),
    "twice": (b'{"project": {"id": 1, "id": 2}}', "'id' twice"),
}


@pytest.mark.parametrize("data", [data for data, _ in HOSTILE.values()], ids=list(HOSTILE))
def test_it_is_refused_soon_and_in_little_memory(data: bytes) -> None:
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(BadJsonError):
        read_json(data)
    assert time.monotonic() - begun < 10
    assert tracemalloc.get_traced_memory()[1] < len(data) + 4_000_000
    tracemalloc.stop()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    settings = Settings(data_dir=tmp_path_factory.mktemp("json"), qa_sync_minutes=0)
    return create_app(settings, FakeGrounder()).test_client()


@pytest.mark.parametrize("path", ["/webhook", "/setup", "/predict"])
def test_every_route_refuses_it_in_words(client: FlaskClient, path: str) -> None:
    for data, words in HOSTILE.values():
        answer = client.post(path, data=data, content_type="application/json")
        assert answer.status_code == 400
        assert words in answer.status


def test_what_label_studio_sends_is_read() -> None:
    text = """{"a": [1, -2, 0.25, 1e-7, "ä\\u00e4", null, {"b": [[1], [2]]}], "c": 12345678901}"""
    assert read_json(text.encode()) == {
        "a": [1, -2, 0.25, 1e-7, "ää", None, {"b": [[1], [2]]}],
        "c": 12345678901,
    }
    nested = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(nested)[0]


ODD = {  # texts that no database takes, as JSON and encodings hide them
    "escaped": json.dumps({"x": ["\ud800", {"\udfff\0": "a\0b"}]}).encode(),
    "in the encoding": json.dumps({"x": ["\ud800"]}, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    ),
    "escaped, in another encoding": json.dumps({"x": "\ud800\0"}).encode("utf-16"),
    "in another encoding": json.dumps({"x": "\ud800"}, ensure_ascii=False).encode(
        "utf-32", "surrogatepass"
    ),
    "on the border of two slices": b"[" + b" " * (SLICE - 4) + b'"\\ud800"]',
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
@pytest.mark.parametrize("spaces", [0, LONG])
def test_texts_that_no_database_takes_are_read_as_others(data: bytes, spaces: int) -> None:
    if spaces:  # read by another reader
        unit = 4 if b"\0\0\0" in data[:8] else 2 if b"\0" in data[:8] else 1
        data += b" ".ljust(unit, b"\0") * spaces
    text = json.dumps(read_json(data), ensure_ascii=False)
    assert text.encode()
    assert "\\u0000" not in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_they_make_no_event_and_no_setup_fail(client: FlaskClient, encoding: str) -> None:
    config = '<View>\ud800<Image name="i" value="$i"/></View>'
    project = {"id": 1, "label_config": config, "title": "\ud800"}
    for path, body, wanted in (
        ("/webhook", {"action": "PROJECT_UPDATED", "project": project}, 201),
        ("/webhook", {"action": "TASKS_CREATED\ud800", "project": project, "tasks": []}, 201),
        (
            "/setup",
            {"project": "1.5", "schema": config, "hostname": "http://localhost/\ud800"},
            400,
        ),
        ("/predict", {"tasks": [{"id": 1, "data": {"i": "\ud800"}}], "label_config": config}, 400),
        ("/qa/marks", {"annotation": 1, "server": "\ud800", "verdict": "fine"}, 400),
    ):
        data = json.dumps(body, ensure_ascii=False).encode(encoding, "surrogatepass")
        answer = client.post(path, data=data, content_type="application/json")
        assert answer.status_code == wanted, (path, answer.get_data())
