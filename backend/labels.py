"""Which label a region gets: the one place where that is decided.

A narration is grounded in up to three parts: its verb, its object and the whole action. For a
control with labels, the first rule that gives a label decides:

1. *Role*: a label named ``verb``, ``object`` or ``action`` (value, alias or ``predicted_values``)
   belongs to that part alone. A box always shows the action; without an ``action`` label it takes
   ``object``, then ``verb``.
2. *Single*: one label is left, so it is that one.
3. *Words*: a label whose name is the narration, its verb or its object (``predicted_values`` lists
   other words for it), else the label with most of its words in the narration, all of them in it.
4. *Similarity*: the label whose text is most similar to the frame, where the model can tell.
5. The first label of the config.
"""

import re
from collections.abc import Callable, Sequence

from backend.labeling import Control, Label
from videogem.structures import Grounding, PromptName

Similarity = Callable[[Sequence[str]], Sequence[float]]

PARTS: tuple[PromptName, ...] = ("action", "verb", "object")
BOX_FALLBACK: tuple[PromptName, ...] = ("action", "object", "verb")


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
    if (label := _by_words(free, grounding)) is not None:
        return label.value
    if similarity is not None:
        scores = similarity([label.value for label in free])
        return free[max(range(len(free)), key=lambda index: scores[index])].value
    return free[0].value


def _role(labels: Sequence[Label], part: PromptName) -> Label | None:
    return next((label for label in labels if part in label.names), None)


def _by_words(labels: Sequence[Label], grounding: Grounding) -> Label | None:
    narration = grounding.narration.strip().lower()
    prompts = grounding.prompts
    for word in (narration, prompts.verb_word, prompts.object_word):
        if word:
            for label in labels:
                if word.lower() in label.names:
                    return label
    words = set(_words(narration))
    best, best_count = None, 0
    for label in labels:
        for name in label.names:
            parts = _words(name)
            if parts and words.issuperset(parts) and len(parts) > best_count:
                best, best_count = label, len(parts)
    return best


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
