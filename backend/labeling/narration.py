"""Which task field holds the narration of an Image or Video, as the labeling config shows it.

1. What ``model_narration`` names.
2. Of several images each with a text of its own: the text in the same View, or the one beside it
   where texts and images alternate.
3. Of the fields shown: one whose name speaks of a narration, else the first that is no id, number,
   time or address, else the first.
4. Of a text with several fields in it, none of which speaks of a narration: the whole text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from backend.labeling.targets import fields_of

TEXT_TAGS = ("text", "paragraphs", "hypertext", "header")
NARRATION_WORDS = ("narration", "caption", "sentence", "instruction", "transcript", "text")
TEXT_KEY = "text"  # of paragraphs, where the config says nothing
_NO_WORDS = re.compile(
    r"(?:.*_)?(?:id|uid|uuid|key|n|no|nr|num|number|idx|index|i|time|timestamp|start|end|date"
    r"|url|uri|path|file|filename|source|fps|score)|.*[a-z]I[dD]",
)


@dataclass(frozen=True)
class Shown:
    """A tag that shows task fields as text."""

    title: str  # as messages name it
    name: str
    element: Element
    value: str  # as in the config
    fields: tuple[str, ...]
    text_key: str
    behind_address: bool  # the field holds where the text is, not the text

    def best(self) -> str | None:
        """The field that speaks of a narration, if one does."""
        named = (f for word in NARRATION_WORDS for f in self.fields if word in f.lower())
        return next(named, None)

    @property
    def narration(self) -> str:
        """A field, or the text with all its fields."""
        return self.best() or (self.fields[0] if len(self.fields) == 1 else self.value)

    @property
    def has_words(self) -> bool:
        return any(_NO_WORDS.fullmatch(re.split(r"[.\[]", f)[-1]) is None for f in self.fields)


@dataclass(frozen=True)
class Narration:
    """Where the narration is: a field, or a text with fields in it; and what is to be told."""

    value: str | None
    text_key: str = TEXT_KEY
    note: str | None = None
    problem: str | None = None


def shown_by(
    title: str, kind: str, attributes: Mapping[str, str], element: Element
) -> Shown | None:
    """The task fields a tag shows; None where it shows none."""
    given = {key.lower(): value for key, value in attributes.items()}
    value = given.get("value", "")
    fields = fields_of(value)
    if not fields or not (kind in TEXT_TAGS or kind == "textarea"):
        return None
    return Shown(
        title,
        attributes.get("name", ""),
        element,
        value,
        fields,
        given.get("textkey") or TEXT_KEY,
        kind in TEXT_TAGS and given.get("valuetype", "").lower() == "url",
    )


class Narrations:
    """The texts of one config, and the Image and Video tags they may belong to."""

    def __init__(self, root: Element, shown: Sequence[Shown], objects: Sequence[Element]) -> None:
        self._parents = {child: parent for parent in root.iter() for child in parent}
        self._shown = shown
        self._objects = objects
        self._beside = self._pairs(root)
        self._all = {one.element for one in shown}
        self._own = {object_: {one.element for one in own} for object_, own in self._beside.items()}

    def of(self, title: str, element: Element, options: Mapping[str, Any]) -> Narration:
        """The narration of an Image or Video; ``options`` are those of its tags and controls."""
        if "model_narration" in options:
            return Narration(str(options["model_narration"]))
        own = self.beside(element)
        usable = [shown for shown in own if not shown.behind_address]
        if not usable:
            if not own:
                return Narration(None)
            return Narration(
                None,
                problem=f'{own[0].title} shows the text behind an address (valueType="url"), '
                "which is not fetched; put the text itself into the tasks and name its field: "
                'model_narration="$field".',
            )
        named = [
            (shown, word)
            for word in NARRATION_WORDS
            for shown in usable
            if any(word in field.lower() for field in shown.fields)
        ]
        chosen = named[0][0] if named else next((s for s in usable if s.has_words), usable[0])
        others = dict.fromkeys(f for s in own for f in s.fields if f not in fields_in(chosen))
        note = None
        if others:
            taken = chosen.narration.replace("<", "(").replace(">", ")")
            note = (
                f"{title}: the narration is taken from {taken!r}, not from {', '.join(others)}; "
                'model_narration="$field" names another.'
            )
        return Narration(chosen.narration, chosen.text_key, note)

    def belongs(self, text: Element, element: Element) -> bool:
        """Whether a text is one of those ``beside`` an image."""
        return text in self._own.get(element, self._all)

    def beside(self, element: Element) -> Sequence[Shown]:
        """The texts that belong to one image where each has its own; else all texts."""
        return self._beside.get(element, self._shown)

    def _pairs(self, root: Element) -> dict[Element, list[Shown]]:
        if len(self._objects) < 2:
            return {}
        return self._by_view() or self._by_turns(root)

    def _by_view(self) -> dict[Element, list[Shown]]:
        """Texts in the innermost View that holds one image and text; empty unless all have one."""
        pairs: dict[Element, list[Shown]] = {}
        for element in self._objects:
            view: Element | None = element
            while view is not None and element not in pairs:
                view = self._parents.get(view)
                inside = set(view.iter()) if view is not None else set()
                if sum(other in inside for other in self._objects) > 1:
                    break
                if texts := [shown for shown in self._shown if shown.element in inside]:
                    pairs[element] = texts
        return pairs if len(pairs) == len(self._objects) else {}

    def _by_turns(self, root: Element) -> dict[Element, list[Shown]]:
        """Text and image, text and image, in this order or the other."""
        shown = {one.element: one for one in self._shown if one.has_words}
        order = [each for each in root.iter() if each in shown or each in self._objects]
        pairs = [order[place : place + 2] for place in range(0, len(order), 2)]
        first_is_text = bool(order) and order[0] in shown
        if len(order) != 2 * len(self._objects) or not all(
            (a in shown) == first_is_text and (b in shown) != first_is_text for a, b in pairs
        ):
            return {}
        return {(b if first_is_text else a): [shown[a if first_is_text else b]] for a, b in pairs}


def fields_in(shown: Shown) -> tuple[str, ...]:
    """The fields that make a tag's narration."""
    return shown.fields if shown.narration == shown.value else (shown.narration,)
