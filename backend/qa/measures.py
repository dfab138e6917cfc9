"""Which figure of a project a quality target is about."""

from enum import StrEnum


class Measure(StrEnum):
    """Which figure a target is about."""

    headline = "headline"  # all reviewed annotations
    independent = "independent"  # those drawn without seeing the prediction, or ground truth
