"""The frame of the loss curves; the curves themselves are drawn as they come, in the browser."""

from __future__ import annotations

import plotly.graph_objects as go

from ..tokens import template


def loss() -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template=template("light"),
        uirevision="constant",
        margin={"l": 8, "r": 14, "t": 12, "b": 8},
        xaxis={"title": {"text": "epoch"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "loss"}, "type": "log", "dtick": "D2", "exponentformat": "e"},
        hovermode="x",
    )
    return figure
