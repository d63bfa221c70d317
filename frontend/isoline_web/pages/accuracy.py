"""How far a model is from its references: parity, errors by group, spread; every mark opens its structure."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html

from isoline.services import accuracy, atlas, library, predictions, training

from .. import ids, words
from ..callbacks import Desk
from ..components.panel import act, panel, segments
from ..components.point_map import point_map
from ..components.scores import by_group, compared, score_words
from ..components.states import empty
from ..components.structure_view import structure_view
from ..figures.distribution import bins, distribution
from ..figures.frame import logarithmic, square
from ..shell import crumbs

QUANTITIES = (("energy", "Energy", "eV/atom"), ("forces", "Forces", "eV/Å"), ("stress", "Stress", "eV/Å³"))
GROUPINGS = (
    ("models", "Models"),
    ("role", "Role"),
    ("split", "Split"),
    ("element", "Element"),
    ("group", "Group"),
    ("tag", "Tag"),
)
SPREADS = (("scatter", "Error against spread"), ("forces", "Force spread"), ("energy", "Energy spread"))
FIGURE_CONFIG = {"displayModeBar": False, "responsive": True}


def register(desk: Desk) -> None:
    bench = desk.bench

    def newest(**query):
        found = accuracy.evaluations(bench)
        return layout(str(found[0].id), **query) if found else _nothing()

    def layout(evaluation: str, **query):
        found = predictions.evaluation(bench, int(evaluation) if evaluation.isdigit() else 0)
        version = library.version(bench, found.version)
        model = training.model(bench, found.parent)
        same = accuracy.evaluations(bench, version_id=found.version)
        overall = accuracy.metrics(bench, found.id)[0]
        opened = query.get("id", "")
        settings = {
            "evaluation": found.id,
            "version": found.version,
            "n": version.n_structures,
            "position": int(opened) if opened.isdigit() and int(opened) < version.n_structures else None,
        }
        by = query.get("by") or ("models" if len(same) > 1 else "role")
        return html.Div(
            [
                crumbs(("Models", "/models"), (model.name, f"/models/{model.id}"), f"on {version.title}"),
                html.H1(f"Accuracy of {model.name} on {version.title}", className="sr"),
                dcc.Store(id="accuracy", data=settings),
                dcc.Store(id="grouping", data=by),
                dcc.Store(id="parity-selection"),
                dcc.Store(id="spread-shown", data="scatter"),
                html.Div(
                    [
                        *(_parity_panel(name, title, unit, overall) for name, title, unit in QUANTITIES),
                        _errors_panel(by, found, same),
                        _spread_panel(),
                        structure_view(hint="Click a mark in any plot."),
                    ],
                    className="accuracy",
                ),
            ],
            style={"height": "100%"},
        )

    desk.router.add("/accuracy/<evaluation>", "Accuracy", layout)
    desk.router.add("/accuracy", "Accuracy", newest)

    desk.runs("accuracy", "start", Input("accuracy", "data"))
    desk.runs("accuracy", "choose", Input("evaluation-chosen", "value"), State("accuracy", "data"))

    @desk.answers(
        Output("errors", "children"),
        Input("grouping", "data"),
        Input("parity-selection", "data"),
        State("accuracy", "data"),
    )
    def show_errors(by, selection, settings):
        if by == "models":
            same = accuracy.evaluations(bench, version_id=settings["version"])
            return compared(accuracy.compare(bench, [one.id for one in same]), settings["evaluation"])
        return by_group(accuracy.metrics(bench, settings["evaluation"], by, selection), by)

    @desk.answers(
        Output("spread-histogram", "figure"),
        Input("spread-shown", "data"),
        Input(ids.THEME, "data"),
        State("accuracy", "data"),
    )
    def show_spread(shown, theme, settings):
        name = "energy_spread" if shown == "energy" else "force_spread"
        found = atlas.histogram(
            bench, settings["version"], name, evaluation=settings["evaluation"], bins=bins(settings["n"])
        )
        figure = distribution(found, theme, False)
        figure.update_layout(
            xaxis={"title": {"text": f"{found.title}, {found.unit}"}},
            yaxis={"title": {"text": "structures"}},
            margin={"l": 8, "r": 12, "t": 10, "b": 8},
        )
        return figure


def _parity_panel(name: str, title: str, unit: str, overall) -> html.Section:
    figure = square(f"reference, {unit}", f"predicted, {unit}")
    n = {"energy": overall.energy_n, "forces": overall.force_n, "stress": overall.stress_n}[name]
    stage = point_map(
        f"parity-{name}",
        f"{title}: predicted against reference; {score_words(overall, name, plain=True)}",
        figure=figure,
        children=(
            html.Div(f"N = {words.count(n)}" if n else "", className="count"),
            html.Div(
                empty(
                    "accuracy", f"No reference {title.lower()}", "Missing labels are left out, never counted as zero."
                ),
                className="no-points hidden",
            ),
        ),
    )
    return panel(
        title, stage, controls=(html.Span(score_words(overall, name), className="scores"),), className=f"parity {name}"
    )


def _errors_panel(by: str, found, same) -> html.Section:
    choose = dmc.Select(
        id="evaluation-chosen",
        data=[{"value": str(one.id), "label": one.name} for one in same],
        value=str(found.id),
        allowDeselect=False,
        w=190,
        **{"aria-label": "Evaluation"},
    )
    selection = html.Div(
        [
            html.Span([html.B("", **{"data-part": "n"}), " structures selected; the errors below are theirs"]),
            html.A("Show on map", href=f"/map/{found.version}", className="button small", **{"data-part": "to-map"}),
            act([], "clear", key="Esc", className="button quiet small", label="Clear the selection"),
        ],
        id="selection-chip",
        className="row chosen hidden",
    )
    return panel(
        "Errors",
        selection,
        html.Div(id="errors", className="scroll", style={"flex": "1"}),
        controls=(choose, segments("grouping", GROUPINGS, by, "Errors by")),
        className="errors",
    )


def _spread_panel() -> html.Section:
    scatter = point_map(
        "spread-scatter",
        "Force error against predicted force spread of every atom",
        figure=logarithmic("predicted spread of the force, eV/Å", "error |ΔF|, eV/Å"),
        children=(
            html.Div(
                empty("accuracy", "No spread to compare", "One potential alone has no spread: train two or more."),
                className="no-points hidden",
            ),
        ),
    )
    histogram = dcc.Graph(id="spread-histogram", config=FIGURE_CONFIG, responsive=True, className="hidden fill")
    return panel(
        "Spread",
        scatter,
        histogram,
        context=html.Span("", **{"data-part": "correlation"}),
        controls=(
            segments(
                "spread", (("scatter", "Error"), ("forces", "Forces"), ("energy", "Energy")), "scatter", "Spread of"
            ),
        ),
        className="spread",
    )


def _nothing() -> html.Div:
    return html.Div(
        [
            crumbs("Accuracy"),
            html.Section(
                empty(
                    "accuracy",
                    "No model has been evaluated yet",
                    "Train a model on a dataset; it is evaluated as soon as it is ready.",
                    dcc.Link("Go to the library", href="/", className="button primary"),
                ),
                className="panel",
            ),
        ],
        className="list-page",
    )
