"""Commands that look at no picture do not wait for torch, and may still use it afterwards."""

import subprocess
import sys

CODE = """
import sys
from backend.commands.support.quick_spacy import import_spacy_alone
from videogem.narration.prompts import parse
finders = list(sys.meta_path)
import_spacy_alone()
assert parse("cut the tomato").verbs == ("cut",)
assert "spacy" in sys.modules and "torch" not in sys.modules
assert sys.meta_path == finders
import torch
assert torch.zeros(1).item() == 0
"""


def test_words_are_found_without_torch_which_can_be_imported_later() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
