"""JSON as strangers send it: refused in words, at once, in little memory."""

import time
import tracemalloc

import pytest
from flask.testing import FlaskClient

from backend.settings import Settings
from backend.web.app import create_app
from backend.web.json_body import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_VALUES,
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
