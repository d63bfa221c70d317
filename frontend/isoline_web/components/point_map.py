"""Points under a Plotly graph that keeps axes, lasso and zoom; drawn by assets/pointmap.js."""

from __future__ import annotations

import plotly.graph_objects as go
from dash import dcc, html

from ..figures.frame import bare

CONFIG = {"displayModeBar": False, "scrollZoom": True, "doubleClick": False, "responsive": True, "showTips": False}


def point_map(id: str, label: str, *, figure: go.Figure | None = None, children: tuple = ()) -> html.Div:
    """A stage for points over the axes of `figure`; without one, a map."""
    return html.Div(
        [
            html.Canvas(role="img", **{"aria-label": label}),
            html.Div(dcc.Graph(figure=figure or bare(), config=CONFIG, responsive=True), className="plot"),
            html.Div(className="ring focus"),
            html.Div(className="ring hover"),
            *children,
        ],
        id=id,
        className="point-map over" if figure else "point-map",
    )
