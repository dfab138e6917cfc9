"""A long video is not fetched whole for one moment of it."""

import time
from pathlib import Path
from typing import Any

import pytest

from backend.media.fetch import MediaError
from tests.backend.media.reader import TOKEN, media, read
from tests.http_server import Answer, Request, Server


class TestRanges:
    """A long video is not fetched whole for one moment of it."""

    @pytest.fixture
    def whole(self, monkeypatch: pytest.MonkeyPatch) -> bytes:
        monkeypatch.setattr("backend.media.media.RANGES_FROM", 1000)
        return bytes(range(256)) * 4096  # 1 MiB

    @staticmethod
    def in_parts(data: bytes) -> Any:
        def answer(request: Request) -> Answer:
            if request.headers.get("authorization") != f"Token {TOKEN}":
                return Answer(b"", 401)
            wanted = request.headers.get("range", "")
            if not wanted:
                return Answer(data)
            start, stop = (int(edge) for edge in wanted.removeprefix("bytes=").split("-"))
            place = {"Content-Range": f"bytes {start}-{stop}/{len(data)}"}
            return Answer(data[start : stop + 1], 206, place)

        return answer

    @pytest.mark.parametrize("reference", ["/data/upload/1/a.mp4", "/data/local-files/?d=b/a.webm"])
    def test_only_what_is_read_is_fetched(
        self, tmp_path: Path, label_studio: Server, whole: bytes, reference: str
    ) -> None:
        label_studio.routes[reference.partition("?")[0]] = self.in_parts(whole)
        with media(tmp_path, label_studio.url).open(reference, project=None, task=5) as file:
            file.seek(600_000)
            assert file.read(10) == whole[600_000:600_010]
        fetched = [request.headers.get("range") for request in label_studio.requests]
        assert fetched == ["bytes=0-0", "bytes=524288-786431"]

    def test_servers_without_ranges_and_small_files_are_fetched_whole(
        self, tmp_path: Path, label_studio: Server, whole: bytes
    ) -> None:
        label_studio.routes["/data/upload/1/a.mp4"] = lambda request: Answer(whole)
        label_studio.routes["/data/upload/1/b.mp4"] = self.in_parts(whole[:500])
        source = media(tmp_path, label_studio.url)
        assert read(source, "/data/upload/1/a.mp4") == whole
        assert read(source, "/data/upload/1/b.mp4") == whole[:500]

    def test_a_server_that_stops_giving_parts_is_told(
        self, tmp_path: Path, label_studio: Server, whole: bytes
    ) -> None:
        label_studio.routes["/data/upload/1/a.mp4"] = self.in_parts(whole)
        with media(tmp_path, label_studio.url).open(
            "/data/upload/1/a.mp4", project=None, task=5
        ) as file:
            label_studio.routes["/data/upload/1/a.mp4"] = lambda request: Answer(b"", 404)
            with pytest.raises(MediaError, match="no longer gives parts"):
                file.read(10)

    @pytest.mark.parametrize(
        ("limits", "reason"),
        [
            ({"max_media_mb": 0.4}, "VIDEOGEM_MAX_MEDIA_MB"),
            ({"media_timeout": 0.6}, "MEDIA_TIMEOUT"),
        ],
    )
    def test_all_parts_together_keep_the_limits_of_a_file(
        self, tmp_path: Path, label_studio: Server, whole: bytes, limits: Any, reason: str
    ) -> None:
        answer = self.in_parts(whole)

        def slow(request: Request) -> Answer:
            time.sleep(0.35 if "media_timeout" in limits else 0)
            return answer(request)

        label_studio.routes["/data/upload/1/a.mp4"] = slow
        source = media(tmp_path, label_studio.url, **limits)
        with (
            source.open("/data/upload/1/a.mp4", project=None, task=5) as file,
            pytest.raises(MediaError, match=reason),
        ):
            file.read()


@pytest.mark.parametrize("came", [b"", b"short", bytes(10**6)])
def test_a_part_of_another_length_than_asked_is_no_defect(
    tmp_path: Path, elsewhere: Server, came: bytes
) -> None:
    answer = Answer(came, 206, {"Content-Range": f"bytes 0-1/{10**8}"})
    elsewhere.routes["/a.mp4"] = lambda request: answer
    reader = media(tmp_path, None, allowed_hosts="127.0.0.1")
    with pytest.raises(MediaError, match=rf"/a.mp4 sent {len(came)} bytes of a part of 262144"):
        read(reader, f"{elsewhere.url}/a.mp4")
