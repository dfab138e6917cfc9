"""Which cues tell of something that can be seen, and why the others do not."""

import re
from typing import TYPE_CHECKING

from videogem.narration.prompts import every_base_verb
from videogem.narration.spoken import without_marks
from videogem.narration.tagging import shared_spacy

if TYPE_CHECKING:
    from spacy.tokens import Token

# Verbs of being, thinking, speaking to the audience, and those that only introduce another verb.
_UNSEEN = frozenset(
    re.findall(
        r"\w+",
        """
        be have do know think want need like love hope guess mean remember forget believe
        wonder wish understand agree suppose decide say tell talk ask thank welcome subscribe
        see look hear seem feel let try go start begin continue keep finish happen become stay
        call depend matter recommend show learn find enjoy help plan check
        """,
    )
)
_TO_AUDIENCE = re.compile(
    r"\b(thank(s| you)( guys)?( so much)?( you)? for|subscribe|welcome( back)? to"
    r"|see you (next|later|soon|in)|hit the (like|bell)"
    r"|don't forget to (like|share|follow|check|comment|hit)"
    r"|in the comments"
    r"|this (video|channel))\b",
    re.IGNORECASE,
)


def why_no_action(text: str, *, spacy_model: str | None = None) -> str | None:
    """Why a narration shows no action, in words for the user; None where one can be looked for.

    >>> why_no_action("[Music]")
    'no words, only sound'
    >>> why_no_action("cut the tomato") is None
    True

    Raises:
        InputError: no spaCy model is installed.
    """
    spoken = without_marks(text)
    if not any(character.isalpha() for character in spoken):
        return "no words, only sound"
    if _TO_AUDIENCE.search(spoken):
        return "spoken to the audience, not about the picture"
    verbs = [token for token in shared_spacy(spacy_model)(spoken) if token.pos_ == "VERB"]
    denied = [token for token in verbs if _negated(token)]
    if any(token.lemma_.lower() not in _UNSEEN for token in verbs if token not in denied):
        return None
    if any(token.lemma_.lower() not in _UNSEEN for token in denied):
        return f"says what is not done ({', '.join(token.text for token in denied)})"
    # 'Place chicken in oven' has no verb for the tagger, but one when it is read as an imperative.
    offered = every_base_verb(spoken, spacy_model=spacy_model)
    if any(verb.split()[0] not in _UNSEEN for verb in offered):
        return None
    if not verbs and not offered:
        return "no verb"
    named = [token.text for token in verbs] or list(offered)
    return f"no verb that can be seen (only {', '.join(named)})"


def _negated(token: "Token") -> bool:
    return any(child.dep_ == "neg" for child in token.children)
