"""spaCy is imported without its command line, which is still there for who asks for it."""

import subprocess
import sys

import spacy

from videogem.narration.importing_spacy import import_spacy

CODE = """
import sys
from videogem.narration.importing_spacy import import_spacy
spacy = import_spacy()
extra = {"spacy.cli", "spacy.cli.info", "weasel", "httpx", "requests", "jinja2"} & set(sys.modules)
assert not extra, extra
assert import_spacy() is spacy
assert spacy.blank("en")("cut the tomato")[2].text == "tomato"
from spacy.cli import download
assert download.__module__ == "spacy.cli.download"
assert spacy.info(silent=True)["spacy_version"] == spacy.__version__
"""


def test_the_command_line_is_imported_by_who_asks_for_it_only() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_imported_stays() -> None:
    assert import_spacy() is spacy
    assert sys.modules["spacy.cli"].__file__ is not None
