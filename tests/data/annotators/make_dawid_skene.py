"""Writes dawid_skene.json: a simulated team's answers, and what crowd-kit makes of them.

    python tests/data/annotators/make_dawid_skene.py

Needs crowd-kit, which is no requirement of this project: it brings a deep-learning library.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

TASKS, STEPS = 60, 500
SENSITIVITY, SPECIFICITY = (0.95, 0.85, 0.7, 0.9), (0.9, 0.8, 0.75, 0.95)


def main() -> None:
    """Simulate, aggregate, write."""
    from crowdkit.aggregation import DawidSkene  # not installed where tests are only collected

    rng = np.random.default_rng(7)
    truth = rng.random(TASKS) < 0.65
    rows = []
    for task in range(TASKS):
        for worker in rng.permutation(len(SENSITIVITY))[:3].tolist():
            right = SENSITIVITY[worker] if truth[task] else SPECIFICITY[worker]
            label = truth[task] if rng.random() < right else not truth[task]
            rows.append({"task": task, "worker": worker, "label": int(label)})
    model = DawidSkene(n_iter=STEPS, tol=0.0).fit(pd.DataFrame(rows))
    errors = model.errors_
    found = {
        "made_with": f"crowd-kit {version('crowd-kit')}, DawidSkene, {STEPS} steps",
        "answers": [[row["task"], row["worker"], row["label"]] for row in rows],
        "present": model.probas_[1].sort_index().tolist(),
        "sensitivity": [errors.loc[(w, 1), 1] for w in range(len(SENSITIVITY))],
        "specificity": [errors.loc[(w, 0), 0] for w in range(len(SENSITIVITY))],
        "prevalence": float(model.priors_[1]),
    }
    path = Path(__file__).with_name("dawid_skene.json")
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
