"""What messages and logs say of media: whose file it is, and no secret."""

import logging
from pathlib import Path
from typing import Any

import pytest

from backend.media.fetch import MediaError
from backend.prediction.frames import read_moment
from tests.backend.media.reader import media, read
from tests.http_server import Answer, Server
from videogem.media.sources import VideoReadError, source_name


def test_secrets_of_an_address_are_not_shown(tmp_path: Path, label_studio: Server) -> None:
    with pytest.raises(MediaError) as error:
        read(media(tmp_path, label_studio.url), label_studio.url + "/a?X-Amz-Signature=s3cret")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/a/pan.jpg?X-Amz-Signature=s3cret", "pan.jpg"),
        ("/data/local-files/?d=a/b.jpg", "b.jpg"),
        ("s3://bucket/c.jpg", "c.jpg"),
    ],
)
def test_messages_name_the_file_as_the_task_does(
    tmp_path: Path, label_studio: Server, reference: str, name: str
) -> None:
    label_studio.fallback = lambda request: Answer(b"no picture")
    reader = media(tmp_path, label_studio.url)
    for _ in range(2):  # fetched, and from the cache
        with reader.open(reference, project=None, task=5) as file:
            assert source_name(file) == name
            with pytest.raises(VideoReadError, match=f"^{name} cannot be read"):
                read_moment(file, time=None, num_frames=1)


@pytest.mark.parametrize(
    "reference",
    [
        "ftp://u:secret@files.example/a.jpg",
        "ftp://files.example/a.jpg?sig=secret",
        "a" * 1000 + "secret" + "b" * 1000,
        "a" * 1000 + "secret" + "b" * 1000 + ":",
        {"url": "a" * 1000 + "secret" + "b" * 1000},
        "s3://bucket/" + "a" * 1000 + "/secret/" + "b" * 1000,
        "/data/" + "a" * 1000 + "/secret/" + "b" * 1000,
    ],
)
def test_a_refusal_shows_neither_secrets_nor_megabytes(tmp_path: Path, reference: Any) -> None:
    with pytest.raises(MediaError) as refused:
        read(media(tmp_path, None), reference)
    assert "secret" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_no_log_shows_what_a_link_is_signed_with(
    tmp_path: Path, elsewhere: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    elsewhere.routes["/a.jpg"] = lambda request: Answer(b"file", 200, {"X Y": "misshapen"})
    reader = media(tmp_path, None, allowed_hosts="127.0.0.1")
    assert read(reader, f"{elsewhere.url}/a.jpg?X-Amz-Signature=secret") == b"file"
    assert "secret" not in caplog.text
