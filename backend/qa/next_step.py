"""What a team lead does next, in one sentence, from the figures. Pure."""

from dataclasses import dataclass

from backend.qa.curve import SMALL_N
from backend.qa.events import Row


@dataclass(frozen=True)
class Step:
    """What to do, and where: a ``tab`` of the quality pages and what its link says, or nowhere.

    ``show`` is what a tab of pictures shows, ``place`` the section of a tab.
    """

    words: str
    tab: str = ""
    link: str = ""
    show: str = ""
    place: str = ""


def next_step(report: Row) -> Step:
    """The step that is worth most now.

    >>> next_step({"skipped": {"n": 0}, "audit": [], "target": None}).words
    'Open the project in Label Studio and submit the first task: figures begin with it.'
    """
    if not report["skipped"]["n"]:
        return Step(
            "Open the project in Label Studio and submit the first task: figures begin with it."
        )
    target, suspects = report["target"], len(report["audit"])
    if suspects:
        words = f"{suspects} labels may be wrong: look at them again."
        if suspects == 1:
            words = "1 label may be wrong: look at it again."
        return Step(words, "review", "Review")
    if report["audit_as_of"] == "":  # of the first list, which nobody waits for
        words = "Which labels may be wrong is being worked out; this page says it when it is there."
        return Step(words, "review", "Review")
    judged = max(report["headline"]["n"], report["keypoints_only"]["n"])
    if judged < SMALL_N:
        points = "1 point is" if judged == 1 else f"{judged} points are"
        words = f"{points} judged: review more tasks, so few tell little."
        return Step(words, "plan", "Plan the reviews")
    if target and target["verdict"] == "failed":
        return Step(
            "The quality target is missed: look at where the model points wrong.",
            "pictures",
            "See the misses",
            show="misses",
        )
    if target and target["verdict"] == "unknown":
        return Step(
            "Whether the quality target is reached is not known yet: review more tasks, best ones "
            "drawn by chance.",
            "plan",
            "Plan the reviews",
        )
    if target is None and report["filters"].get("project"):
        words = "Say what accuracy is enough: set a quality target."
        return Step(words, "overview", "Set it", place="target")
    return Step("Nothing waits: take the labels with you.", "data", "Exports")
