"""Predictions that do not name their regions, as imported ones need not."""

from tests.backend.qa.test_scoring import hits, rows_for
from tests.qa_events import box, point, track


def nameless(*regions):
    """As systems give them that name no regions."""
    return [{k: v for k, v in region.items() if k != "id"} for region in regions]


def shown(region, id, origin="prediction", **value):
    """As Label Studio's editor gives a region back."""
    return {**region, "id": id, "origin": origin, "value": {**region["value"], **value}}


def test_predictions_without_region_ids_are_told_by_place():
    guess = nameless(point(25, 25), point(75, 75), box(20, 20, 10, 10), box(70, 70, 10, 10))
    left = [shown(region, f"new{k}") for k, region in enumerate(reversed(guess))]
    rows = rows_for(guess, left)
    assert rows[0]["outcome"] == "accepted"
    assert [row["outcome"] for row in rows[1:]] == ["accepted"] * 4
    assert hits(rows) == [True, True]

    moved = shown(guess[2], "new9", "prediction-changed", x=60)
    found = rows_for(guess, [left[0], *left[2:], moved])
    assert sorted(row["outcome"] for row in found[1:]) == ["accepted"] * 3 + ["moved"]
    gone = rows_for(guess, left[:3])
    assert sorted(row["outcome"] for row in gone[1:]) == ["accepted"] * 3 + ["deleted"]
    drawn = shown(guess[0], "mine", "manual")
    found = rows_for(guess, [*left[:3], drawn])
    assert sorted(row["outcome"] for row in found[1:]) == ["accepted"] * 3 + ["added", "deleted"]


def test_tracks_without_region_ids_are_told_by_place():
    def keys(x):
        return [{"frame": f, "enabled": True, "x": x, "y": 20, "width": 10, "height": 10}
                for f in (1, 5)]  # fmt: skip

    guess = nameless(track(keys(20)), track(keys(70)))
    left = [shown(region, f"new{k}") for k, region in enumerate(reversed(guess))]
    rows = rows_for(guess, left)
    assert [row["outcome"] for row in rows[1:]] == ["accepted"] * 2
    moved = shown(guess[0], "new1", "prediction-changed", sequence=keys(24))
    rows = rows_for(guess, [left[0], moved])
    assert [row["outcome"] for row in rows[1:]] == ["moved", "accepted"]
