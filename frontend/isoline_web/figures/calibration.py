"""Whether predicted errors are those that come: coverage and reliability, as given and calibrated."""

from __future__ import annotations

import plotly.graph_objects as go

from ..tokens import COLOURS, Theme, template

BEFORE, AFTER = "as given", "calibrated"


def coverage(expected, before, after, theme: Theme) -> go.Figure:
    """Observed against expected share of errors within an interval, with the diagonal that honest spreads follow.

    expected, before, after  (levels,)  0…1
    """
    colour = COLOURS[theme]
    figure = _framed(theme, "errors expected within the interval, %", "errors found within it, %")
    figure.add_scatter(x=[0, 100], y=[0, 100], mode="lines", line={"color": colour["edge"], "width": 1, "dash": "dot"})
    for name, observed, line in (
        (BEFORE, before, {"color": colour["edge"], "width": 1.5}),
        (AFTER, after, {"color": colour["accent"], "width": 2}),
    ):
        figure.add_scatter(
            x=[100 * share for share in expected],
            y=[100 * share for share in observed],
            name=name,
            mode="lines",
            line=line,
            hovertemplate=f"%{{y:.0f}} % found within the interval for %{{x:.0f}} %, {name}<extra></extra>",
        )
    axis = {"range": [0, 100], "dtick": 25}
    figure.update_layout(xaxis=axis, yaxis=axis)
    return figure


def reliability(before, after, unit: str, theme: Theme, factor: float = 1.0) -> go.Figure:
    """Errors that came against errors predicted, in bins of equal count, with the line on which they are the same.

    before, after  bins with `deviation`, `rmse` and `n`; multiplied by `factor` they are in `unit`
    """
    colour = COLOURS[theme]
    figure = _framed(theme, f"predicted error, {unit}", f"RMSE found, {unit}")
    both = [factor * value for one in (*before, *after) for value in (one.deviation, one.rmse) if value > 0]
    if both:
        ends = [min(both) / 1.3, max(both) * 1.3]
        figure.add_scatter(x=ends, y=ends, mode="lines", line={"color": colour["edge"], "width": 1, "dash": "dot"})
    for name, bins, marker in (
        (BEFORE, before, {"symbol": "circle-open", "color": colour["edge"], "size": 7, "line": {"width": 1.5}}),
        (AFTER, after, {"symbol": "circle", "color": colour["accent"], "size": 8}),
    ):
        figure.add_scatter(
            x=[factor * one.deviation for one in bins],
            y=[factor * one.rmse for one in bins],
            customdata=[one.n for one in bins],
            name=name,
            mode="markers",
            marker=marker,
            hovertemplate=f"predicted %{{x:.3g}}, found %{{y:.3g}} {unit}, {name}; N = %{{customdata}}<extra></extra>",
        )
    # Ticks at 1, 2 and 5: the bins of one set seldom span a decade.
    axis = {"type": "log", "dtick": "D2", "exponentformat": "none"}
    figure.update_layout(xaxis=axis, yaxis=axis)
    return figure


def _framed(theme: Theme, x_title: str, y_title: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template=template(theme),
        uirevision="constant",
        hovermode="closest",
        margin={"l": 8, "r": 14, "t": 12, "b": 8},
        xaxis={"title": {"text": x_title}},
        yaxis={"title": {"text": y_title}},
    )
    return figure
