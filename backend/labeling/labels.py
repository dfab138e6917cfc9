"""Which label a region gets: the one place where that is decided.

A narration is grounded in up to three parts: its verb, its object and the whole action. For a
control with labels, the first rule that gives a label decides:

1. *Role*: a label named ``verb``, ``object`` or ``action`` (value, alias or ``predicted_values``),
   also with its shape (``Action point``, ``Action box``), belongs to that part alone. A box or mask
   always shows the action; without an ``action`` label it takes ``object``, then ``verb``.
2. *Single*: one label is left, so it is that one.
3. *Words*: a label whose name is the narration, its verb or its object (``predicted_values`` lists
   other words for it); else the label with most of its words in the narration, all of them in it,
   where ``cut`` also meets ``cutting``.
4. *Similarity*: the label whose text is most similar to the frame, where the model can tell.
5. The first label of the config.

Choices are chosen by rules 3 and 4: among the verb's words, or the object's where the control's
name speaks of an object (``model_prompts`` decides otherwise).

Where every label is itself an action, the label that was grounded is the label of its regions.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from backend.labeling.targets import Control, Label
from videogem.structures import Grounding, PromptName

Similarity = Callable[[Sequence[str]], Sequence[float]]

PARTS: tuple[PromptName, ...] = ("action", "verb", "object")
BOX_FALLBACK: tuple[PromptName, ...] = ("action", "object", "verb")
SHAPES = ("point", "box", "region", "mask", "moment")  # what a label's name may end with
MIN_STEM = 3  # letters that make a word recognisable inside a longer one


def subject_of(label: str) -> str:
    """What a label speaks of, without the shape it is for: one thing may have a label a shape.

    >>> subject_of("Action point"), subject_of("Action box"), subject_of("Box")
    ('action', 'action', 'box')
    """
    rest, _, last = label.strip().lower().rpartition(" ")
    return rest.rstrip() if rest and last in SHAPES else f"{rest} {last}".strip()


def parts_to_point(control: Control, grounding: Grounding) -> list[PromptName]:
    """Which parts of a narration get a point: those asked for, else the action and every part
    that has a label of its own; a part without words in the narration points nowhere.
    """
    asked = control.options.get("model_prompts")
    if asked:
        wanted = [part for part in PARTS if part in asked]
    else:
        roles = {part for part in PARTS if _role(control.labels, part) is not None}
        free = len(control.labels) > len(roles) or not control.labels
        wanted = [part for part in PARTS if part in roles or (part == "action" and free)]
    prompts = grounding.prompts
    absent = {
        "verb": prompts.verb_word is None,
        "object": prompts.object_word is None,
        "action": False,
    }
    return [part for part in wanted if not absent[part]] or ["action"]


def choose_label(
    labels: Sequence[Label],
    part: PromptName,
    grounding: Grounding,
    similarity: Similarity | None,
    *,
    fallback: Sequence[PromptName] = (),
) -> str | None:
    """The label for one part of a narration, by the rules above; None where there are no labels."""
    if not labels:
        return None
    for role in (part, *fallback):
        if (label := _role(labels, role)) is not None:
            return label.value
    taken = [_role(labels, role) for role in PARTS]
    free = [label for label in labels if label not in taken] or list(labels)
    if len(free) == 1:
        return free[0].value
    prompts = grounding.prompts
    words = (grounding.narration, prompts.verb_word, prompts.object_word)
    found = _by_words(free, words) or _by_similarity(free, similarity)
    return (found or free[0]).value


def choose_choices(
    control: Control, grounding: Grounding, similarity: Similarity | None
) -> list[str]:
    """The choices that fit a narration; empty where none does."""
    prompts = grounding.prompts
    words: list[str | None] = []
    for part in control.options.get("model_prompts") or _parts_in_name(control.name):
        if part == "action":
            words.append(grounding.narration)
        else:
            words.append(prompts.verb_word if part == "verb" else prompts.object_word)
    found = _by_words(control.labels, words) or _by_similarity(control.labels, similarity)
    return [found.value] if found else []


def choose_labels(
    control: Control, grounding: Grounding, similarity: Similarity | None
) -> list[str | None]:
    """The label of each part a control with regions may show."""
    return [choose_label(control.labels, part, grounding, similarity) for part in PARTS]


def _parts_in_name(name: str) -> tuple[PromptName, ...]:
    """``object`` for a control called so, else the verb first, then the rest."""
    if re.search("object|noun|thing|tool", name.lower()):
        return ("object",)
    if re.search("verb", name.lower()):
        return ("verb",)
    return ("verb", "object", "action")


def _role(labels: Sequence[Label], part: PromptName) -> Label | None:
    return next((one for one in labels if part in map(subject_of, one.names)), None)


def _by_words(labels: Sequence[Label], wanted: Iterable[str | None]) -> Label | None:
    texts = [text.strip().lower() for text in wanted if text]
    for text in texts:
        for label in labels:
            if text in label.names:
                return label
    words = {word for text in texts for word in _words(text)}
    best, best_count = None, 0
    for label in labels:
        for name in label.names:
            parts = _words(name)
            if len(parts) > best_count and all(_meets(part, words) for part in parts):
                best, best_count = label, len(parts)
    return best


def _meets(part: str, words: set[str]) -> bool:
    """Whether a label's word is in the narration, also as the beginning of a longer form."""
    if part in words:
        return True
    return len(part) >= MIN_STEM and any(_inflected(part, word) for word in words)


def _inflected(stem: str, word: str) -> bool:
    """``cut`` in ``cutting``, ``slice`` in ``slicing``, ``tomato`` in ``tomatoes``."""
    endings = ("s", "es", "d", "ed", "ing", f"{stem[-1]}ing", f"{stem[-1]}ed")
    bare = stem.removesuffix("e")
    return word in {stem + ending for ending in endings} | {bare + "ing", bare + "ed"}


def _by_similarity(labels: Sequence[Label], similarity: Similarity | None) -> Label | None:
    if similarity is None or not labels:
        return None
    scores = similarity([label.value for label in labels])
    return labels[max(range(len(labels)), key=lambda index: scores[index])]


def _words(text: str) -> list[str]:
    """Words of a text; ``TakingPhotos`` and ``cut_tomato`` are two words each."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[^\W_]+", spaced.lower())
