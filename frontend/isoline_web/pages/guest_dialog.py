"""The dialog that takes a potential of others in as a model."""

from __future__ import annotations

import json

import dash_mantine_components as dmc
from dash import Input, Output, State, html, no_update

from isoline.domain.recipe import Adopt
from isoline.errors import InvalidInput
from isoline.services import guests, library

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..icons import icon

FEW = 12  # elements to name one by one
HIDDEN, SHOWN = {"display": "none"}, {}


def guest_button() -> html.Button:
    """Opens the dialog."""
    return html.Button(
        [icon("import", small=True), "Add a guest model"], id="guest-open", type="button", className="button"
    )


def guest_dialog() -> object:
    return dialog(
        "guest-dialog",
        "Add a guest model",
        html.Div(
            [
                html.P(
                    "A potential of others, to evaluate and to compare with your own. It is not trained here.",
                    className="muted",
                ),
                dmc.RadioGroup(id="guest-name", children=[], label="Guest", size="sm"),
                dmc.TextInput(
                    id="guest-settings",
                    label="Settings",
                    description="What this guest leaves to choose",
                    wrapperProps={"style": HIDDEN},
                ),
                html.Div(
                    [
                        dmc.Select(
                            id="guest-dataset",
                            label="Dataset",
                            description="It is evaluated there",
                            data=[],
                            searchable=True,
                        ),
                        dmc.TextInput(id="guest-title", label="Name of the model", description="The guest's if empty"),
                    ],
                    className="form",
                ),
                dmc.Checkbox(
                    id="guest-shift",
                    label="Fit energies of atoms to the dataset",
                    description="Other references have another zero of energy",
                    checked=True,
                    size="sm",
                ),
                html.Div(
                    html.Button(
                        [icon("check", small=True), "Add and evaluate"],
                        id="guest-add",
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
        Output("guest-dialog", "opened"),
        Output("guest-name", "children"),
        Output("guest-name", "value"),
        Output("guest-dataset", "data"),
        Output("guest-dataset", "value"),
        Input("guest-open", "n_clicks"),
        prevent_initial_call=True,
    )
    def open_dialog(_):
        cards = guests.cards(bench)
        datasets = [{"value": str(card.id), "label": card.title} for card in library.datasets(bench)]
        first = next((card.name for card in cards if card.ready), None)
        choices = html.Div([_choice(card) for card in cards], className="stack")
        return True, choices, first, datasets, datasets[0]["value"] if datasets else None

    @desk.answers(
        Output("guest-settings", "value"),
        Output("guest-settings", "wrapperProps"),
        Input("guest-name", "value"),
        prevent_initial_call=True,
    )
    def show_settings(name):
        settings = next((card.settings for card in guests.cards(bench) if card.name == name), {})
        written = " ".join(f"{key}={value}" for key, value in settings.items())
        return written, {"style": SHOWN if settings else HIDDEN}

    @desk.answers(
        Output("guest-dialog", "opened", allow_duplicate=True),
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("guest-add", "n_clicks"),
        State("guest-name", "value"),
        State("guest-settings", "value"),
        State("guest-dataset", "value"),
        State("guest-title", "value"),
        State("guest-shift", "checked"),
        prevent_initial_call=True,
    )
    def add(_, name, settings, dataset, title, shift):
        if not (name and dataset):
            notify("Choose a guest and a dataset")
            return no_update, no_update
        recipe = Adopt(
            guest=name,
            version=int(dataset),
            name=(title or "").strip()[:80],
            settings=read_settings(settings or ""),
            shift=bool(shift),
        )
        jobs = guests.add(bench, desk.actor, recipe)
        notify(jobs[0].title, "It is asked about some structures first, then evaluated.", colour="green")
        return False, f"/jobs/{jobs[0].id}"


def read_settings(text: str) -> dict[str, str | bool | int | float]:
    """ "epsilon=0.1 sigma=3.4" → {"epsilon": 0.1, "sigma": 3.4}. Raises InvalidInput."""
    settings = {}
    for part in text.replace(",", " ").split():
        key, separator, value = part.partition("=")
        if not (key and separator and value):
            raise InvalidInput(f"'{part}' is no setting", hint="Write name=value, with spaces between settings.")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        settings[key] = read if isinstance(read, (str, bool, int, float)) else value
    return settings


def _choice(card: guests.GuestCard) -> dmc.Radio:
    knows = "all elements"
    if card.elements:
        few = len(card.elements) <= FEW
        knows = " ".join(words.symbols(card.elements)) if few else words.plural(len(card.elements), "element")
    parts = [knows, card.licence, *(["own interpreter"] if card.own else [])]
    said = html.Div([html.Div(card.what), html.Div(" · ".join(parts))])
    if not card.ready:
        said.children.append(html.Div(f"Not ready: {card.missing}"))
    return dmc.Radio(value=card.name, label=card.name, description=said, disabled=not card.ready)
