"""What of a narration is said: no speaker, sound marks, tags, emoji or words of hesitation."""

import html
import re
import unicodedata
from collections.abc import Sequence

_BREAKS = re.compile(
    r"<\s*/?\s*(?:br|p|div|li|ul|ol|h[1-6]|t[rdh]|table|section|article|blockquote|pre)\b"
    r"[^<>]{0,200}>",
    re.IGNORECASE,
)
_UNSHOWN = re.compile(
    r"<(script|style|title)\b[^<>]{0,200}>.{0,2000}?</\1\s*>|<!--.{0,2000}?-->",
    re.IGNORECASE | re.DOTALL,
)
_TAGS = re.compile(r"<[^<>\n]{0,200}>|\{\\[^{}\n]*\}")
_SOUND = re.compile(
    r"\[[^\]\n]{0,80}\]|\([^()\n]{0,80}\)|♪[^♪\n]*?♪|\*[a-z ]{2,30}\*", re.IGNORECASE
)
_SPEAKER = re.compile(
    r"^\s*(?:[-\u2013\u2014]\s*)?(?:>>+\s*)?"
    r"(?:\[[\w .-]{1,30}\]\s*:"
    r"|(?:speaker|spk|person|host|narrator|man|woman)[ _]?\w{0,3}\s*:"
    r"|[A-Z][A-Z0-9_.]*(?: [A-Z0-9_.]+){0,2}\s*:"
    r"|[A-Z][a-z]+(?: [A-Z][a-z.]+)?\s*:(?=\s+\S))\s*",
)
_SPEAKER_ANY_CASE = re.compile(
    r"^\s*(?:[-\u2013\u2014]\s*)?speaker[ _]?\w{0,3}\s*:\s*", re.IGNORECASE
)
_DASH = re.compile(r"^\s*(?:(?:[-\u2013\u2014]|>>+)\s*)+")
# Ego4D: '#C C' is who wears the camera, '#O person X' somebody else.
_EGO = re.compile(r"^\s*#\s*(?:C\s+C|unsure|summary|O\s+(?:a\s+)?(?:\w+\s+)?[A-Z]|[CO])\b\s*")
_EGO_BARE = re.compile(r"^\s*C\s+(?=[a-z]+s\b)")
_HESITATION = re.compile(
    r"(?:,\s*)?\b(?:u+h+m*|u+m+|e+r+m*|hm+|mhm|you know)\b\s*,?", re.IGNORECASE
)
_REPEATED = re.compile(r"\b(\w+)(?:\s+\1\b)+", re.IGNORECASE)
_SHORTENED = (
    (re.compile(r"\bgonna\b", re.I), "going to"),
    (re.compile(r"\bwanna\b", re.I), "want to"),
    (re.compile(r"\bgotta\b", re.I), "got to"),
    (re.compile(r"\blemme\b", re.I), "let me"),
    (re.compile(r"\bim\b(?=\s+(?:going|gonna|\w+ing)\b)", re.I), "i'm"),
)


NAME = r"(?:[A-Z][\w.'-]*|\d+)(?: (?:[A-Z][\w.'-]*|\d+)){0,3}"


def start_with_names(blocks: Sequence[Sequence[str]]) -> bool:
    """Whether all that is said begins with a line that is a name, as Teams and Premiere write it.

    >>> start_with_names([["Ann Lee", "cut it"], ["Speaker 2", "stir"]])
    True
    """
    named = [len(lines) > 1 and re.fullmatch(rf"{NAME}:?", lines[0].strip()) for lines in blocks]
    return len(named) > 1 and all(named)


def without_html(text: str, *, keep_lines: bool = False) -> str:
    """What a page shows of a text: no tags, no scripts, entities as they are read.

    ``keep_lines`` gives paragraphs lines of their own, else a blank stands between them.

    >>> without_html("<h3>Step&nbsp;2</h3><p>cut the <b>tomato</b> &amp; stir</p><!-- no -->")
    'Step 2 cut the tomato & stir'
    """
    if "<" not in text and "&" not in text:
        return text
    space = "\n" if keep_lines else " "
    # Twice: what Label Studio shows as HTML is often escaped on top.
    for _ in range(2):
        shown = _BREAKS.sub(space, _UNSHOWN.sub(space, text))
        text = html.unescape(_TAGS.sub("", shown))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return space.join(line for line in lines if line)


def without_marks(text: str) -> str:
    """Tags, entities, emoji, sound marks and who speaks are no words.

    >>> without_marks("- ANN: (laughs) cut<br>the&nbsp;<b>tomato</b> \\N{TOMATO}")
    'cut the tomato'
    """
    plain = without_html(text)
    plain = _SPEAKER.sub("", _SPEAKER_ANY_CASE.sub("", plain), count=1)
    plain = _SOUND.sub(" ", plain)
    plain = _SPEAKER.sub("", _DASH.sub("", plain), count=1)
    plain = "".join(" " if _is_picture(character) else character for character in plain)
    return " ".join(plain.split())


def spoken(text: str) -> str:
    """Words as they are to be tagged: no marks, no hesitation, no shouting, no underscores.

    >>> spoken("UM, PUT_EGG TO THE THE PLATE")
    'put egg to the plate'
    """
    plain = without_marks(text).replace("_", " ")
    plain = _EGO_BARE.sub("someone ", _EGO.sub("someone ", plain))
    letters = [character for character in plain if character.isalpha()]
    if len(letters) > 3 and all(character.isupper() for character in letters):
        plain = plain.lower()
    plain = plain.replace("\u2019", "'")
    plain = _HESITATION.sub(" ", plain)
    for short, long in _SHORTENED:
        plain = short.sub(long, plain)
    plain = _REPEATED.sub(r"\1", plain)
    return " ".join(plain.split()).strip(' ,;:-\u2013\u2014\u2022\u00b7*"\u201c\u201d')


def _is_picture(character: str) -> bool:
    """Emoji and what glues them together, notes and the like."""
    if character in "\u200b\u200d\ufe0e\ufe0f\u20e3\ufeff":
        return True
    return unicodedata.category(character) in ("So", "Sk", "Cf", "Co", "Cc", "Cs")
