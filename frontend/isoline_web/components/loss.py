"""Live loss curves of a training job, drawn by assets/loss.js from /api/jobs/{id}/metrics."""

from __future__ import annotations

from dash import Input, dcc, html

from ..callbacks import Desk
from ..figures.loss import loss
from .panel import panel

CONFIG = {"displayModeBar": False, "responsive": True}


def loss_panel(job: int | None, *, best: int | None = None) -> html.Section:
    """Training and validation loss of every member; the best epoch is marked."""
    words = html.Span(
        [
            html.Span(className="key train"),
            "training",
            html.Span(className="key validation"),
            "validation, one line a member",
        ],
        className="row muted caption",
    )
    graph = dcc.Graph(id="loss-graph", figure=loss(), config=CONFIG, responsive=True, style={"height": "260px"})
    return panel(
        "Loss",
        dcc.Store(id="loss-of", data={"job": job, "best": best}),
        graph,
        controls=(words,),
        context=html.Span("", id="loss-now", role="status"),
    )


def register_loss(desk: Desk) -> None:
    desk.runs("loss", "start", Input("loss-of", "data"))
