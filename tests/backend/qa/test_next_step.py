"""What a team lead is told to do next."""

from typing import Any

import pytest

from backend.qa.next_step import next_step


def report(**changes: Any) -> dict[str, Any]:
    plain = {"skipped": {"n": 20}, "audit": [], "target": None, "filters": {"project": "3"},
             "headline": {"n": 20}, "keypoints_only": {"n": 0}, "audit_as_of": None}  # fmt: skip
    return plain | changes


@pytest.mark.parametrize(
    ("changes", "tab", "words"),
    [
        ({"skipped": {"n": 0}, "audit": [{}]}, "", "submit the first task"),
        ({"audit": [{}], "target": {"verdict": "failed"}}, "review", "1 label may be wrong"),
        ({"audit": [{}] * 7}, "review", "7 labels may be wrong"),
        ({"audit_as_of": ""}, "review", "is being worked out"),
        ({"audit_as_of": "2026-11-30T10:00:00"}, "overview", "quality target"),
        ({"headline": {"n": 0}, "keypoints_only": {"n": 12}}, "overview", "quality target"),
        ({"headline": {"n": 1}}, "plan", "1 point is judged: review more"),
        ({"headline": {"n": 9}, "target": {"verdict": "failed"}}, "plan", "9 points are judged"),
        ({"target": {"verdict": "failed"}}, "pictures", "missed"),
        ({"target": {"verdict": "unknown"}}, "plan", "review more tasks"),
        ({"target": {"verdict": "passed"}}, "data", "Nothing waits"),
        ({}, "overview", "set a quality target"),
        ({"filters": {}}, "data", "Nothing waits"),
    ],
)
def test_the_most_urgent_comes_first(changes: dict[str, Any], tab: str, words: str) -> None:
    step = next_step(report(**changes))
    assert step.tab == tab
    assert words in step.words
    assert bool(step.tab) == bool(step.link)


def test_a_missed_target_leads_to_the_misses_and_none_to_its_form() -> None:
    assert next_step(report(target={"verdict": "failed"})).show == "misses"
    assert next_step(report()).place == "target"
