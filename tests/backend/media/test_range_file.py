"""Remote files are read by ranges: the right bytes, few requests, little traffic."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.media.range_file import BLOCK, KEPT, RangeFile
from tests import clips
from videogem.media.video import read_clip, read_frames

DATA = os.urandom(3 * BLOCK + 1000)


class Remote:
    """Bytes behind a counter of requests."""

    def __init__(self, data):
        self.data = data
        self.requests = []

    def fetch(self, start, stop):
        self.requests.append((start, stop))
        return self.data[start:stop]

    def open(self):
        return RangeFile(len(self.data), self.fetch, name="remote.mp4")

    @property
    def traffic(self):
        return sum(stop - start for start, stop in self.requests)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 2 * BLOCK)), max_size=6))
def test_same_bytes_as_the_file(reads):
    file = Remote(DATA).open()
    for place, size in reads:
        assert file.seek(place) == place
        read = b""
        while len(read) < size and (part := file.read(size - len(read))):
            read += part
        assert read == DATA[place : place + size]
        assert file.tell() == max(place, min(place + size, len(DATA)))


def test_seeking():
    file = Remote(DATA).open()
    assert file.seek(-10, os.SEEK_END) == len(DATA) - 10
    assert file.read(100) == DATA[-10:]
    assert file.read(1) == b""
    assert file.seek(5) == 5 and file.seek(-2, os.SEEK_CUR) == 3
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)


def test_reading_on_takes_few_requests_and_bounded_memory():
    remote = Remote(bytes(300 * BLOCK))
    file = remote.open()
    while file.read(64 * 1024):
        pass
    assert remote.traffic == 300 * BLOCK
    assert len(remote.requests) < 30
    assert len(file._blocks) <= KEPT


def test_a_short_answer_is_an_error():
    file = RangeFile(1000, lambda start, stop: b"short")
    with pytest.raises(OSError, match="asked for bytes 0 to 1000, got 5"):
        file.read(10)


@pytest.fixture(scope="session")
def remote(tmp_path_factory):
    clips.require_ffmpeg()
    path = tmp_path_factory.mktemp("remote") / "long.mp4"
    source = ["-f", "lavfi", "-i", "nullsrc=s=320x180:r=25:d=120"]
    encoder = ["-vf", "noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast"]
    clips.ffmpeg(*source, *encoder, "-crf", "30", "-g", "50", "-pix_fmt", "yuv420p", path)
    return path


class TestVideo:
    def test_one_moment_of_a_long_video(self, remote):
        far = Remote(remote.read_bytes())
        clip = read_clip(far.open(), time=60.0, num_frames=8)
        assert clip.time == 60.0
        assert len(far.data) > 8 * 2**20
        assert far.traffic < 0.25 * len(far.data)
        assert len(far.requests) <= 8

    def test_same_frames_as_the_file(self, remote):
        times = [1.0, 50.0, 119.0]
        far = read_frames(Remote(remote.read_bytes()).open(), times)
        for one, other in zip(far, read_frames(remote, times), strict=True):
            assert (one.image == other.image).all() and one.index == other.index
