"""Captions in XML and HTML: TTML and DFXP, YouTube's srv1 to srv3, ELAN, SAMI."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from xml.etree import ElementTree

from videogem.errors import InputError
from videogem.media.sources import Seconds
from videogem.narration.cues import Cue, Word, plain_text
from videogem.narration.form import Form, Written

_OFFSET_TIME = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|f|t)")
_CLOCK_TIME = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:[.,]\d+)?)(?:[:;](\d+(?:\.\d+)?))?")
_XML = ("<?xml", "<tt", "<transcript", "<timedtext", "<ANNOTATION_DOCUMENT")
_SAMI = re.compile(r"<sami\b", re.IGNORECASE)
_SYNC = re.compile(r"<sync\b[^>]*?\bstart\s*=\s*[\"']?(-?\d+)[^>]*>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"(?=<p\b)", re.IGNORECASE)
_CLASS = re.compile(r"<p\b[^>]*?\bclass\s*=\s*[\"']?(\w+)", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_UNSAID = re.compile(r"<(style|head|title)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)


def parse_sami(text: str) -> list[Cue]:
    """SAMI: what a SYNC shows lasts until the next one, which may show nothing."""
    plain = _UNSAID.sub("", text)
    languages = [name.lower() for name in _CLASS.findall(plain)]
    parts = _SYNC.split(plain)
    starts = [int(start) / 1000 for start in parts[1::2]]
    ends = [*starts, math.nan][1:]
    said = [plain_text(_BREAK.sub(" ", _in_first(part, languages))) for part in parts[2::2]]
    return [Cue(start, end, words) for start, end, words in zip(starts, ends, said, strict=True)]


def _in_first(part: str, languages: list[str]) -> str:
    """What is shown in the language that comes first; one that has paragraphs of another only is
    silent."""
    pieces = _PARAGRAPH.split(part)
    named = [(match[1].lower() if (match := _CLASS.match(piece)) else "") for piece in pieces]
    return " ".join(
        piece for piece, name in zip(pieces, named, strict=True) if not name or name == languages[0]
    )


def parse_xml(text: str, name: str) -> list[Cue]:
    """Captions in XML, told apart by their root.

    Raises:
        InputError: not well-formed, or of no known kind.
    """
    try:
        root = ElementTree.fromstring(
            text.strip().removeprefix("\ufeff").encode("utf-8"), _parser()
        )
    except ElementTree.ParseError as error:
        raise InputError(f"{name} is not well-formed XML ({error}); export it again.") from None
    kind = _local(root)
    if kind == "tt":
        return list(_ttml(root))
    if kind in ("transcript", "timedtext"):
        return list(_youtube(root))
    if kind == "ANNOTATION_DOCUMENT":
        return list(_elan(root))
    raise InputError(
        f"{name} is XML of an unknown kind (<{kind}>); expected TTML, YouTube's timed text or ELAN."
    )


def _parser() -> ElementTree.XMLParser:
    # The text is Unicode already, whatever encoding its first line names.
    return ElementTree.XMLParser(encoding="utf-8")


def _local(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _attribute(element: ElementTree.Element, name: str) -> str | None:
    """An attribute by its name, in whatever namespace."""
    return next((v for key, v in element.attrib.items() if key.rpartition("}")[2] == name), None)


@dataclass(frozen=True)
class _Rates:
    frame: float
    tick: float

    def seconds(self, value: str | None) -> Seconds | None:
        """A TTML time expression; None where there is none.

        Source: Timed Text Markup Language 2, section 12.3.1.
        """
        if value is None:
            return None
        if match := _OFFSET_TIME.fullmatch(value.strip()):
            number = float(match[1])
            units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
            units |= {"f": 1 / self.frame, "t": 1 / self.tick}
            # Ticks by division, so that 1200000t at 10000000 is .12 and not its neighbour.
            if match[2] == "t":
                return number / self.tick
            return number / self.frame if match[2] == "f" else number * units[match[2]]
        if match := _CLOCK_TIME.fullmatch(value.strip()):
            whole = (
                int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))
            )
            return whole + (float(match[4]) / self.frame if match[4] else 0.0)
        bare = _number(value.replace(",", "."))  # without a unit: written, though not allowed
        if bare is not None:
            return bare
        raise InputError(f"The time {value!r} in the TTML is no clock and no number with a unit.")


def _rates(root: ElementTree.Element) -> _Rates:
    frame = _positive(_attribute(root, "frameRate"), 0.0)
    numerator, _, denominator = (
        (_attribute(root, "frameRateMultiplier") or "1 1").replace(":", " ").partition(" ")
    )
    multiplier = Fraction(1)
    if numerator.isdecimal() and denominator.strip().isdecimal() and int(denominator):
        multiplier = Fraction(int(numerator), int(denominator))
    rate = (frame or 25.0) * float(multiplier or 1)  # 25 where nothing is said, as for timecodes
    sub = _positive(_attribute(root, "subFrameRate"), 1.0)
    return _Rates(rate, _positive(_attribute(root, "tickRate"), rate * sub if frame else 1.0))


def _positive(value: str | None, otherwise: float) -> float:
    try:
        number = float(value or "")
    except ValueError:
        return otherwise
    return number if math.isfinite(number) and number > 0 else otherwise


def _ttml(root: ElementTree.Element) -> Iterator[Cue]:
    body = next((child for child in root if _local(child) == "body"), None)
    if body is not None:
        yield from _timed(body, _rates(root), 0.0, math.nan)


def _timed(
    element: ElementTree.Element, rates: _Rates, start: Seconds, end: Seconds
) -> Iterator[Cue]:
    """Cues below an element; times count from the start of what holds them."""
    begin = rates.seconds(_attribute(element, "begin"))
    until = rates.seconds(_attribute(element, "end"))
    length = rates.seconds(_attribute(element, "dur"))
    own = start + (begin or 0.0)
    own_end = end if until is None else start + until
    if length is not None:
        own_end = own + length if math.isnan(own_end) else min(own_end, own + length)
    if _local(element) != "p":
        in_turn = _attribute(element, "timeContainer") == "seq"
        for child in element:
            yield from _timed(child, rates, own, own_end)
            if in_turn:
                own = _ended(child, rates, own)
        return
    spans = [child for child in element.iter() if _local(child) == "span"]
    if begin is None and any(_attribute(span, "begin") is not None for span in spans):
        for span in spans:
            if _attribute(span, "begin") is not None:
                yield from _timed_span(span, rates, own, own_end)
        return
    yield Cue(own, own_end, plain_text(_said(element)))


def _ended(element: ElementTree.Element, rates: _Rates, start: Seconds) -> Seconds:
    """When an element is over that the next one waits for."""
    begin = start + (rates.seconds(_attribute(element, "begin")) or 0.0)
    until = rates.seconds(_attribute(element, "end"))
    length = rates.seconds(_attribute(element, "dur"))
    return begin + length if length is not None else start + (until or 0.0)


def _timed_span(
    span: ElementTree.Element, rates: _Rates, start: Seconds, end: Seconds
) -> Iterator[Cue]:
    begin = start + (rates.seconds(_attribute(span, "begin")) or 0.0)
    until = rates.seconds(_attribute(span, "end"))
    length = rates.seconds(_attribute(span, "dur"))
    if until is not None:
        end = start + until
    elif length is not None:
        end = begin + length
    yield Cue(begin, end, plain_text(_said(span)))


def _said(element: ElementTree.Element) -> str:
    """Text with line breaks as blanks, without metadata."""
    parts = [element.text or ""]
    for child in element:
        kind = _local(child)
        if kind == "br":
            parts.append(" ")
        elif kind not in ("metadata", "desc", "title"):
            parts.append(_said(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _youtube(root: ElementTree.Element) -> Iterator[Cue]:
    for element in root.iter():
        kind = _local(element)
        if kind == "text":  # srv1 in seconds; srv2 in milliseconds
            start, length = element.get("start"), element.get("dur")
            unit = 1.0
            if start is None:
                start, length, unit = element.get("t"), element.get("d"), 1000.0
        elif kind == "p":  # srv3: milliseconds
            start, length, unit = element.get("t"), element.get("d"), 1000.0
        else:
            continue
        begin = _number(start)
        if begin is None:
            continue
        duration = _number(length)
        end = math.nan if duration is None else (begin + duration) / unit
        words = tuple(
            Word(plain_text(one.text or ""), (begin + offset) / unit)
            for one in element
            if _local(one) == "s" and (offset := _number(one.get("t") or "0")) is not None
        )
        # srv1 escapes twice: its text is HTML.
        yield Cue(begin / unit, end, plain_text("".join(element.itertext())), words)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _elan(root: ElementTree.Element) -> Iterator[Cue]:
    times = {
        slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE") or 0) / 1000
        for slot in root.iter("TIME_SLOT")
        if (slot.get("TIME_VALUE") or "").isdecimal()
    }
    for annotation in root.iter("ALIGNABLE_ANNOTATION"):
        start = times.get(annotation.get("TIME_SLOT_REF1"))
        end = times.get(annotation.get("TIME_SLOT_REF2"), math.nan)
        value = annotation.find("ANNOTATION_VALUE")
        if start is not None and value is not None:
            yield Cue(start, end, " ".join("".join(value.itertext()).split()))


def _read_xml(said: Written) -> list[Cue]:
    return parse_xml(said.text, said.name)


FORMS = (
    Form("ttml", _read_xml, (".ttml", ".dfxp"), rank=19),
    Form(
        "xml",
        _read_xml,
        (".xml", ".srv3", ".srv2", ".srv1", ".eaf"),
        shows=lambda said: said.head.startswith(_XML),
        rank=20,
    ),
    Form(
        "sami",
        lambda said: parse_sami(said.text),
        (".smi", ".sami"),
        shows=lambda said: bool(_SAMI.match(said.head)),
        rank=30,
    ),
)
