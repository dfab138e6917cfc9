"""A new form of narration is one file: found by itself, told by its content or its ending, read."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import cli
from backend.commands.support.sidecars import sidecar_of
from videogem.errors import InputError
from videogem.narration import forms
from videogem.narration.reading import Cue, guess_format, narration_forms, parse_cues, read_cues

MPL2 = '''"""MPL2: '[15][30]words|more words', in tenths of a second."""

import re

from videogem.narration.cues import Cue
from videogem.narration.form import Form

_LINE = re.compile(r"^\\[(\\d+)\\]\\[(\\d+)\\](.*)$", re.MULTILINE)


def read(said):
    """Bars break lines, and a slash before one makes it italic."""
    return [
        Cue(int(start) / 10, int(end) / 10, words.replace("|", " ").replace("/", ""))
        for start, end, words in _LINE.findall(said.text)
    ]


FORMS = (Form("mpl2", read, (".mpl",), shows=lambda said: bool(_LINE.match(said.head))),)
'''
TEXT = "[15][30]cut the|tomato\n[35][50]/stir it\n"
CUES = [Cue(1.5, 3.0, "cut the tomato"), Cue(3.5, 5.0, "stir it")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules belong to the forms until the test ends."""
    own = tmp_path / "forms"
    own.mkdir()
    monkeypatch.setattr(forms, "__path__", [*forms.__path__, str(own)])
    narration_forms.cache_clear()
    yield own
    monkeypatch.undo()
    narration_forms.cache_clear()


def test_without_its_file_the_form_is_unknown(tmp_path) -> None:
    path = tmp_path / "a.mpl"
    path.write_text(TEXT)
    assert sidecar_of(path.with_suffix(".mp4")) is None
    with pytest.raises(InputError, match="Unknown narration format 'mpl2'; use one of vtt, ttml"):
        read_cues(path, "mpl2")


def test_a_new_file_is_told_read_and_found_beside_a_video(
    folder, tmp_path, monkeypatch, capsys
) -> None:
    (folder / "mpl2.py").write_text(MPL2)
    path = tmp_path / "a.mpl"
    path.write_text(TEXT)
    assert guess_format(TEXT) == "mpl2"
    assert read_cues(path) == parse_cues(TEXT) == parse_cues(TEXT, "mpl2") == CUES
    assert sidecar_of(path.with_suffix(".mp4")) == path

    monkeypatch.setattr(sys, "argv", ["videogem", "prompts", "--file", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert "tomato" in capsys.readouterr().out


def test_two_forms_with_one_name_or_ending_are_refused(folder) -> None:
    (folder / "one.py").write_text(MPL2)
    (folder / "two.py").write_text(MPL2.replace('"mpl2"', '"mpl"'))
    with pytest.raises(RuntimeError, match=r"two forms of narration have \.mpl"):
        parse_cues(TEXT)


def test_the_subtitles_beside_a_video_are_srt_first_and_no_xml(tmp_path) -> None:
    video = tmp_path / "a.mp4"
    for ending in (".xml", ".txt", ".vtt", ".srt"):
        found = sidecar_of(video)
        assert found is None or found.suffix == {".vtt": ".txt", ".srt": ".vtt"}[ending]
        video.with_suffix(ending).touch()
    assert sidecar_of(video) == video.with_suffix(".srt")
