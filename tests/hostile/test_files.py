"""Files nobody should hand over: what is wrong with them is told in words."""

import resource
import time
from pathlib import Path

import pytest

from tests.hostile import files
from tests.hostile.files import Kind
from videogem.errors import InputError

KINDS = (
    "images", "videos", "subtitles", "configs", "exports", "datasets", "lines", "narrations",
    "checkpoints",
)  # fmt: skip
SHORT, LONG = 120, 4_000  # files of each kind
DEAR = {"videos": 10}  # a file of such a kind stands for so many
LIMIT_S = 2.0
LIMIT_MB = 500.0  # that one kind's files may take, all in all; a frame of 400 megapixels has 1,200


def read_all(kind: Kind, folder: Path, seed: int, count: int) -> tuple[int, float]:
    """Read broken files; whatever is not told in words fails. Gives how many could be read."""
    good, slowest, held = 0, 0.0, most_held_mb()
    for number, (name, content) in enumerate(files.broken(kind, seed, count)):
        place = folder / "file"
        place.mkdir(exist_ok=True)
        path = place / name
        path.write_bytes(content)
        start = time.thread_time()
        try:
            kind.read(path)
            good += 1
        except InputError as error:
            assert len(str(error)) > 10, (number, name)
        except Exception as error:
            raise AssertionError(f"{kind.name} {number} of seed {seed} ({name})") from error
        slowest = max(slowest, time.thread_time() - start)
        path.unlink()
    assert most_held_mb() - held < LIMIT_MB
    return good, slowest


def most_held_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def kind_of(name: str) -> Kind:
    made: Kind = getattr(files, name)()
    return made


def count_of(name: str, count: int) -> int:
    return count // DEAR.get(name, 1)


@pytest.mark.filterwarnings("ignore")  # Pillow and torch warn of what they are asked to read
@pytest.mark.parametrize("name", KINDS)
def test_broken_files_are_told_in_words(tmp_path: Path, name: str) -> None:
    good, _ = read_all(kind_of(name), tmp_path, 0, count_of(name, SHORT))
    assert good > 0


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_many_broken_files_are_told_in_words(tmp_path: Path, name: str) -> None:
    good, slowest = read_all(kind_of(name), tmp_path, 1, count_of(name, LONG))
    assert good > 0
    assert slowest < LIMIT_S


@pytest.mark.parametrize("name", ["bomb.ttml", "outside.ttml"])
def test_entities_bring_nothing_in(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(dict(files.subtitles().samples)[name])
    with pytest.raises(InputError):
        files.subtitles().read(path)


@pytest.mark.parametrize("content", [b"\x80", b"\x80\x02}q", b"\x80\x02.", b"\x80\x02J\0"])
def test_cut_pickles_are_told_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="weights file"):
        files.checkpoints().read(path)


def test_sami_without_a_sync_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.smi"
    path.write_bytes(b"<SAMI><BODY><P>cut the onion</SAMI>")
    with pytest.raises(InputError, match="no cue"):
        files.subtitles().read(path)
