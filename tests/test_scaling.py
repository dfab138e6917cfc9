"""docs/scaling.md says what its script prints, and the script what was measured."""

from pathlib import Path

import pytest

from benchmarks.scaling import (
    WAYS,
    LabelStudioCosts,
    Prices,
    duration,
    figures,
    project_seconds,
    requests_of,
    size,
)

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_has_the_script_s_tables() -> None:
    assert figures(Prices()) in (ROOT / "docs" / "scaling.md").read_text()


@pytest.mark.parametrize("way", [way for way in WAYS if way.gpus], ids=lambda way: way.name)
def test_rates_of_a_gpu_are_those_that_were_measured(way) -> None:
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert f"{way.frames_per_s:,}" in results


def test_prices_count() -> None:
    assert figures(Prices(gpu_hour=30)) != figures(Prices())


def test_the_simulation_gives_what_was_measured() -> None:
    """5,000 tasks by one click took 25.1 s, 6 of them predicting (docs/label_studio.md)."""
    assert project_seconds(5000) + 6 == pytest.approx(25.1, rel=0.02)


def test_requests_of_a_large_project_get_dearer() -> None:
    assert list(requests_of(12_000, 5000)) == [5000, 5000, 2000]
    costs = LabelStudioCosts(sending=0, saving=0, counting=0.001)
    assert project_seconds(12_000, batch=5000, costs=costs) == pytest.approx(3 * 12)
    assert project_seconds(100_000) > 10 * 2 * project_seconds(10_000)


def test_words() -> None:
    assert duration(3 * 86400) == "3.0 days"
    assert size(3e9) == "3.0 GB"
