"""From a narration or a label to verb, object and action prompts (Section 3.4)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from videogem.errors import InputError
from videogem.narration.everyday import Read, read_everyday
from videogem.narration.spoken import without_marks
from videogem.narration.tagging import shared_spacy, tagged, together
from videogem.structures import ActionForm, LabelStyle, Prompts, WordCut

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span


VERB_TEMPLATE = "A photo of a person {} something."
OBJECT_TEMPLATE = "A photo of a person using {}."
ACTION_TEMPLATE = "A photo of a person {}."
NO_VERB_PROMPT = "A photo of a person doing something."
NO_OBJECT_PROMPT = "A photo of a person."
MAX_CHARS = 5_000  # of one narration: spaCy takes seconds for a book


@dataclass(frozen=True)
class Words:
    """The verbs and objects a narration offers, in reading order, and the action they belong to."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    action: str

    @property
    def verb_prompts(self) -> tuple[str, ...]:
        return tuple(map(VERB_TEMPLATE.format, self.verbs)) or (NO_VERB_PROMPT,)

    @property
    def object_prompts(self) -> tuple[str, ...]:
        return tuple(map(OBJECT_TEMPLATE.format, self.objects)) or (NO_OBJECT_PROMPT,)

    @property
    def action_prompt(self) -> str:
        return ACTION_TEMPLATE.format(self.action)

    def select(self, verb_index: int = 0, object_index: int = 0) -> Prompts:
        """The prompts with one verb and one object chosen."""
        return Prompts(
            self.verb_prompts[verb_index],
            self.object_prompts[object_index],
            self.action_prompt,
            self.verbs[verb_index] if self.verbs else None,
            self.objects[object_index] if self.objects else None,
        )


def parse(
    text: str,
    *,
    style: LabelStyle = "auto",
    words: WordCut = "everyday",
    action: ActionForm = "phrase",
    spacy_model: str | None = None,
) -> Words:
    """Find the words of a narration or label.

    Styles: ``label`` is 'cut tomato' or 'cut_tomato' (first word verb, rest object), ``camel`` is
    'TakingPhotosOrVideos' (as in DALY, split before capitals), ``narration`` is free text. ``auto``
    sees inner capitals and underscores.

    ``words`` is how free text is cut: ``everyday`` reads speech and labels as people write them
    (`everyday.py`), ``paper`` is the paper's rule. The action is the ``phrase`` of the verbs or the
    whole ``sentence``; the paper's rule always takes the sentence.

    Raises:
        InputError: the text is empty, or no spaCy model is installed.
    """
    cleaned = " ".join(text.split())
    if not any(character.isalnum() for character in cleaned):
        raise InputError(
            f"The narration is empty (got {text[:100]!r}); give the sentence that says what to "
            "ground."
        )
    if len(cleaned) > MAX_CHARS:
        raise InputError(
            f"The narration has {len(cleaned):,} characters, and at most {MAX_CHARS:,} are read; "
            "give the sentence that says what to ground."
        )
    if style == "label":
        return parse_label(cleaned)
    if style == "camel":
        return parse_label(_split_camel(cleaned))
    if words == "paper":
        return _paper(cleaned, style, spacy_model)
    if style == "auto" and _guess_style(cleaned) == "camel":
        cleaned = _split_camel(cleaned).lower()
    return _everyday(cleaned, action, spacy_model)


def parse_all(
    texts: Sequence[str],
    *,
    style: LabelStyle = "auto",
    words: WordCut = "everyday",
    action: ActionForm = "phrase",
    spacy_model: str | None = None,
) -> list[Words]:
    """`parse` of each text, in half the time: what is new to the tagger goes through it together.

    Raises:
        InputError: as `parse`, of any of them.
    """
    parse_one = partial(parse, style=style, words=words, action=action, spacy_model=spacy_model)
    return together(parse_one, texts)


def _everyday(text: str, action: ActionForm, spacy_model: str | None) -> Words:
    said = without_marks(text)
    if not any(character.isalpha() for character in said):
        said = text  # nothing but '[Music]': better that than nothing
    if shared_spacy(spacy_model).lang != "en":
        return parse_narration(said, spacy_model=spacy_model)
    read = read_everyday(said, lambda one: tagged(one, spacy_model))
    if not (read.action and read.verbs) and not read.objects:
        return parse_narration(said, spacy_model=spacy_model)
    whole = said.strip().rstrip(".!?,;:").strip()
    return Words(
        _unique(read.verbs), _unique(read.objects), read.action if action == "phrase" else whole
    )


@lru_cache(maxsize=65536)
def base_words(text: str, *, spacy_model: str | None = None) -> tuple[str, str]:
    """The verb and the object offered first, in the form a dictionary has; '' where none is.

    >>> base_words("She is cutting the ripe tomatoes.")
    ('cut', 'tomato')
    """
    read = _read(text[:MAX_CHARS], spacy_model)
    return next(iter(read.base_verbs), ""), next(iter(read.base_objects), "")


def every_base_verb(text: str, *, spacy_model: str | None = None) -> tuple[str, ...]:
    """All verbs a text offers, in the form a dictionary has."""
    return _read(text[:MAX_CHARS], spacy_model).base_verbs


def _read(text: str, spacy_model: str | None) -> Read:
    if _guess_style(text) == "camel":
        text = _split_camel(text).lower()
    return read_everyday(text, lambda one: tagged(one, spacy_model))


def _paper(text: str, style: LabelStyle, spacy_model: str | None) -> Words:
    if style == "auto":
        style = _guess_style(text)
        if style == "label":
            return parse_label(text)
        if style == "camel":
            return parse_label(_split_camel(text))
        words = parse_narration(text, spacy_model=spacy_model)
        if not words.verbs and _reads_as_label(text, spacy_model):
            return parse_label(text)
        return words
    return parse_narration(text, spacy_model=spacy_model)


def _split_camel(text: str) -> str:
    return re.sub(r"(?<=[^\W_])(?=[A-Z])", " ", text)


def parse_label(label: str) -> Words:
    """First word verb, rest object.

    >>> parse_label("put_egg to plate")
    Words(verbs=('put',), objects=('egg to plate',), action='put egg to plate')
    """
    action = " ".join(label.replace("_", " ").split())
    verb, _, rest = action.partition(" ")
    return Words((verb,), (rest,) if rest else (), action)


def parse_narration(text: str, *, spacy_model: str | None = None) -> Words:
    """Verbs and objects of free text by spaCy's tags.

    Objects are noun chunks cut down to their last adjective and their head, heads being nouns or
    proper nouns (so that pronouns do not count).
    """
    doc = tagged(" ".join(text.split()), spacy_model)
    verbs = [token.text for token in doc if token.pos_ == "VERB"]
    objects = [
        _adjective_and_head(chunk) for chunk in _chunks(doc) if chunk.root.pos_ in ("NOUN", "PROPN")
    ]
    action = doc.text.strip().rstrip(".!?,;:").strip()
    return Words(_unique(verbs), _unique(objects), action)


def _guess_style(text: str) -> LabelStyle:
    if " " in text:
        return "narration"
    if "_" in text:
        return "label"
    return "camel" if re.search(r"[a-z][A-Z]", text) else "narration"


def _reads_as_label(text: str, model: str | None) -> bool:
    """Whether a text without a tagged verb is short and starts like one, as 'stir soup' does."""
    doc = tagged(text, model)
    starts_like_verb = doc[0].pos_ in ("NOUN", "PROPN", "ADJ", "INTJ", "X") and not doc[0].is_stop
    return len(doc) <= 3 and starts_like_verb


def _chunks(doc: "Doc") -> list["Span"]:
    """Noun chunks; every word by itself where the model finds none.

    That is a language for which spaCy has no rule, or a model without a parser.
    """
    if doc.has_annotation("DEP"):
        try:
            return list(doc.noun_chunks)
        except NotImplementedError:
            pass
    return [doc[token.i : token.i + 1] for token in doc]


def _adjective_and_head(chunk: "Span") -> str:
    adjectives = [token.text for token in chunk if token.pos_ == "ADJ"]
    return " ".join([*adjectives[-1:], chunk.root.text])


def _unique(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        {word.lower(): word for word in reversed(words)}[key]
        for key in dict.fromkeys(word.lower() for word in words)
    )
