"""Charts of the quality page: what they hold, and what making them costs."""

import altair
import pytest

from backend.qa.charts import MOST_BARS, ROW_PX, breakdown_chart, curve_chart, reliability_chart

GROUP = {"n": 12, "accuracy": 0.5, "low": 0.3, "high": 0.7, "small": False}


def groups(*names: object) -> list[dict[str, object]]:
    return [{**GROUP, "name": name} for name in names]


def test_groups_stand_in_their_order_and_each_has_room() -> None:
    rows = [*groups("z", "a", 7), {**GROUP, "name": "none", "n": 0}, *groups(*range(40))]
    few = breakdown_chart(rows[:4], "verb")
    assert [row["name"] for row in few["data"]["values"]] == ["z", "a", "7"]
    assert few["height"] == 3 * ROW_PX
    assert all(layer["encoding"]["y"]["sort"] is None for layer in few["layer"])
    assert len(breakdown_chart(rows, "verb")["data"]["values"]) == MOST_BARS
    assert breakdown_chart(rows[:4], "object")["layer"][0]["encoding"]["y"]["title"] == "object"


def test_other_figures_cost_no_other_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    first = (curve_chart([]), curve_chart([], by_number=True), reliability_chart([]))
    breakdown_chart([], "verb")
    monkeypatch.setattr(altair, "Chart", None)
    point = {"n": 1, "at": "2026-01-31T12:00:00Z", "accuracy": 1.0, "low": 0.2, "high": 1.0}
    two = [point, point]
    again = (curve_chart(two), curve_chart(two, by_number=True), reliability_chart(two))
    for old, new in zip(first, again, strict=True):
        assert new == {**old, "data": {"values": two}}
    assert breakdown_chart(groups("cut"), "verb")["data"]["values"] == groups("cut")


def test_a_point_alone_is_seen() -> None:
    point = {"n": 1, "at": "2026-11-23T00:00:00", "accuracy": 1.0, "low": 0.2, "high": 1.0}
    for by_number in (True, False):
        alone, two = (curve_chart([point] * n, by_number=by_number)["layer"] for n in (1, 2))
        assert [layer["mark"]["type"] for layer in alone] == ["rule", "point"]
        assert [layer["mark"]["type"] for layer in two] == ["area", "line", "line"]


@pytest.mark.parametrize(
    ("last", "form"),
    [
        ("2026-11-01T20:00:00.000000Z", "%b %-d, %H:%M"),
        ("2026-11-30T08:00:00.000000Z", "%b %-d"),
        ("2028-01-01T08:00:00.000000Z", "%b %Y"),
    ],
)
def test_all_times_of_an_axis_are_written_in_one_way(last, form):
    """Vega's own choice mixes days of the week, dates and names of months."""
    points = [
        {"n": n, "at": at, "accuracy": 0.5, "low": 0.1, "high": 0.9, "rolling": None}
        for n, at in enumerate(("2026-11-01T08:00:00.000000Z", last), 1)
    ]
    axes = [layer["encoding"]["x"].get("axis", {}) for layer in curve_chart(points)["layer"]]
    assert {axis["format"] for axis in axes} == {form}
