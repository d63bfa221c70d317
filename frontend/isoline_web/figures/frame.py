"""Empty figures that hold the axes of a canvas of points."""

from __future__ import annotations

import plotly.graph_objects as go

from ..tokens import template


def bare() -> go.Figure:
    """Axes without marks: a map has no directions that mean anything."""
    figure = _empty()
    hidden = {"visible": False, "showgrid": False, "zeroline": False, "fixedrange": False}
    figure.update_layout(xaxis=hidden, yaxis=hidden, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="lasso")
    return figure


def square(x_title: str, y_title: str) -> go.Figure:
    """Axes with titles and a hairline grid."""
    figure = _empty()
    figure.update_layout(
        xaxis={"title": {"text": x_title}, "nticks": 6},
        yaxis={"title": {"text": y_title}, "nticks": 6},
        margin={"l": 8, "r": 14, "t": 12, "b": 8},
        dragmode="lasso",
    )
    return figure


def logarithmic(x_title: str, y_title: str) -> go.Figure:
    """Both axes by powers of ten."""
    figure = square(x_title, y_title)
    figure.update_layout(xaxis={"type": "log", "dtick": 1}, yaxis={"type": "log", "dtick": 1}, dragmode="pan")
    return figure


def _empty() -> go.Figure:
    figure = go.Figure(go.Scatter(x=[], y=[], mode="markers", hoverinfo="skip"))
    figure.update_layout(
        template=template("light"), uirevision="constant", selectionrevision="constant", hovermode=False
    )
    return figure
