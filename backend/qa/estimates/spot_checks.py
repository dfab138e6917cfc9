"""Whether what was accepted in bulk still keeps its promise, from a random part that people check.

A share of what a rule accepts is left to people, drawn at random. After each check the evidence
against "at most so many are wrong" is an e-value: it exceeds 1 / level with a chance of at most
``level`` if the promise is kept, however often one looks. Pure.

Source: Ramdas, Grünwald, Vovk and Shafer, Game-theoretic statistics and safe anytime-valid
inference (2023), sections 2 and 3: a mixture of likelihood ratios, here over all higher shares.
"""

import math
import random

LEVEL = 0.05  # chance that a rule which keeps its promise is ever withdrawn


def is_checked(seed: int, task: int, share: float) -> bool:
    """Whether a task is one that people check; each by its own luck, whatever tasks there are."""
    return random.Random(f"{seed} {task}").random() < share


def log_evidence(wrong: int, checked: int, risk: float) -> float:
    """Logarithm of the evidence (e-value) that more than ``risk`` of what was accepted is wrong.

    >>> log_evidence(0, 20, 0.05) < 0 < log_evidence(5, 20, 0.05)
    True
    """
    from scipy.special import betainc, betaln

    right = checked - wrong
    above = 1 - betainc(wrong + 1, right + 1, risk)  # of the flat prior's posterior mass
    if above <= 0:
        return -math.inf
    mixture = float(betaln(wrong + 1, right + 1) + math.log(above) - math.log1p(-risk))
    return mixture - wrong * math.log(risk) - right * math.log1p(-risk)


def is_contradicted(wrong: int, checked: int, risk: float, level: float = LEVEL) -> bool:
    """Whether the checks say that the promise is broken."""
    return checked > 0 and log_evidence(wrong, checked, risk) >= -math.log(level)
