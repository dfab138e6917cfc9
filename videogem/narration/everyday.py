"""Words of narration as people speak and write it, imperatives above all.

A tagger trained on news reads 'Place chicken in oven' as a list of things. Read as 'you will place
chicken in oven' it finds the verb; so what is said without a subject is tagged with one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videogem.narration.lead_in import BEFORE, has_letters, lead_off
from videogem.narration.spoken import spoken
from videogem.narration.things import LAST, base_name, in_a_thing, thing_name, thing_rank
from videogem.narration.word_lists import (
    AGENTS,
    ALSO_VERBS,
    BE,
    DETERMINERS,
    FILLER,
    NO_GERUNDS,
    NO_THINGS,
    NUMBERS,
    PARTICLES,
    PHRASAL,
    PREPOSITIONS,
    SUBJECT_STARTS,
)

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

Tag = Callable[[str], "Doc"]

_SENTENCES = re.compile(r"(?<=[.!?\u2026;])\s+")
_WORDS = re.compile(r"[\w'-]+")
_END = " .!?,;:\u2026"
# 'can' behind these is a thing, whatever the tagger takes it for; 'canister' it knows.
_CAN = re.compile(
    r"\b(watering|trash|garbage|rubbish|tin|soda|beer|gas|petrol|oil|paint|spray|milk|aluminum)"
    r"([ -])can(s?)\b",
    re.IGNORECASE,
)
_CANISTER = re.compile(r"\bcanister(s?)\b")


@dataclass(frozen=True)
class Read:
    """What a text says: verbs and objects in the order they are offered, and the verbs' phrases."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    action: str
    base_verbs: tuple[str, ...] = ()  # 'cut' for 'cutting', 'turn off' for 'turned off'
    base_objects: tuple[str, ...] = ()  # 'cherry tomato' for 'red cherry tomatoes'


def read_everyday(text: str, tag: Tag) -> Read:
    """Find verbs with their particle, objects with their compound, and the phrase of the verbs.

    Verbs that only introduce another one are dropped, as are the people who act. What a verb acts
    on comes before other things. A short text without a verb is a label: its first word is the
    verb.
    """
    said = spoken(text)
    if _CAN.search(said):
        return _with_cans(read_everyday(_CAN.sub(r"\1\2canister\3", said), tag))
    parts = [_sentence(part, tag) for part in _SENTENCES.split(said) if has_letters(part)]
    phrases = [part.action for part in parts if part.verbs]
    return Read(
        tuple(verb for part in parts for verb in part.verbs),
        tuple(thing for part in parts for thing in part.objects),
        ", ".join(phrases) or said.rstrip(_END),
        tuple(verb for part in parts for verb in part.base_verbs),
        tuple(thing for part in parts for thing in part.base_objects),
    )


def _with_cans(found: Read) -> Read:
    def back(text: str) -> str:
        return _CANISTER.sub(r"can\1", text)

    return Read(
        found.verbs,
        tuple(map(back, found.objects)),
        back(found.action),
        found.base_verbs,
        tuple(map(back, found.base_objects)),
    )


def _sentence(said: str, tag: Tag) -> Read:
    core = lead_off(said)
    before = BEFORE.match(core)
    if before is not None:
        core = lead_off(core[before.end() :])
    sentence = _tagged(core, tag)
    verbs = sentence.verbs()
    label = not verbs and sentence.may_be_label()
    if label:
        verbs = [sentence.tokens[0]]
    things = [(thing_name(head, verbs), base_name(head, verbs)) for head in sentence.objects(verbs)]
    if label and not things:
        rest = " ".join(token.text for token in sentence.tokens[1:] if not token.is_punct)
        things = [(rest, rest.lower())] if rest else []
    if before is not None:
        earlier = _Sentence(tag(f"{before[0].rstrip(' ,')}."), 0, before[0])
        things += [(thing_name(head, []), base_name(head, [])) for head in earlier.objects([])]
    return Read(
        tuple(_with_particle(verb, verb.text) for verb in verbs),
        tuple(thing for thing, _ in things),
        sentence.phrase(verbs[0]) if verbs else "",
        tuple(_with_particle(verb, verb.lemma_).lower() for verb in verbs),
        tuple(base for _, base in things),
    )


def _tagged(core: str, tag: Tag) -> "_Sentence":
    """Tagged with a subject where it has none."""
    body = core.rstrip(_END)
    if not re.match(r"I\b", body):
        body = body[:1].lower() + body[1:]
    words = _WORDS.findall(body)
    first = words[0].lower() if words else ""
    second = words[1].lower() if len(words) > 1 else ""
    if not first.isalpha() or first in SUBJECT_STARTS | DETERMINERS or second in BE:
        return _Sentence(tag(f"{body}."), 0, body)
    if first in AGENTS - ALSO_VERBS and second:
        return _Sentence(tag(f"the {body}."), 1, body)
    if first.endswith("ing") and len(first) > 4 and first not in NO_GERUNDS:
        return _Sentence(tag(f"you are {_with_articles(body, words)}."), 2, body)
    if first.endswith("s") and first[-2:] != "ss" and second in DETERMINERS | PARTICLES:
        return _Sentence(tag(f"he {body}."), 1, body)
    # Both readings: articles mostly help, but some verbs are only found without.
    readings = [tag(f"you will {said}.") for said in (_with_articles(body, words), body)]
    for doc in readings:
        if doc[2].pos_ in ("VERB", "AUX"):
            return _Sentence(doc, 2, body)
    plain = tag(f"{body}.")
    if len(words) == 2 and not plain[0].is_stop and plain[0].is_alpha:
        return _Sentence(plain, 0, body, forced=True)  # 'Toast bagel': a label
    if second in DETERMINERS and plain[0].pos_ in ("NOUN", "PROPN", "ADJ", "VERB"):
        # 'Butter the bread': what stands before an article and is no preposition is the verb.
        return _Sentence(readings[0], 2, body, forced=True)
    return _Sentence(plain, 0, body)


def _with_articles(body: str, words: Sequence[str]) -> str:
    """Labels leave articles out, without which the tagger takes 'plate' and 'tap' for verbs.

    >>> _with_articles("put egg to plate", ["put", "egg", "to", "plate"])
    'put the egg to the plate'
    """
    lowered = [word.lower() for word in words]
    if len(words) < 2 or any(w in DETERMINERS or w in NUMBERS or w.isdecimal() for w in lowered):
        return body
    if _WORDS.sub("", body).strip() or len(words) > 8:  # punctuation: more than a label
        return body
    done: list[str] = []
    for place, word in enumerate(lowered):
        before = lowered[place - 1] if place else ""
        after_verb = place == 1 or (place == 2 and lowered[1] in PHRASAL.get(lowered[0], ()))
        if (after_verb or (place > 1 and before in PREPOSITIONS)) and _may_be_thing(word):
            done.append("the")
        done.append(words[place])
    return " ".join(done)


def _may_be_thing(word: str) -> bool:
    closed = PREPOSITIONS | PARTICLES | NO_THINGS
    return word not in closed and not word.endswith(("ly", "ing"))


@dataclass(frozen=True)
class _Sentence:
    doc: "Doc"
    skip: int  # tokens put before it
    body: str  # as it was said
    forced: bool = False  # the first word is the verb, whatever its tag

    @property
    def tokens(self) -> list["Token"]:
        return list(self.doc)[self.skip :]

    def verbs(self) -> list["Token"]:
        first = self.tokens[:1]
        found = [t for t in self.tokens if t.pos_ == "VERB" and not in_a_thing(t)]
        if self.forced or (self.skip == 2 and first[0].pos_ == "AUX"):
            found = [*first, *(token for token in found if token != first[0])]
        return [token for token in found if not _introduces(token)] or found

    def may_be_label(self) -> bool:
        words = [token for token in self.tokens if not token.is_punct]
        first = words[0] if words else None
        return (
            first is not None
            and len(words) <= 3
            and first.pos_ in ("NOUN", "PROPN", "ADJ", "INTJ", "X")
            and not first.is_stop
        )

    def objects(self, verbs: Sequence["Token"]) -> list["Token"]:
        """Things acted on, then other things, then what acts where nobody does."""
        ranked = sorted(
            (rank, token.i)
            for token in self.tokens
            if token not in verbs and (rank := thing_rank(token)) is not None
        )
        best = [place for rank, place in ranked if rank < LAST] or [place for _, place in ranked]
        return [self.doc[place] for place in best]

    def phrase(self, verb: "Token") -> str:
        """What is said from the verb on; all of it where things are done by nobody."""
        if verb.i == self.skip or any(child.dep_ == "nsubjpass" for child in verb.children):
            return self.body
        return self.doc[verb.i :].text.rstrip(_END)


def _introduces(token: "Token") -> bool:
    """'want' in 'want to cut', 'let' in 'let it rest'."""
    return token.lemma_.lower() in FILLER and any(
        child.pos_ == "VERB" and child.dep_ in ("xcomp", "ccomp", "pcomp", "prep")
        for child in token.subtree
        if child != token and token in (child.head, child.head.head)
    )


def _with_particle(verb: "Token", written: str) -> str:
    """'turn off', also where other words stand between; the verb as it is to be written."""
    for token in verb.children:
        if token.i <= verb.i or token.lower_ not in PARTICLES:
            continue
        known = token.lower_ in PHRASAL.get(verb.lemma_.lower(), ())
        alone = not any(True for _ in token.children)
        if token.dep_ == "prt" or (known and (alone or token.i == verb.i + 1)):
            return f"{written} {token.text}"
        if known and [child.text for child in token.children] == ["of"]:  # 'take it out of'
            return f"{written} {token.text}"
    return written
