"""Bars of how a channel is distributed, and how the selection is."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ..tokens import COLOURS, Theme, template


def distribution(histogram, theme: Theme, selected: bool) -> go.Figure:
    """All structures in grey, the selected ones in the accent colour before them.

    histogram  edges (bins + 1,), counts and selected_counts (bins,), labels for categories
    """
    colour = COLOURS[theme]
    if histogram.labels:
        shown = slice(0, 8)
        x, width = [_short(label) for label in histogram.labels[shown]], None
        counts, chosen = histogram.counts[shown], histogram.selected_counts[shown]
    else:
        x = (histogram.edges[:-1] + histogram.edges[1:]) / 2
        width = np.diff(histogram.edges) * 0.92
        counts, chosen = histogram.counts, histogram.selected_counts
    figure = go.Figure()
    figure.add_bar(
        x=x,
        y=counts,
        width=width,
        marker={"color": colour["bar-rest"] if selected else colour["accent"], "line": {"width": 0}},
        hovertemplate="%{x}: %{y}<extra></extra>",
    )
    if selected:
        figure.add_bar(
            x=x,
            y=chosen,
            width=width,
            marker={"color": colour["accent"], "line": {"width": 0}},
            hovertemplate="%{x}: %{y} selected<extra></extra>",
        )
    figure.update_layout(
        template=template(theme),
        barmode="overlay",
        bargap=0.08,
        uirevision="constant",
        margin={"l": 4, "r": 6, "t": 4, "b": 4},
        xaxis={"showgrid": False, "nticks": 5},
        yaxis={"nticks": 3, "showline": False},
    )
    return figure


def bins(n: int) -> int:
    """How many bars n values deserve: 2 n^(1/3), Rice's rule, between 12 and 60."""
    return int(min(60, max(12, round(2 * n ** (1 / 3)))))


def _short(label: str, length: int = 14) -> str:
    return label if len(label) <= length else label[: length - 1] + "…"
