"""The dialog that asks what to train, drawn from the training recipe itself."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, html, no_update

from isoline.domain.recipe import Train
from isoline.services import library, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..components.recipe_form import read_form, recipe_form
from ..icons import icon

FIRST = ("name", "members", "epochs", "cutoff")
LEFT_OUT = ("version", "start", "family")


def train_dialog() -> object:
    return dialog(
        "train-dialog",
        "Train a committee",
        html.Div(
            [
                html.P(id="train-what", className="muted"),
                *recipe_form(Train, "train", FIRST, LEFT_OUT),
                dmc.Select(
                    id="train-test",
                    label="Also evaluate on",
                    description="A dataset kept apart for testing",
                    data=[],
                    clearable=True,
                    searchable=True,
                ),
                html.Div(
                    html.Button(
                        [icon("train", small=True), "Train"],
                        id="train-start",
                        type="button",
                        className="button primary push",
                    ),
                    className="row",
                ),
            ],
            className="stack",
        ),
        size="lg",
    )


def register(desk: Desk) -> None:
    bench = desk.bench

    @desk.answers(
        Output("train-dialog", "opened"),
        Output("train-what", "children"),
        Output("train-test", "data"),
        Input("train-open", "n_clicks"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def open_dialog(clicked, version):
        if not clicked:
            return no_update, no_update, no_update
        card = library.version(bench, version)
        counts = (("energies", card.n_energy), ("with forces", card.n_forces), ("with stress", card.n_stress))
        labels = ", ".join(f"{words.count(n)} {kind}" for kind, n in counts)
        others = [
            {"value": str(other.id), "label": f"{other.title} ({words.count(other.n_structures)})"}
            for other in library.datasets(bench)
            if other.id != version
        ]
        return True, f"On {card.title}: {labels}.", others

    @desk.answers(
        Output("train-dialog", "opened", allow_duplicate=True),
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("train-start", "n_clicks"),
        State({"form": "train", "field": ALL}, "id"),
        State({"form": "train", "field": ALL}, "value"),
        State("train-test", "value"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def start(clicked, fields, values, test, version):
        if not clicked:
            return no_update, no_update
        recipe = read_form(Train, fields, values, version=version)
        jobs = training.train(bench, desk.actor, recipe, test=int(test) if test else None)
        notify(jobs[0].title, "Loss curves are drawn while it trains.", colour="green")
        return False, f"/jobs/{jobs[0].id}"
