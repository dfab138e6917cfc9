"""Vega-Lite specifications of the page's charts, by Altair. Colours come from the page's theme.

What a chart looks like does not depend on the figures in it, and Altair takes longer to put it
together than all else on a page: so that is done once.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Literal

from backend.qa.curve import ROLLING
from backend.qa.events import Row

Spec = dict[str, Any]
Times = tuple[str, Literal["day", "month"] | None]
MOST_BARS = 15
ROW_PX = 22  # of the height of a chart, each group
SOME_DAYS, MANY_DAYS = 4, 300  # a curve is long: from there on its axis has days, and months
EACH_DAY, EACH_MONTH = 40, 1500  # days up to which an axis has a line for every day, and month
ROOM = "width > 700 ? 400 : 150"  # pixels for the names beside a chart, as it is wide


def curve_chart(points: Sequence[Row], *, by_number: bool = False) -> Spec:
    """Running accuracy with its interval band, and the rolling one; over dates, or over points."""
    form = _curve(by_number=by_number, alone=len(points) == 1, times=_times(points))
    return _with(form, points)


def _times(points: Sequence[Row]) -> Times:
    """How the times of a curve are written at its axis, all in one way, and what lies between two
    of them; None: what there is room for, which is no less than that.
    """
    ends = [datetime.fromisoformat(points[place]["at"]) for place in (0, -1)] if points else []
    days = (ends[1] - ends[0]).days if ends else 0
    if days < SOME_DAYS:
        return "%b %-d, %H:%M", None
    if days < MANY_DAYS:
        return "%b %-d", "day" if days < EACH_DAY else None
    return "%b %Y", "month" if days < EACH_MONTH else None


@cache
def _curve(*, by_number: bool, alone: bool, times: Times) -> Spec:
    import altair as alt  # a second of import, only where charts are drawn

    percent = alt.Axis(format=".0%")
    x = alt.X("at:T", title="time (UTC) of the last change", scale=alt.Scale(type="utc"))
    form, step = times
    x = x.axis(format=form, labelOverlap=True, tickCount=step or alt.Undefined)
    if by_number:
        x = alt.X("n:Q", title="judged points, oldest first", axis=alt.Axis(tickMinStep=1))
    elif alone:  # a tick of one moment would be its seconds
        x = x.axis(format="%Y-%m-%d %H:%M", tickCount=1)
    y = alt.Scale(domain=[0, 1])
    tips = [
        alt.Tooltip("n:Q", title="points"),
        alt.Tooltip("accuracy:Q", title="accuracy", format=".1%"),
        alt.Tooltip("low:Q", format=".1%"),
        alt.Tooltip("high:Q", format=".1%"),
        alt.Tooltip("at:N", title="time"),
    ]
    base = alt.Chart().encode(x=x)
    low = alt.Y("low:Q", scale=y, axis=percent, title="pointing accuracy")
    if alone:  # a line of one point is not seen
        dot = base.mark_point(filled=True, size=90)
        dot = dot.encode(y=alt.Y("accuracy:Q", scale=y), tooltip=tips)
        bar = base.mark_rule(strokeWidth=3).encode(y=low, y2="high:Q")
        return _spec((bar + dot).properties(width="container", height=240))
    band = base.mark_area(opacity=0.25).encode(y=low, y2="high:Q")
    line = base.mark_line(strokeWidth=2.5).encode(y=alt.Y("accuracy:Q", scale=y), tooltip=tips)
    rolling = base.mark_line(strokeDash=[5, 4]).encode(
        y=alt.Y("rolling:Q", scale=y),
        strokeWidth=alt.value(1.5),
        tooltip=[alt.Tooltip("rolling:Q", title=f"last {ROLLING}", format=".1%")],
    )
    return _spec((band + line + rolling).properties(width="container", height=240))


def breakdown_chart(rows: Sequence[Row], title: str) -> Spec:
    """Accuracy by one property, each with its interval; the largest groups, in the rows' order."""
    judged = [{**row, "name": str(row["name"])} for row in rows if row["n"]][:MOST_BARS]
    return {**_with(_breakdown(title), judged), "height": ROW_PX * len(judged)}


@cache
def _breakdown(title: str) -> Spec:
    import altair as alt

    y = alt.Y("name:N", sort=None, title=title, axis=alt.Axis(labelLimit=alt.ExprRef(ROOM)))
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart().encode(
        y=y, opacity=alt.condition("datum.small", alt.value(0.45), alt.value(1.0))
    )
    bars = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", scale=scale, axis=alt.Axis(format=".0%"), title="pointing accuracy"),
        x2="high:Q",
    )
    dots = base.mark_point(filled=True, size=90).encode(
        x=alt.X("accuracy:Q", scale=scale),
        tooltip=[
            alt.Tooltip("name:N", title=title),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("n:Q"),
        ],
    )
    return _spec((bars + dots).properties(width="container"))


def reliability_chart(rows: Sequence[Row]) -> Spec:
    """Share of hits by mean score of each bin, with its interval."""
    return _with(_reliability(), rows)


@cache
def _reliability() -> Spec:
    import altair as alt

    scale = alt.Scale(domain=[0, 1])
    x = alt.X("mean_score:Q", title="score", scale=alt.Scale(zero=False))
    base = alt.Chart().encode(x=x.axis(format=".2f"))
    y = alt.Y("low:Q", scale=scale, axis=alt.Axis(format=".0%"), title="share of hits")
    bars = base.mark_rule(strokeWidth=3).encode(y=y, y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(y=alt.Y("accuracy:Q", scale=scale))
    dots = base.mark_point(filled=True, size=90).encode(
        y=alt.Y("accuracy:Q", scale=scale),
        tooltip=[
            alt.Tooltip("mean_score:Q", title="score", format=".2f"),
            alt.Tooltip("accuracy:Q", title="hits", format=".1%"),
            alt.Tooltip("n:Q"),
        ],
    )
    return _spec((bars + line + dots).properties(width="container", height=220))


def _with(form: Spec, rows: Sequence[Row]) -> Spec:
    return {**form, "data": {"values": list(rows)}}


def _spec(chart: Any) -> Spec:
    spec: Spec = chart.to_dict()
    for layer in spec["layer"]:
        layer.pop("data", None)  # Altair's stand-in for the data that all layers share
    spec.pop("config", None)  # the page's theme decides
    return {**spec, "autosize": {"type": "fit-x"}}
