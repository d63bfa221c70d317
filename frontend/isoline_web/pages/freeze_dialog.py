"""The dialog that freezes structures into a new dataset version."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Input, Output, State, ctx, html, no_update

from isoline.services import atlas, library

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..icons import icon
from ..router import dataset_link

NEW_SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1}


def freeze_dialog() -> object:
    return dialog(
        "freeze-dialog",
        "Freeze into a new version",
        html.Div(
            [
                html.P(id="freeze-what", className="muted", **{"data-selection": ""}),
                dmc.TextInput(
                    id="freeze-dataset",
                    label="Dataset",
                    description="Its next version; another name makes a new dataset",
                ),
                dmc.Textarea(
                    id="freeze-note",
                    label="Note",
                    description="Why these; kept with the version",
                    autosize=True,
                    minRows=2,
                ),
                dmc.Checkbox(
                    id="freeze-split",
                    label="Assign train, validation and test anew (80 : 10 : 10)",
                    checked=False,
                    size="sm",
                ),
                html.Div(
                    html.Button(
                        [icon("freeze", small=True), "Freeze"],
                        id="freeze-confirm",
                        className="button primary push",
                        type="button",
                    ),
                    className="row",
                ),
            ],
            className="stack",
        ),
    )


def register(desk: Desk) -> None:
    bench = desk.bench

    @desk.answers(
        Output("freeze-dialog", "opened"),
        Output("freeze-what", "children"),
        Output("freeze-dataset", "value"),
        Output("freeze-what", "data-selection"),
        Input("freeze-selection", "n_clicks"),
        Input("freeze-accepted", "n_clicks"),
        State(ids.SELECTION, "data"),
        State(ids.ATLAS, "data"),
        prevent_initial_call=True,
    )
    def ask_to_freeze(of_selection, of_accepted, chosen, settings):
        card = library.version(bench, settings["version"])
        if ctx.triggered_id == "freeze-accepted":
            found = atlas.select(bench, desk.actor, card.id, {"decision": "accepted"})
            chosen, of = {"id": found.id, "n": found.n}, "accepted"
        else:
            of = "selected"
        if not chosen or not chosen["n"]:
            notify(f"No structure is {of}", "Select some on the map, or accept some with A.")
            return no_update, no_update, no_update, no_update
        what = f"{words.plural(chosen['n'], 'structure')} {of} of {words.count(card.n_structures)}"
        return True, what, card.dataset, chosen["id"]

    @desk.answers(
        Output("freeze-dialog", "opened", allow_duplicate=True),
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("freeze-confirm", "n_clicks"),
        State("freeze-what", "data-selection"),
        State("freeze-dataset", "value"),
        State("freeze-note", "value"),
        State("freeze-split", "checked"),
        State(ids.ATLAS, "data"),
        prevent_initial_call=True,
    )
    def freeze(_, selection, dataset, note, split, settings):
        rows = atlas.positions(bench, selection, settings["version"])
        card = library.freeze(
            bench,
            desk.actor,
            settings["version"],
            rows,
            dataset=(dataset or "").strip() or None,
            note=note or "",
            split_fractions=NEW_SPLIT if split else None,
        )
        notify(f"Froze {card.title}", words.plural(card.n_structures, "structure"), colour="green")
        return False, dataset_link(card.dataset)
