"""What came of comparing one case with its reference numbers, and how far they may be apart."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TIE = 1e-4  # points are compared where the best pixel leads by more than this
# The first pattern that matches the array's name, without its mode prefix.
TOLERANCES = (
    (r"text_emb", 1e-5),
    (r"s$", 1e-5),
    (r"X_in|Z|Y_cls|x_cls|feat_", 1e-4),
    (r"w_|label_probs", 1e-4),  # softmaxes of 20 s and 100 cos: up to 100 times the error of s
    (r"sim_", 1e-5),
    (r"heat_", 1e-4),
    (r"margin_", 1e-4),
    (r"viclip_224|gem_", 1e-4),
)


@dataclass
class Report:
    """What came of one case."""

    case: str
    largest: float = 0.0
    largest_name: str = "-"
    num_compared: int = 0
    num_ties: int = 0
    failures: list[str] = field(default_factory=list)

    def compare(self, name: str, ours: np.ndarray, reference: np.ndarray) -> None:
        """Count an array as compared, and as failed if it differs past its tolerance."""
        self.num_compared += 1
        if ours.shape != reference.shape:
            self.failures.append(f"{name}: shape {ours.shape}, reference {reference.shape}")
            return
        difference = float(np.abs(ours.astype(np.float64) - reference).max(initial=0.0))
        if difference > self.largest:
            self.largest, self.largest_name = difference, name
        if not difference <= tolerance(name):  # NaN fails
            self.failures.append(f"{name}: differs by {difference:.2e}, at most {tolerance(name)}")

    def compare_points(self, name: str, ours: Any, reference: Any, leads: Any) -> None:
        """Pixels must be equal wherever the best one leads clearly."""
        ours, reference = np.reshape(ours, (-1, 2)), np.reshape(reference, (-1, 2))
        clear = np.ravel(leads) > TIE
        self.num_compared += 1
        self.num_ties += int((~clear).sum())
        for row in np.flatnonzero(clear & (ours != reference).any(axis=1)):
            self.failures.append(f"{name}[{row}]: {ours[row]}, reference {reference[row]}")

    def check(self, name: str, *, equal: bool) -> None:
        """Count an exact comparison."""
        self.num_compared += 1
        if not equal:
            self.failures.append(f"{name}: differs")

    def __str__(self) -> str:
        verdict = "FAILED" if self.failures else "ok"
        ties = f", {self.num_ties} ties left out" if self.num_ties else ""
        line = (
            f"{self.case:24} {verdict:6} {self.num_compared:4} compared{ties}, "
            f"largest difference {self.largest:.2e} ({self.largest_name})"
        )
        return "\n".join([line, *(f"    {failure}" for failure in self.failures)])


def tolerance(name: str) -> float:
    """How far an array may be off."""
    stem = re.sub(r"^mode\d_", "", name)
    return next((limit for pattern, limit in TOLERANCES if re.match(pattern, stem)), 0.0)
