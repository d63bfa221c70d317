"""The map of a dataset version: select, look, decide, freeze."""

from __future__ import annotations

from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update

from isoline.services import accuracy, atlas, library, review, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.atlas_panels import (
    FIRST_CHOICE,
    FIRST_CHOICE_EVALUATED,
    channel_titles,
    histogram_figure,
    map_context,
    map_panel,
    methods,
    review_bar,
    table_panel,
)
from ..components.structure_view import structure_view
from ..figures.distribution import bins
from ..router import dataset_link
from ..shell import crumbs
from . import freeze_dialog, no_map


def register(desk: Desk) -> None:
    bench = desk.bench

    def newest(**query: str):
        found = next((card for card in library.datasets(bench) if atlas.maps(bench, card.id)), None)
        if found is None:
            return no_map.no_map_anywhere()
        return layout(str(found.id), **query)

    def layout(version: str, **query: str):
        card = library.version(bench, _whole(version))
        maps = atlas.maps(bench, card.id)
        trail = crumbs(("Library", "/"), (card.dataset, dataset_link(card.dataset)), f"Map of v{card.version}")
        if not maps:
            return html.Div([trail, no_map.not_described(card.id)], style={"height": "100%"})
        evaluations = accuracy.evaluations(bench, version_id=card.id)
        evaluation = _one_of(query.get("evaluation"), [one.id for one in evaluations])
        shown = _one_of(query.get("map"), [one.id for one in maps])
        tags = sorted(review.marks(bench, card.id).tags)
        first = FIRST_CHOICE_EVALUATED if evaluation else FIRST_CHOICE
        colour = query.get("colour") if query.get("colour") in channel_titles(bool(evaluation), tags) else first[0]
        chosen = _selection(desk, query.get("sel"), card.id)
        opened = query.get("id", "")
        settings = {
            "version": card.id,
            "n": card.n_structures,
            "map": shown,
            "evaluation": evaluation,
            "channel": colour,
            "selection": chosen,
            "position": int(opened) if opened.isdigit() and int(opened) < card.n_structures else None,
            "tags": tags,
        }
        return html.Div(
            [
                trail,
                html.H1(f"Map of {card.title}", className="sr"),
                dcc.Store(id=ids.ATLAS, data=settings),
                dcc.Store(id=ids.SELECTION, data=chosen),
                dcc.Store(id=ids.MARKS),
                dcc.Store(id="map-now", data=shown),
                html.Div(
                    [
                        map_panel(card, maps, shown, first, colour, bool(evaluation), tags),
                        table_panel(card, evaluations, evaluation),
                        structure_view(review_bar(), hint=_how_to_open()),
                    ],
                    className="atlas",
                ),
                freeze_dialog.freeze_dialog(),
            ],
            style={"height": "100%"},
        )

    desk.router.add("/map/<version>", "Map", layout)
    desk.router.add("/map", "Map", newest)

    freeze_dialog.register(desk)
    no_map.register(desk)

    desk.runs("atlas", "start", Input(ids.ATLAS, "data"))
    desk.runs("atlas", "colour", Input("channel-select", "value"))
    desk.runs("atlas", "search", Input("table-search", "value"))
    desk.runs("atlas", "evaluate", Input("evaluation-select", "value"), State(ids.ATLAS, "data"))
    desk.runs("atlas", "lower", Input("lower-shown", "data"))
    desk.app.clientside_callback(
        ClientsideFunction("table", "rows"), Output(ids.TABLE, "getRowsResponse"), Input(ids.TABLE, "getRowsRequest")
    )

    @desk.answers(
        Output("histograms", "children"),
        Input("lower-shown", "data"),
        Input(ids.SELECTION, "data"),
        Input(ids.THEME, "data"),
        State(ids.ATLAS, "data"),
    )
    def draw_histograms(shown, chosen, theme, settings):
        if shown != "histograms":
            return no_update
        findings = ("force_spread", "force_error") if settings["evaluation"] else ("n_atoms", "volume_per_atom")
        names = ("energy_per_atom", "max_force", *findings, "group")
        selection = chosen and chosen["id"]
        bars = [
            atlas.histogram(
                bench,
                settings["version"],
                name,
                selection=selection,
                evaluation=settings["evaluation"],
                bins=bins(settings["n"]),
            )
            for name in names
        ]
        return [histogram_figure(found, theme, selection is not None) for found in bars if found.counts.sum()]

    @desk.answers(
        Output("map-methods", "children"),
        Output("map-context", "children"),
        Input(ids.JOB_CHANGES, "data"),
        Input("map-now", "data"),
        State(ids.ATLAS, "data"),
    )
    def offer_maps(_, shown, settings):
        maps = atlas.maps(bench, settings["version"])
        return methods(maps, shown), map_context(maps, shown)

    @desk.answers(
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("retrain-selection", "n_clicks"),
        State(ids.SELECTION, "data"),
        State(ids.ATLAS, "data"),
        prevent_initial_call=True,
    )
    def retrain(_, chosen, settings):
        jobs = training.retrain(bench, desk.actor, settings["version"], chosen and chosen["id"])
        notify("Retraining", f"{words.plural(len(jobs), 'job')} queued: {jobs[0].title}", colour="green")
        return "/jobs"


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _one_of(text: str | None, known: list[int]) -> int | None:
    """The id asked for if it is known, else the first."""
    return int(text) if text and text.isdigit() and int(text) in known else (known[0] if known else None)


def _selection(desk: Desk, id: str | None, version: int) -> dict | None:
    if not id:
        return None
    found = atlas.selection(desk.bench, id)
    return {"id": found.id, "n": found.n} if found.version == version else None


def _how_to_open() -> html.Span:
    return html.Span(
        ["Click a point on the map or a row in the table, or press ", html.Kbd("J"), " to open the first row."]
    )
