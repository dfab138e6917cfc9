"""Which words of a tagged sentence are things, in which order they are offered, and their names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from videogem.narration.word_lists import AGENTS, CONTAINERS, MEASURES, NO_OBJECTS

if TYPE_CHECKING:
    from spacy.tokens import Token


def in_a_thing(token: "Token") -> bool:
    """'frying' in 'frying pan', and nouns that are taken for verbs."""
    if token.dep_ in ("amod", "compound", "nmod"):
        return token.head.i > token.i
    return token.dep_ in ("dobj", "pobj") or lost_head(token)


def lost_head(token: "Token") -> bool:
    """'cloves' in 'crush the garlic cloves', tagged as a verb that nothing joins to the first."""
    return (
        token.tag_ == "VBZ"
        and token.dep_ in ("conj", "dep", "ccomp")
        and token.i > 1
        and token.nbor(-1).pos_ in ("NOUN", "ADJ")
        and token.nbor(-1).dep_ in ("dobj", "pobj", "amod")
    )


_FIRST, _NEXT, LAST = range(3)  # how soon a thing is offered


def thing_rank(token: "Token") -> int | None:
    """How soon a token is offered as a thing; None if it is none."""
    thing = token.pos_ in ("NOUN", "PROPN") or lost_head(token)
    thing = thing or (token.dep_ in ("dobj", "pobj") and token.pos_ in ("VERB", "ADJ", "ADV"))
    if not thing or token.lemma_.lower() in NO_OBJECTS:
        return None
    if token.dep_ in ("compound", "nmod", "npadvmod") and token.head.i > token.i:
        return None
    if token.i + 1 < len(token.doc) and lost_head(token.nbor(1)):
        return None
    if _measures(token):
        return None
    role = token
    while role.dep_ in ("conj", "appos") and role.head != role and role.head.pos_ != "VERB":
        role = role.head
    if role.dep_ == "pobj" and role.head.text == "of" and _measures(role.head.head):
        role = role.head.head
    if role.dep_ in ("nsubj", "ROOT") and token.lower_ in AGENTS:
        return None if role.dep_ == "nsubj" else LAST
    if role.dep_ == "nsubj":
        return LAST if role.head.pos_ in ("VERB", "AUX") else _NEXT
    if role.dep_ == "pobj" and role.head.dep_ == "agent":
        return LAST
    return _FIRST if role.dep_ in ("dobj", "nsubjpass", "dative") or lost_head(role) else _NEXT


def _measures(token: "Token") -> bool:
    """'pinch' in 'a pinch of salt', 'cups' in 'two cups of flour'; the cup in 'a cup of tea' is
    a thing.
    """
    counted = any(child.dep_ == "nummod" or child.lower_ == "half" for child in token.children)
    known = token.lower_ in MEASURES or (counted and token.lower_ in CONTAINERS)
    return known and any(
        child.text == "of" and any(True for _ in child.children) for child in token.children
    )


def thing_name(head: "Token", verbs: Sequence["Token"]) -> str:
    """A noun with its compound and its last adjective."""
    adjective, compound = _before_noun(head, verbs)
    return " ".join([*adjective, *compound, head.text])


def base_name(head: "Token", verbs: Sequence["Token"]) -> str:
    """A noun in the singular, with its compound alone."""
    return " ".join([*_before_noun(head, verbs)[1], head.lemma_]).lower()


def _before_noun(head: "Token", verbs: Sequence["Token"]) -> tuple[list[str], list[str]]:
    """The last adjective, if there is one, and the words of the compound."""
    adjective: list[str] = []
    compound: list[str] = []
    for token in reversed(list(head.doc[: head.i])):
        if token in verbs or token.head.i > head.i:
            break
        joined = token.dep_ in ("compound", "nmod") and token.pos_ != "DET"
        joined |= token.dep_ == "amod" and token.text.endswith("ing")
        joined |= lost_head(head) and token.i == head.i - 1
        if joined and not adjective:
            compound.insert(0, token.text)
        elif token.pos_ == "ADJ" and token.dep_ == "amod":
            adjective = adjective or [token.text]
        elif token.text != "-":
            break
    return adjective, compound
