"""The XML tags of a labeling config, no more and no larger than people make them.

They are read with the standard parser, because Label Studio waits only 3 seconds for /setup and the
SDK's parser takes longer than that to import.
"""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from videogem.errors import InputError

MAX_CONFIG_CHARS = 1_000_000
MAX_DEPTH = 64  # tags inside tags; Label Studio's own examples have up to eight
MAX_TAGS = 20_000
MAX_ATTRIBUTE_CHARS = 20_000


@dataclass(frozen=True)
class Tag:
    """An XML element with case-insensitive names, and its `model_*` attributes read."""

    tag: str
    kind: str
    attributes: dict[str, str]
    element: ElementTree.Element
    options: dict[str, Any]

    @property
    def name(self) -> str:
        return self.attributes.get("name", "")

    def __str__(self) -> str:
        # Without angle brackets: Label Studio shows our messages as HTML.
        return f'{self.tag[:80]} "{self.name[:80]}"' if self.name else self.tag[:80]


def read_xml(config: str) -> ElementTree.Element:
    """The tags of a labeling config, which is no larger or deeper than people make them.

    Raises:
        InputError: it is not XML, has a document type (where entities come from), or is too large.
    """
    if len(config) > MAX_CONFIG_CHARS:
        raise InputError(
            f"The labeling config has {len(config):,} characters; at most {MAX_CONFIG_CHARS:,} "
            "are read."
        )
    parser = ElementTree.XMLParser(target=_BoundedBuilder())
    try:
        parser.feed(config.strip() or "<View/>")
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise InputError(f"The labeling config is not XML: {error}.") from None
    return root


class _BoundedBuilder(ElementTree.TreeBuilder):
    """Builds the tree, and stops as soon as it grows beyond what a labeling config may be."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._tags = 0

    def start(self, tag: Any, attrs: Any) -> ElementTree.Element:
        self._depth += 1
        self._tags += 1
        if self._depth > MAX_DEPTH:
            raise InputError(
                f"The labeling config has tags nested more than {MAX_DEPTH} deep; is an end tag "
                "missing?"
            )
        if self._tags > MAX_TAGS:
            raise InputError(f"The labeling config has more than {MAX_TAGS:,} tags.")
        for name, value in attrs.items():
            if len(value) > MAX_ATTRIBUTE_CHARS:
                raise InputError(
                    f"{tag[:80]}: the attribute {name[:80]} has {len(value):,} characters; at most "
                    f"{MAX_ATTRIBUTE_CHARS:,} are read."
                )
        return super().start(tag, attrs)

    def end(self, tag: str) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise InputError(
            "The labeling config has a DOCTYPE; Label Studio's configs have none. Remove it."
        )
