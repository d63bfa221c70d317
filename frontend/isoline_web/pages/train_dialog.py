"""The dialog that asks what to train, drawn from the training recipe itself."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, ctx, dcc, html, no_update

from isoline.domain.recipe import PRESETS, Train
from isoline.domain.written import choices, used, write
from isoline.services import library, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..components.families import FAMILIES, NO_NET_FORCE, reach_words
from ..components.recipe_form import by_hand, form_of, form_values, read_form, recipe_form, refilled
from ..components.recipe_form import words as field_words
from ..icons import icon

FIRST = ("name", "cutoff", "members")
CHOSEN = ("family", "accuracy")
LEFT_OUT = ("version", "start", *CHOSEN)
FILLED = tuple(name for name in Train.model_fields if name not in ("kind", *LEFT_OUT))
DEFAULT = {name: Train.model_fields[name].default for name in CHOSEN}

VALUES = (
    State({"form": "train", "field": ALL}, "id"),
    State({"form": "train", "field": ALL}, "value"),
    State({"form": "train", "switch": ALL}, "id"),
    State({"form": "train", "switch": ALL}, "checked"),
)


def train_dialog() -> object:
    values = preset(**DEFAULT)
    first, advanced = recipe_form(Train, "train", FIRST, LEFT_OUT, values, visible(DEFAULT["family"], values))
    return dialog(
        "train-dialog",
        "Train a committee",
        html.Div(
            [
                html.P(id="train-what", className="muted"),
                _families(),
                _accuracies(),
                first,
                html.P(id="train-reach", className="muted", role="status"),
                dmc.Select(
                    id="train-test",
                    label="Also evaluate on",
                    description="A dataset kept apart for testing",
                    data=[],
                    clearable=True,
                    searchable=True,
                ),
                advanced,
                html.P(NO_NET_FORCE, id="train-conservative", className="muted", hidden=True),
                html.Div(
                    [
                        html.Span(id="train-by-hand", className="muted", role="status"),
                        html.Button("Back to the preset", id="train-preset", type="button", className="button quiet"),
                        html.Button(
                            [icon("train", small=True), "Train"],
                            id="train-start",
                            type="button",
                            className="button primary push",
                        ),
                    ],
                    className="row train-foot",
                ),
                dcc.Store(id="train-filled", data=values),
            ],
            className="stack train",
        ),
        size="xl",
    )


def preset(family: str, accuracy: str) -> dict[str, Any]:
    """What stands in the form when nothing is changed by hand: what the recipe itself would take."""
    return form_of(Train(version=0, family=family, accuracy=accuracy), FILLED)


def visible(family: str, values: dict[str, Any]) -> list[str]:
    """Fields that a family looks at; the net-force penalty only where net forces can be other than zero."""
    shown = [name for name in FILLED if used(Train, name, family, values.get("head", ""))]
    return [name for name in shown if name != "net_force_penalty" or values.get("direct_forces")]


def preset_words(family: str, accuracy: str, head: str = "") -> str:
    """What a level of accuracy decides."""
    decided = PRESETS.get(family, {}).get(accuracy, {})
    looked_at = {name: value for name, value in decided.items() if used(Train, name, family, head)}
    told = " · ".join(f"{field_words(name)} {write(value)}" for name, value in looked_at.items())
    return told or "Nothing here depends on it."


def _families() -> dmc.RadioGroup:
    cards = [
        dmc.RadioCard(
            html.Div(
                [
                    html.Div([dmc.RadioIndicator(size="xs"), html.Span(title, className="strong")], className="row"),
                    html.Div(sentence, className="caption"),
                ]
            ),
            value=name,
            withBorder=True,
            className="family",
        )
        for name, (title, sentence) in FAMILIES.items()
        if name in choices(Train.model_fields["family"])
    ]
    return dmc.RadioGroup(
        html.Div(cards, className="families"),
        id={"form": "train", "choice": "family"},
        label="Family",
        value=DEFAULT["family"],
    )


def _accuracies() -> html.Div:
    levels = choices(Train.model_fields["accuracy"])
    return html.Div(
        [
            html.Div("Accuracy", className="mantine-InputWrapper-label"),
            dmc.SegmentedControl(
                id={"form": "train", "choice": "accuracy"},
                data=[{"value": level, "label": level.capitalize()} for level in levels],
                value=DEFAULT["accuracy"],
                fullWidth=True,
                size="xs",
                **{"aria-label": "Accuracy"},
            ),
            html.Div(preset_words(**DEFAULT), id="train-accuracy", className="caption", role="status"),
        ],
        className="accuracies",
    )


def register(desk: Desk) -> None:
    bench = desk.bench
    family = Input({"form": "train", "choice": "family"}, "value")
    accuracy = Input({"form": "train", "choice": "accuracy"}, "value")

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
        Output({"form": "train", "field": ALL}, "value"),
        Output({"form": "train", "switch": ALL}, "checked"),
        Output("train-filled", "data"),
        family,
        accuracy,
        Input("train-preset", "n_clicks"),
        *VALUES,
        State("train-filled", "data"),
        prevent_initial_call=True,
    )
    def fill(family, accuracy, _, fields, values, switches, switched, before):
        after = preset(family, accuracy)
        now = form_values(fields, values, switches, switched)
        given_up = ctx.triggered_id == "train-preset"
        filled = after if given_up else refilled(now, before, after)
        return [filled[id["field"]] for id in fields], [filled[id["switch"]] for id in switches], after

    @desk.answers(
        Output({"form": "train", "cell": ALL}, "hidden"),
        Output("train-reach", "children"),
        Output("train-conservative", "hidden"),
        Output("train-by-hand", "children"),
        Output("train-preset", "hidden"),
        Output("train-accuracy", "children"),
        family,
        accuracy,
        Input({"form": "train", "field": ALL}, "value"),
        Input({"form": "train", "switch": ALL}, "checked"),
        State({"form": "train", "field": ALL}, "id"),
        State({"form": "train", "switch": ALL}, "id"),
        State({"form": "train", "cell": ALL}, "id"),
        prevent_initial_call=True,
    )
    def follow(family, accuracy, values, switched, fields, switches, cells):
        now = form_values(fields, values, switches, switched)
        shown = visible(family, now)
        changed = [name for name in by_hand(now, preset(family, accuracy)) if name in shown and name != "name"]
        said = f"Changed by hand: {', '.join(field_words(name).lower() for name in changed)}" if changed else ""
        conservative = family == "message-passing" and not now.get("direct_forces")
        return (
            [id["cell"] not in shown for id in cells],
            reach_words(now | {"family": family}),
            not conservative,
            said,
            not changed,
            preset_words(family, accuracy, now.get("head", "")),
        )

    @desk.answers(
        Output("train-dialog", "opened", allow_duplicate=True),
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("train-start", "n_clicks"),
        State({"form": "train", "choice": "family"}, "value"),
        State({"form": "train", "choice": "accuracy"}, "value"),
        *VALUES,
        State("train-test", "value"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def start(clicked, family, accuracy, fields, values, switches, switched, test, version):
        if not clicked:
            return no_update, no_update
        now = form_values(fields, values, switches, switched)
        asked = {name: now[name] for name in visible(family, now)}
        recipe = read_form(Train, asked, version=version, family=family, accuracy=accuracy)
        jobs = training.train(bench, desk.actor, recipe, test=int(test) if test else None)
        notify(jobs[0].title, "Loss curves are drawn while it trains.", colour="green")
        return False, f"/jobs/{jobs[0].id}"
