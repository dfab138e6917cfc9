"""Another language is noticed where there is enough of it; English never is."""

import json
from pathlib import Path

import pytest

from videogem.narration.language import guess_language, why_not_english

DATA = Path(__file__).parents[2] / "data" / "narration"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Jetzt schneidest du die Tomate", "German"),
        ("Coupez la tomate en deux", "French"),
        ("Ahora corta el tomate", "Spanish"),
        ("Ora taglia il pomodoro", "Italian"),
        ("Agora corte o tomate", "Portuguese"),
        ("Snijd nu de tomaat", "Dutch"),
        ("Теперь нарежьте помидор", "Cyrillic letters"),
        ("现在切西红柿", "Chinese characters"),
        ("トマトを切る", "Japanese letters"),
        ("put the onions on the cutting board", "English"),
        ("cut tomato", None),
        ("", None),
        ("...", None),
    ],
)
def test_languages(text, language):
    assert guess_language(text) == language


@pytest.mark.parametrize("name", ["narrations", "everyday"])
def test_english_is_never_taken_for_another_language(name):
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert [text for text in texts if why_not_english(text)] == []
