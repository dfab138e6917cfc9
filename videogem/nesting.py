"""How deep lists and objects lie in each other: what walks through them would run out of stack."""

from typing import Any

DEEPEST = 64  # levels that anybody means; Label Studio's own go 12 deep


def is_deep(value: Any, levels: int = DEEPEST) -> bool:
    """Whether lists and objects are nested deeper than that; works without recursion.

    >>> is_deep([{"a": []}], 3), is_deep([{"a": [[]]}], 3)
    (False, True)
    """
    level = [value]
    for _ in range(levels):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True
