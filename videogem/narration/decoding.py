"""Bytes of a text file → text, whatever wrote it."""

import codecs
import unicodedata

from videogem.errors import InputError

# The longer marks first: that of UTF-32 begins like that of UTF-16.
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# What subtitle editors write beside Unicode: Western, Cyrillic, Chinese, Japanese, Korean, ….
_LEGACY = [
    "cp1252", "cp1251", "koi8_r", "gb18030", "big5", "cp932", "euc_jp", "euc_kr", "cp1250",
    "cp1253", "cp1254", "cp1255", "cp1256",
]  # fmt: skip
_LIKE_WESTERN = ("cp1250", "cp1254")  # most letters in common, so that statistics hesitate
_SAMPLE = 65536


def decode(data: bytes, name: str) -> str:
    """Text of a file in Unicode, marked or not, or in an older encoding, told by statistics.

    Raises:
        InputError: not a text file.
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").removeprefix("\ufeff")
    unmarked = _unmarked_utf16(data)
    if unmarked is not None:
        return data.decode(unmarked, errors="replace")
    if b"\0" in data:
        raise InputError(f"{name} is not a text file; give subtitles or a transcript.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode(_legacy(data), errors="replace")


def _unmarked_utf16(data: bytes) -> str | None:
    """Latin letters, digits and line breaks of UTF-16 have a zero in every other byte."""
    head = data[:4000]
    pairs = len(head) // 2
    if pairs < 8:
        return None
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if odd > 0.3 * pairs and even < 0.02 * pairs:
        return "utf-16-le"
    if even > 0.3 * pairs and odd < 0.02 * pairs:
        return "utf-16-be"
    return None


def _legacy(data: bytes) -> str:
    from charset_normalizer import from_bytes  # only needed for old files

    # Digits, arrows and line breaks of subtitles say nothing of the encoding and drown what does.
    telling = b"\n".join(line for line in data[:_SAMPLE].splitlines() if any(b > 127 for b in line))
    best = from_bytes(telling, cp_isolation=_LEGACY).best()
    if best is None or (
        best.encoding in _LIKE_WESTERN and _reads_well(telling.decode("cp1252", "replace"))
    ):
        return "cp1252"
    return best.encoding


def _reads_well(text: str) -> bool:
    """Whether all that is not ASCII are letters and quotation marks, no fractions amid words."""
    strange = {character for character in text if ord(character) > 127}
    return all(
        one.isalpha() or unicodedata.category(one) in ("Pi", "Pf", "Pd", "Po", "Zs")
        for one in strange
    )
