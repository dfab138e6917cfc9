"""Whether narration is English: scripts and stop words, offline. Short labels stay unknown."""

import importlib.util
import re
import runpy
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

# Of the languages spaCy has stop words for, those that write in Latin letters.
_LATIN = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "sv": "Swedish", "da": "Danish", "nb": "Norwegian",
    "fi": "Finnish", "cs": "Czech", "hu": "Hungarian", "ro": "Romanian", "tr": "Turkish",
    "id": "Indonesian",
}  # fmt: skip
_SCRIPTS = {
    "CYRILLIC": "Cyrillic letters", "CJK": "Chinese characters", "HIRAGANA": "Japanese letters",
    "KATAKANA": "Japanese letters", "HANGUL": "Korean letters", "ARABIC": "Arabic letters",
    "HEBREW": "Hebrew letters", "GREEK": "Greek letters", "DEVANAGARI": "Devanagari letters",
    "THAI": "Thai letters",
}  # fmt: skip
_ADVICE = (
    "words are found by an English model and compared by a tower trained on English; name a spaCy "
    "model of that language and a multilingual tower, or translate it"
)


def why_not_english(text: str) -> str | None:
    """In words for people why a narration is taken for another language; None if it is not.

    >>> why_not_english("Jetzt schneidest du die Tomate mit dem Messer.")[:38]
    'The narration seems to be German: word'
    >>> why_not_english("cut the tomato") is None
    True
    """
    language = guess_language(text)
    if language in (None, "English"):
        return None
    return f"The narration seems to be {language}: {_ADVICE}."


def guess_language(text: str) -> str | None:
    """The language or script of a text; None where there is too little to tell.

    >>> guess_language("cut tomato") is None
    True
    """
    scripts = Counter(_script(character) for character in text if character.isalpha())
    letters = scripts.total()
    script = max(_SCRIPTS, key=lambda name: scripts[name])
    if scripts[script] and 2 * (letters - scripts[""]) >= letters:
        # A few Japanese letters among Chinese characters make it Japanese.
        japanese = scripts["HIRAGANA"] + scripts["KATAKANA"]
        return _SCRIPTS["HIRAGANA" if script == "CJK" and japanese else script]
    words = re.findall(r"[^\W\d_]+", text.lower())
    english = sum(word in _stop_words("en") for word in words)
    found = {
        name: sum(word in _stop_words(code) - _stop_words("en") for word in words)
        for code, name in _LATIN.items()
    }
    name, hits = max(found.items(), key=lambda one: one[1])
    if hits >= 2 and hits > 2 * english and 4 * hits >= len(words):
        return name
    return "English" if english >= 2 and english >= hits else None


@cache
def _stop_words(code: str) -> frozenset[str]:
    # The file by itself: its package would be imported with rules of seconds, as the French one.
    spacy = importlib.util.find_spec("spacy")
    places = spacy.submodule_search_locations if spacy is not None else None
    path = Path(next(iter(places or ["."]))) / "lang" / code / "stop_words.py"
    words: set[str] = runpy.run_path(str(path))["STOP_WORDS"]
    return frozenset(words)


def _script(character: str) -> str:
    name = unicodedata.name(character, "").partition(" ")[0]
    return name if name in _SCRIPTS else ""
