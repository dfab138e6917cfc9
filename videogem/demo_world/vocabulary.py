"""The words of the demo world: 40 verbs and 540 objects."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEMO_DIRECTORY = Path(__file__).parents[1] / "data" / "demo"

_IRREGULAR_PLURALS = {
    "bread": "bread",
    "broccoli": "broccoli",
    "butterfly": "butterflies",
    "deer": "deer",
    "fish": "fish",
    "fly": "flies",
    "goose": "geese",
    "knife": "knives",
    "loaf": "loaves",
    "mango": "mangoes",
    "mosquito": "mosquitoes",
    "mouse": "mice",
    "ox": "oxen",
    "potato": "potatoes",
    "rice": "rice",
    "scarf": "scarves",
    "sheep": "sheep",
    "spaghetti": "spaghetti",
    "squid": "squid",
    "tomato": "tomatoes",
    "wolf": "wolves",
}


@dataclass(frozen=True)
class Verb:
    """An activity in the two forms that captions are made of, such as 'singing to', 'sing to'."""

    gerund: str
    base: str

    @property
    def third_person(self) -> str:
        """As in 'she cooks'; a preposition stays where it is.

        >>> Verb("singing to", "sing to").third_person, Verb("studying", "study").third_person
        ('sings to', 'studies')
        """
        head, *rest = self.base.split(" ")
        if head.endswith(("s", "x", "ch", "sh", "z")):
            head += "es"
        elif head.endswith("y") and head[-2] not in "aeiou":
            head = head[:-1] + "ies"
        else:
            head += "s"
        return " ".join([head, *rest])


@dataclass(frozen=True)
class Vocabulary:
    """All verbs and objects by index.

    ``raw_names`` are the emoji names before duplicates were merged, each with its object's index:
    the choice of unseen pairs was drawn over them, and must never change.
    """

    verbs: tuple[Verb, ...]
    objects: tuple[str, ...]
    raw_names: tuple[tuple[str, int], ...]


@cache
def load_vocabulary() -> Vocabulary:
    """The vocabulary that ships with the sprites."""
    index = json.loads((DEMO_DIRECTORY / "sprites.json").read_text())
    return Vocabulary(
        verbs=tuple(Verb(gerund, base) for gerund, base in index["verbs"]),
        objects=tuple(index["objects"]),
        raw_names=tuple((name, number) for name, number in index["raw_names"]),
    )


def plural(name: str) -> str:
    """Plural of an object's name.

    >>> plural("kitchen knife"), plural("strawberry"), plural("glasses"), plural("torch")
    ('kitchen knives', 'strawberries', 'glasses', 'torches')
    """
    *rest, last = name.split(" ")
    if last in _IRREGULAR_PLURALS:
        last = _IRREGULAR_PLURALS[last]
    elif last.endswith("s") and not last.endswith(("ss", "us")):
        pass
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        last += "es"
    elif last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*rest, last])


def with_article(name: str) -> str:
    """The name after 'a' or 'an'.

    >>> with_article("onion"), with_article("carrot")
    ('an onion', 'a carrot')
    """
    return ("an " if name[0] in "aeiou" else "a ") + name
