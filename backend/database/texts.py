"""Words for people, as every database takes them."""

LONGEST = 2000  # characters


def storable(text: str) -> str:
    """A text without NUL and halves of surrogate pairs, no longer than people read.

    >>> storable("a\\0b \\ud800")
    'ab ?'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")[:LONGEST]
