"""Media: from every kind of reference, and from nowhere else."""

import base64
import contextlib
import json
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.database.keys import ProjectKey, server_name
from backend.media.fetch import MediaError
from tests.backend.media.reader import media, read, signed_in
from tests.http_server import Answer, Server


@pytest.mark.parametrize("reference", ["/data/upload/1/a.jpg", "/data/local-files/?d=a/b.jpg"])
def test_label_studios_own_files_are_fetched_signed_in(
    tmp_path: Path, label_studio: Server, reference: str
) -> None:
    label_studio.routes[reference.partition("?")[0]] = signed_in
    assert read(media(tmp_path, label_studio.url), reference) == b"file"
    assert read(media(tmp_path / "2", label_studio.url), label_studio.url + reference) == b"file"


@pytest.mark.parametrize("reference", ["/data/upload/1/a.jpg", "/sub/data/upload/1/a.jpg"])
def test_label_studio_below_a_sub_path(
    tmp_path: Path, label_studio: Server, reference: str
) -> None:
    label_studio.routes["/sub/data/upload/1/a.jpg"] = signed_in
    assert read(media(tmp_path, label_studio.url + "/sub"), reference) == b"file"


def test_storages_go_through_label_studio_and_strangers_never_see_the_token(
    tmp_path: Path, label_studio: Server, elsewhere: Server
) -> None:
    signed = f"{elsewhere.url}/bucket/a.jpg?X-Amz-Signature=s"
    label_studio.routes["/tasks/5/presign/"] = lambda request: Answer(
        status=303, headers={"Location": signed}
    )
    elsewhere.routes["/bucket/a.jpg"] = lambda request: Answer(b"file")
    reader = media(tmp_path, label_studio.url, allowed_hosts="127.0.0.1")
    assert read(reader, "s3://bucket/a.jpg") == b"file"
    asked = label_studio.requests[0]
    assert base64.urlsafe_b64decode(asked.query.removeprefix("fileuri=")) == b"s3://bucket/a.jpg"
    assert "authorization" in asked.headers
    assert "authorization" not in elsewhere.requests[0].headers


def test_what_one_servers_token_fetched_is_not_shown_to_a_project_of_another(
    tmp_path: Path, label_studio: Server, elsewhere: Server
) -> None:
    label_studio.routes["/data/upload/1/a.jpg"] = signed_in
    url = f"{label_studio.url}/data/upload/1/a.jpg"
    others = json.dumps({elsewhere.url: "b" * 40})
    reader = media(
        tmp_path, label_studio.url, more_label_studios=others, allowed_hosts="127.0.0.1,localhost"
    )
    own, strange = (ProjectKey(server_name(each.url), 1) for each in (label_studio, elsewhere))
    with reader.open(url, project=own, task=5) as file:
        assert file.read() == b"file"
    with pytest.raises(MediaError, match="401"):
        reader.open(url, project=strange, task=5)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_private_addresses_are_refused(tmp_path: Path, elsewhere: Server, host: str) -> None:
    with pytest.raises(MediaError, match=r"private address|cannot be reached"):
        read(media(tmp_path, None), f"http://{host}:{elsewhere.port}/a.jpg")
    assert elsewhere.requests == []


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8", "localhost, 127.0.0.0/8"])
def test_private_addresses_may_be_allowed(tmp_path: Path, elsewhere: Server, allowed: str) -> None:
    elsewhere.routes["/a.jpg"] = lambda request: Answer(b"file")
    reader = media(tmp_path, None, allowed_hosts=allowed)
    assert read(reader, f"http://127.0.0.1:{elsewhere.port}/a.jpg") == b"file"


def test_redirects_are_checked_anew(
    tmp_path: Path, label_studio: Server, elsewhere: Server
) -> None:
    label_studio.routes["/a.jpg"] = lambda request: Answer(
        status=302, headers={"Location": f"{elsewhere.url}/secret"}
    )
    with pytest.raises(MediaError, match="private address"):
        read(media(tmp_path, label_studio.url), "/a.jpg")
    assert elsewhere.requests == []


def test_endless_redirects_end(tmp_path: Path, label_studio: Server) -> None:
    label_studio.routes["/a"] = lambda request: Answer(status=302, headers={"Location": "/a"})
    with pytest.raises(MediaError, match="redirects"):
        read(media(tmp_path, label_studio.url, max_redirects=3), "/a")
    assert len(label_studio.requests) == 4


@pytest.mark.parametrize("declared", [True, False])
def test_large_files_are_refused(tmp_path: Path, label_studio: Server, *, declared: bool) -> None:
    size = 3 * 2**20
    headers = {"Content-Length": str(size)} if declared else {}
    chunks = (b"x" * 2**16 for _ in range(size // 2**16))
    label_studio.routes["/a"] = lambda request: Answer(chunks, headers=headers)
    with pytest.raises(MediaError, match="MAX_MEDIA_MB"):
        read(media(tmp_path, label_studio.url, max_media_mb=1), "/a")


def test_slow_files_are_given_up(tmp_path: Path, label_studio: Server) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.05)
            yield b"x"

    label_studio.routes["/a"] = lambda request: Answer(drip())
    started = time.monotonic()
    with pytest.raises(MediaError, match=r"MEDIA_TIMEOUT|broke off"):
        read(media(tmp_path, label_studio.url, media_timeout=0.5), "/a")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
def test_headers_that_never_end_are_given_up(tmp_path: Path, name: str) -> None:
    """Each byte comes in time, so only the time of the whole ends it."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=[listener], daemon=True)
        thread.start()
        reader = media(tmp_path, None, media_timeout=0.5, allowed_hosts="127.0.0.1")
        with pytest.raises(MediaError, match="MEDIA_TIMEOUT"):
            read(reader, f"http://127.0.0.1:{listener.getsockname()[1]}/{name}")
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    ("reference", "status", "words"),
    [
        ("/data/upload/1/a.jpg", 401, "VIDEOGEM_LABEL_STUDIO_API_KEY"),
        ("/data/local-files/?d=a.jpg", 404, "LOCAL_FILES_SERVING_ENABLED"),
        ("/data/upload/1/a.jpg", 500, "answered 500"),
    ],
)
def test_the_reason_says_what_to_set(
    tmp_path: Path, label_studio: Server, reference: str, status: int, words: str
) -> None:
    label_studio.routes[reference.partition("?")[0]] = lambda request: Answer(status=status)
    with pytest.raises(MediaError, match=words):
        read(media(tmp_path, label_studio.url), reference)


def test_an_unreachable_server(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="VIDEOGEM_LABEL_STUDIO_URL"):
        read(media(tmp_path, "http://127.0.0.1:9"), "/a.jpg")


@pytest.mark.parametrize(
    "reference",
    ["file:///etc/passwd", "//host/a.jpg", "../a.jpg", "C:\\a.jpg", "ftp://h/a", "", None, 5, []],
)
def test_what_is_never_opened(tmp_path: Path, reference: Any) -> None:
    with pytest.raises(MediaError):
        read(media(tmp_path, None), reference)


def test_data_addresses(tmp_path: Path) -> None:
    assert read(media(tmp_path, None), "data:text/plain,a%20b") == b"a b"
    assert read(media(tmp_path, None), "data:image/png;base64,aGk=") == b"hi"


def test_a_file_is_fetched_once(tmp_path: Path, label_studio: Server) -> None:
    label_studio.routes["/a"] = lambda request: Answer(b"file")
    reader = media(tmp_path, label_studio.url)
    assert [read(reader, "/a"), read(reader, "/a")] == [b"file", b"file"]
    assert len(label_studio.requests) == 1


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1", "1 2"])
def test_lengths_that_are_none_are_not_believed(
    tmp_path: Path, label_studio: Server, length: str
) -> None:
    ranges = {"Content-Range": f"bytes 0-1/{length}"}
    label_studio.routes["/a.mp4"] = lambda _: Answer(b"ab", 206, ranges)
    with pytest.raises(MediaError, match="206 instead of the file"):
        read(media(tmp_path, label_studio.url), "/a.mp4")
    label_studio.routes["/a"] = lambda _: Answer(
        iter([b"file"]), headers={"Content-Length": length}
    )
    assert read(media(tmp_path, label_studio.url), "/a") == b"file"


def test_a_folder_that_cannot_keep_a_file_is_told(tmp_path: Path, label_studio: Server) -> None:
    label_studio.routes["/a"] = lambda _: Answer(b"file")
    (tmp_path / "media").write_text("a file where the folder should be")
    with pytest.raises(MediaError, match=r"/a cannot be kept.*VIDEOGEM_DATA_DIR"):
        read(media(tmp_path, label_studio.url), "/a")


def test_a_file_that_a_full_disk_ends_leaves_nothing_behind(
    tmp_path: Path, label_studio: Server
) -> None:
    label_studio.routes["/a"] = lambda _: Answer(b"file" * 30_000)
    reader, limit = media(tmp_path, label_studio.url), resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))  # as if the disk ended there
    try:
        with pytest.raises(MediaError, match="free some space"):
            read(reader, "/a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert list((tmp_path / "media").iterdir()) == []


def test_a_failed_fetch_leaves_nothing_behind(tmp_path: Path, label_studio: Server) -> None:
    reader = media(tmp_path, label_studio.url)
    with pytest.raises(MediaError):
        read(reader, "/a")
    assert list((tmp_path / "media").iterdir()) == []


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("[::1]", "[::1]"),  # as the refusal names it
        ("::1", "[0:0::1]"),
        ("0:0::1", "[::1]"),
        ("LOCALHOST.", "localhost"),
        ("localhost", "LocalHost"),
    ],
)
def test_an_allowed_host_counts_however_it_is_written(
    tmp_path: Path, elsewhere: Server, allowed: str, host: str
) -> None:
    elsewhere.routes["/a.jpg"] = lambda request: Answer(b"file")
    reader = media(tmp_path, None, allowed_hosts=allowed)
    address = f"http://{host}:{elsewhere.port}/a.jpg"
    if "localhost" in host.lower():
        assert read(reader, address) == b"file"
        return
    with pytest.raises(MediaError) as refused:  # the server listens on IPv4 alone
        read(reader, address)
    assert "private address" not in str(refused.value)
