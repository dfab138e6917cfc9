"""Texts as every database takes them."""

LONGEST = 2000  # characters of words for people


def clean_text(text: str) -> str:
    """A text without NUL characters, with question marks for halves of surrogate pairs; the same
    object where it has neither.

    >>> clean_text("a\\0b \\ud800")
    'ab ?'
    """
    if text.isascii():
        return text.replace("\0", "")
    cleaned = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return text if cleaned == text else cleaned


def storable(words: str) -> str:
    """Words for people, cleaned and no longer than they read."""
    return clean_text(words)[:LONGEST]
