"""What a command imports: what takes seconds and is not used would be waited for at each start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = (
    "av", "huggingface_hub", "label_studio_sdk", "open_clip", "pandas", "ray", "scipy", "sklearn",
    "spacy", "spacy.cli", "sympy", "timm", "torch", "torch._dynamo", "torchvision", "transformers",
)  # fmt: skip
ROOT = Path(__file__).parents[3]
CLIP, PICTURE = ROOT / "videogem/data/demo/clips/kitchen.mp4", ROOT / "docs/grounding.png"
CODE = """
import json, sys
from backend.cli import app
sys.argv = ["videogem", *json.loads(sys.argv[1])]
try:
    app()
except SystemExit as end:
    assert not end.code, end.code
print("\\n" + json.dumps([name for name in json.loads(sys.stdin.read()) if name in sys.modules]))
"""


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        (["--help"], set()),
        (["models"], {"huggingface_hub"}),
        (["models", "--all"], {"huggingface_hub"}),
        (["datasets"], set()),
        (["ground", str(PICTURE), "--narration", "now crack two eggs"], {"torch", "spacy"}),
        (["ground", str(CLIP), "--narration", "crack two eggs"], {"torch", "spacy", "av"}),
        (
            ["ground", str(CLIP), "--narration", "crack two eggs", "--model", "demo-viclip"],
            {"torch", "spacy", "av"},
        ),
    ],
    ids=lambda value: " ".join(value[:1] + value[5:]) if isinstance(value, list) else "",
)
def test_a_command_imports_what_it_needs(line: list[str], needed: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(line)],
        input=json.dumps(SLOW),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == needed
