"""Words of narration as people speak and write it, imperatives above all.

A tagger trained on news reads 'Place chicken in oven' as a list of things. Read as 'you will place
chicken in oven' it finds the verb; so what is said without a subject is tagged with one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videogem.narration.spoken import spoken

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

Tag = Callable[[str], "Doc"]

# What comes before the verb that is meant, taken off the front until nothing is left to take.
_LEAD_IN = re.compile(
    r"""(?:
    (?:okay|ok|so|well|now|then|and|but|just|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|finally
      |lastly|basically|actually|alright|all\s+right|right|like(?!\s+to\b)|guys|everyone|folks|yeah|yes|here|also|again|today|please
      |after\s+that|of\s+course|really|simply|carefully|gently|slowly|quickly|afterwards|once\s+more
      |step\s+\w+|\d+\s*[.):])\b
    |(?:let's|let\s+us|let\s+me)\b
    |(?:i|we|you|he|she|they)(?:\s+(?:am|are|is|will|can|should|must|may|might|could|would)
       |'(?:m|re|s|ll|d))?(?:\s+(?:just|also|really|now|always|usually|first|then))*
       (?=\s+(?:going\s+to|want|wants|need|needs|have\s+to|has\s+to|got\s+to|like\s+to|love\s+to
       |start|starts|begin|try|keep|continue|finish|show|go\s+ahead|show)\b)
    |(?:go|going)\s+ahead\s+and|go\s+ahead\s+by
    |(?:go(?:es)?|come(?:s)?|try)\s+and
    |(?:going|wants?|needs?|have|has|got|likes?|love|trie?s|try|trying|starts?|starting|starting\s+out
      |begins?|beginning|continues?|proceeds?|happens|remember|managed?s?|prefers?)
      \s+to(?:\s+be)?\b(?!\s+the\b)
    |(?:starts?|begins?|finish(?:es)?|starting|ends?)(?:\s+(?:off|out|up))?\s+(?:by|with)(?=\s+\w+ing\b)
    |(?:starts?|begins?|finish(?:es)?|continues?|keeps?|stops?|starting|likes?|loves?|enjoys?)
      (?:\s+on)?(?=\s+(?!the\b)\w+ing\b(?!\s*$))
    |(?:it's|it\s+is)?\s*time\s+to\b
    |(?:the|our|your)\s+(?:next|first|second|third|last|final)\s+(?:step|thing)\s+(?:is|will\s+be)\s+to\b
    |(?:i|you|we)\s+can\s+see\s+(?:that\b|how\b|here\b|me\b|him\b|her\b|them\b)?
    |(?:can|could|will|would)\s+you\b
    |(?:make|be)\s+sure\s+(?:to|that\s+you|you)
    |(?:do\s+not|don't|never)\s+forget\s+to
    |show(?:s|ing)?\s+(?:you|us|them)\s+how\s+to
    |(?:be|been|being)(?=\s+\w+ing\b)
    |what\s+(?:you|i|we|he|she|they)(?:'(?:m|re|s|ll|ve)|\s+(?:am|are|is|will|have))?
      (?:\s+(?:just|now|really|basically))?(?:\s+(?:going|want|wants|need|needs|like|have)\s+to)?
      \s+(?:do|does|did|doing|done)(?:\s+(?:here|now|next|today|first|then|there))*
      \s+(?:is|was)\b(?:\s+to\b)?
    |what\s+(?:you|i|we)(?:\s+(?:want|need|like)\s+to)?(?:\s+do|'re\s+going\s+to\s+do|\s+are\s+going\s+to\s+do)\s+(?:next\s+)?is
    )[\s,:]*""",
    re.IGNORECASE | re.VERBOSE,
)
# Clauses and phrases before the one that is meant: 'Once the oil is hot, add the onions'.
_BEFORE = re.compile(
    r"(?:once|when|if|after|while|as|before|until|in|on|with|using|for|at|to|into|from)\b[^,]{2,80},\s*"
    r"(?=\w+\s+\w)",
    re.IGNORECASE,
)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SENTENCES = re.compile(r"(?<=[.!?\u2026;])\s+")
_WORDS = re.compile(r"[\w'-]+")
_END = " .!?,;:\u2026"
_FILLER = _set(
    "go want need have let like start begin keep try continue finish show make get know think say "
    "tell see hope guess mean remember forget suppose proceed"
)
_AGENTS = _set(
    "man men woman women boy boys girl girls person persons people chef cook child children kid "
    "kids lady ladies guy guys player players someone somebody everyone anyone one mother father "
    "dad mom mum baby worker workers student teacher actor actors friend friends couple "
    "grandmother grandfather narrator host hostess dog cat"
)
_ALSO_VERBS = _set("cook host")  # at the start of what is said
_MEASURES = _set(
    "bit bits pinch piece pieces lot lots couple kind sort type bunch handful tablespoon "
    "tablespoons teaspoon teaspoons gram grams kilo pound pounds ounce ounces half rest dash "
    "splash drop drops touch amount pair kilos kilogram kilograms liter liters litre litres "
    "milliliter milliliters ml kg mg quart quarts pint pints cupful spoonful spoonfuls inch inches"
)
# Containers that measure where they are counted ('two cups of flour'), and are things where not.
_CONTAINERS = _set("cup cups glass glasses can cans spoon spoons bottle bottles scoop scoops")
# 'can' behind these is a thing, whatever the tagger takes it for; 'canister' it knows.
_CAN = re.compile(
    r"\b(watering|trash|garbage|rubbish|tin|soda|beer|gas|petrol|oil|paint|spray|milk|aluminum)"
    r"([ -])can(s?)\b",
    re.IGNORECASE,
)
_CANISTER = re.compile(r"\bcanister(s?)\b")
_SUBJECT_STARTS = _set("i you he she it we they there this that these those who")
_DETERMINERS = _set(
    "the a an some any another my your his her its our their this that these those it them him "
    "each every both all"
)
_BE = _set("is are was were be been being am 's 're has had have will can should may")
_NUMBERS = _set("one two three four five six seven eight nine ten")
_PREPOSITIONS = _set(
    "in on into onto to from with over at under around inside through between against off by "
    "behind beside across along using"
)
_NO_THINGS = _set(
    "well it them him her me us again now then here there and or until till for of more less very "
    "half together slow fast first finely what how that if when while"
)
_NO_GERUNDS = _set("bring string spring ring king thing wing swing sling fling")
_NO_OBJECTS = _set(
    "minute second hour moment time while way today bit lot step thing something anything nothing "
    "everything degree degrees celsius fahrenheit"
)
_PARTICLES = _set("up down off out away on in over aside back apart together around")
# Verb and particle that mean one thing, for where the tagger takes the particle as a preposition.
_PHRASAL = {
    verb: frozenset(particles.split())
    for verb, particles in (
        line.split(": ")
        for line in """
add: in
blow: out up
break: up apart off down
bring: out
chop: up off
clean: up out off
close: up
cool: down off
cover: up
crack: open
cut: off out up down open
dig: up out
dish: out up
drain: off
dry: off
fill: up in
flip: over
fold: up in over
hang: up
heat: up
hold: up
ladle: out
lay: down out
lift: up
line: up
mix: in together
mop: up
open: up
peel: off away
pick: up out
plug: in
pour: out in off
pull: out off apart up
pump: up
push: in down
put: on down away back in aside
rinse: off out
roll: out up
saw: off
scoop: out up
scrape: off out
screw: in on off
set: aside down up
sit: down
slice: up off
snap: off
spread: out
squeeze: out
stand: up
stir: in
strain: out
sweep: up
switch: on off
take: off out away apart down
tear: off up
throw: away out
tie: up
tighten: up
trim: off
turn: on off up down over around
warm: up
wash: off out up
wipe: down off up away
wrap: up
write: down
zip: up
""".strip().splitlines()
    )
}


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
    parts = [_sentence(part, tag) for part in _SENTENCES.split(said) if _has_letters(part)]
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
    core = _lead_off(said)
    before = _BEFORE.match(core)
    if before is not None:
        core = _lead_off(core[before.end() :])
    sentence = _tagged(core, tag)
    verbs = sentence.verbs()
    label = not verbs and sentence.may_be_label()
    if label:
        verbs = [sentence.tokens[0]]
    things = [(_thing(head, verbs), _base_thing(head, verbs)) for head in sentence.objects(verbs)]
    if label and not things:
        rest = " ".join(token.text for token in sentence.tokens[1:] if not token.is_punct)
        things = [(rest, rest.lower())] if rest else []
    if before is not None:
        earlier = _Sentence(tag(f"{before[0].rstrip(' ,')}."), 0, before[0])
        things += [(_thing(head, []), _base_thing(head, [])) for head in earlier.objects([])]
    return Read(
        tuple(_with_particle(verb, verb.text) for verb in verbs),
        tuple(thing for thing, _ in things),
        sentence.phrase(verbs[0]) if verbs else "",
        tuple(_with_particle(verb, verb.lemma_).lower() for verb in verbs),
        tuple(base for _, base in things),
    )


def _has_letters(text: str) -> bool:
    return any(character.isalpha() for character in text)


def _lead_off(said: str) -> str:
    while True:
        match = _LEAD_IN.match(said)
        if match is None or not _has_letters(said[match.end() :]):
            return said
        said = said[match.end() :]


def _tagged(core: str, tag: Tag) -> "_Sentence":
    """Tagged with a subject where it has none."""
    body = core.rstrip(_END)
    if not re.match(r"I\b", body):
        body = body[:1].lower() + body[1:]
    words = _WORDS.findall(body)
    first = words[0].lower() if words else ""
    second = words[1].lower() if len(words) > 1 else ""
    if not first.isalpha() or first in _SUBJECT_STARTS | _DETERMINERS or second in _BE:
        return _Sentence(tag(f"{body}."), 0, body)
    if first in _AGENTS - _ALSO_VERBS and second:
        return _Sentence(tag(f"the {body}."), 1, body)
    if first.endswith("ing") and len(first) > 4 and first not in _NO_GERUNDS:
        return _Sentence(tag(f"you are {_with_articles(body, words)}."), 2, body)
    if first.endswith("s") and first[-2:] != "ss" and second in _DETERMINERS | _PARTICLES:
        return _Sentence(tag(f"he {body}."), 1, body)
    # Both readings: articles mostly help, but some verbs are only found without.
    readings = [tag(f"you will {said}.") for said in (_with_articles(body, words), body)]
    for doc in readings:
        if doc[2].pos_ in ("VERB", "AUX"):
            return _Sentence(doc, 2, body)
    plain = tag(f"{body}.")
    if len(words) == 2 and not plain[0].is_stop and plain[0].is_alpha:
        return _Sentence(plain, 0, body, forced=True)  # 'Toast bagel': a label
    if second in _DETERMINERS and plain[0].pos_ in ("NOUN", "PROPN", "ADJ", "VERB"):
        # 'Butter the bread': what stands before an article and is no preposition is the verb.
        return _Sentence(readings[0], 2, body, forced=True)
    return _Sentence(plain, 0, body)


def _with_articles(body: str, words: Sequence[str]) -> str:
    """Labels leave articles out, without which the tagger takes 'plate' and 'tap' for verbs.

    >>> _with_articles("put egg to plate", ["put", "egg", "to", "plate"])
    'put the egg to the plate'
    """
    lowered = [word.lower() for word in words]
    if len(words) < 2 or any(w in _DETERMINERS or w in _NUMBERS or w.isdecimal() for w in lowered):
        return body
    if _WORDS.sub("", body).strip() or len(words) > 8:  # punctuation: more than a label
        return body
    done: list[str] = []
    for place, word in enumerate(lowered):
        before = lowered[place - 1] if place else ""
        after_verb = place == 1 or (place == 2 and lowered[1] in _PHRASAL.get(lowered[0], ()))
        if (after_verb or (place > 1 and before in _PREPOSITIONS)) and _may_be_thing(word):
            done.append("the")
        done.append(words[place])
    return " ".join(done)


def _may_be_thing(word: str) -> bool:
    closed = _PREPOSITIONS | _PARTICLES | _NO_THINGS
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
        found = [t for t in self.tokens if t.pos_ == "VERB" and not _in_a_thing(t)]
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
            if token not in verbs and (rank := _rank(token)) is not None
        )
        best = [place for rank, place in ranked if rank < _LAST] or [place for _, place in ranked]
        return [self.doc[place] for place in best]

    def phrase(self, verb: "Token") -> str:
        """What is said from the verb on; all of it where things are done by nobody."""
        if verb.i == self.skip or any(child.dep_ == "nsubjpass" for child in verb.children):
            return self.body
        return self.doc[verb.i :].text.rstrip(_END)


def _introduces(token: "Token") -> bool:
    """'want' in 'want to cut', 'let' in 'let it rest'."""
    return token.lemma_.lower() in _FILLER and any(
        child.pos_ == "VERB" and child.dep_ in ("xcomp", "ccomp", "pcomp", "prep")
        for child in token.subtree
        if child != token and token in (child.head, child.head.head)
    )


def _in_a_thing(token: "Token") -> bool:
    """'frying' in 'frying pan', and nouns that are taken for verbs."""
    if token.dep_ in ("amod", "compound", "nmod"):
        return token.head.i > token.i
    return token.dep_ in ("dobj", "pobj") or _lost_head(token)


def _lost_head(token: "Token") -> bool:
    """'cloves' in 'crush the garlic cloves', tagged as a verb that nothing joins to the first."""
    return (
        token.tag_ == "VBZ"
        and token.dep_ in ("conj", "dep", "ccomp")
        and token.i > 1
        and token.nbor(-1).pos_ in ("NOUN", "ADJ")
        and token.nbor(-1).dep_ in ("dobj", "pobj", "amod")
    )


_FIRST, _NEXT, _LAST, _NEVER = range(4)


def _rank(token: "Token") -> int | None:
    """How soon a token is offered as a thing; None if it is none."""
    thing = token.pos_ in ("NOUN", "PROPN") or _lost_head(token)
    thing = thing or (token.dep_ in ("dobj", "pobj") and token.pos_ in ("VERB", "ADJ", "ADV"))
    if not thing or token.lemma_.lower() in _NO_OBJECTS:
        return None
    if token.dep_ in ("compound", "nmod", "npadvmod") and token.head.i > token.i:
        return None
    if token.i + 1 < len(token.doc) and _lost_head(token.nbor(1)):
        return None
    if _measures(token):
        return None
    role = token
    while role.dep_ in ("conj", "appos") and role.head != role and role.head.pos_ != "VERB":
        role = role.head
    if role.dep_ == "pobj" and role.head.text == "of" and _measures(role.head.head):
        role = role.head.head
    if role.dep_ in ("nsubj", "ROOT") and token.lower_ in _AGENTS:
        return None if role.dep_ == "nsubj" else _LAST
    if role.dep_ == "nsubj":
        return _LAST if role.head.pos_ in ("VERB", "AUX") else _NEXT
    if role.dep_ == "pobj" and role.head.dep_ == "agent":
        return _LAST
    return _FIRST if role.dep_ in ("dobj", "nsubjpass", "dative") or _lost_head(role) else _NEXT


def _measures(token: "Token") -> bool:
    """'pinch' in 'a pinch of salt', 'cups' in 'two cups of flour'; the cup in 'a cup of tea' is
    a thing.
    """
    counted = any(child.dep_ == "nummod" or child.lower_ == "half" for child in token.children)
    known = token.lower_ in _MEASURES or (counted and token.lower_ in _CONTAINERS)
    return known and any(
        child.text == "of" and any(True for _ in child.children) for child in token.children
    )


def _thing(head: "Token", verbs: Sequence["Token"]) -> str:
    """A noun with its compound and its last adjective."""
    adjective, compound = _before_noun(head, verbs)
    return " ".join([*adjective, *compound, head.text])


def _base_thing(head: "Token", verbs: Sequence["Token"]) -> str:
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
        joined |= _lost_head(head) and token.i == head.i - 1
        if joined and not adjective:
            compound.insert(0, token.text)
        elif token.pos_ == "ADJ" and token.dep_ == "amod":
            adjective = adjective or [token.text]
        elif token.text != "-":
            break
    return adjective, compound


def _with_particle(verb: "Token", written: str) -> str:
    """'turn off', also where other words stand between; the verb as it is to be written."""
    for token in verb.children:
        if token.i <= verb.i or token.lower_ not in _PARTICLES:
            continue
        known = token.lower_ in _PHRASAL.get(verb.lemma_.lower(), ())
        alone = not any(True for _ in token.children)
        if token.dep_ == "prt" or (known and (alone or token.i == verb.i + 1)):
            return f"{written} {token.text}"
        if known and [child.text for child in token.children] == ["of"]:  # 'take it out of'
            return f"{written} {token.text}"
    return written
