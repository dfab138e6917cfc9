"""What stands before the verb that is meant: 'okay, so now we're going to ...'."""

import re

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
BEFORE = re.compile(
    r"(?:once|when|if|after|while|as|before|until|in|on|with|using|for|at|to|into|from)\b[^,]{2,80},\s*"
    r"(?=\w+\s+\w)",
    re.IGNORECASE,
)


def has_letters(text: str) -> bool:
    """Whether anything is said."""
    return any(character.isalpha() for character in text)


def lead_off(said: str) -> str:
    """What is said without its lead-ins, unless it is nothing else."""
    while True:
        match = _LEAD_IN.match(said)
        if match is None or not has_letters(said[match.end() :]):
            return said
        said = said[match.end() :]
