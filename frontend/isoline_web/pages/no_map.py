"""What the map page shows while there is no map: how to make one."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html, no_update

from isoline.domain.recipe import AcsfDescriptor, Describe, SoapDescriptor
from isoline.services import atlas, training

from .. import ids
from ..callbacks import Desk, notify
from ..components.states import empty
from ..icons import icon
from ..shell import crumbs


def no_map_anywhere() -> html.Div:
    return html.Div(
        [
            crumbs("Map"),
            html.Div(
                html.Section(
                    empty(
                        "map",
                        "No dataset has a map yet",
                        "Import a dataset; its map is made at once.",
                        dcc.Link("Go to the library", href="/", className="button primary"),
                    ),
                    className="panel",
                ),
                className="list-page",
            ),
        ]
    )


def not_described(version: int) -> html.Div:
    return html.Div(
        [
            dcc.Location(id="described-place", refresh="callback-nav"),
            html.Section(
                empty(
                    "map",
                    "This version has no map yet",
                    "A worker computes descriptors, then PCA at once and UMAP a little later. The map opens by itself.",
                    dmc.SegmentedControl(
                        id="describe-kind",
                        data=[{"value": "soap", "label": "SOAP"}, {"value": "acsf", "label": "ACSF"}],
                        value="soap",
                        size="xs",
                    ),
                    html.Button(
                        [icon("map", small=True), "Make the map"],
                        id="describe-now",
                        className="button primary",
                        type="button",
                        **{"data-version": str(version)},
                    ),
                ),
                className="panel",
            ),
        ],
        className="list-page",
    )


def register(desk: Desk) -> None:
    bench = desk.bench

    @desk.answers(
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("describe-now", "n_clicks"),
        State("describe-now", "data-version"),
        State("describe-kind", "value"),
        prevent_initial_call=True,
    )
    def describe(_, version, kind):
        descriptor = AcsfDescriptor() if kind == "acsf" else SoapDescriptor()
        training.describe(bench, desk.actor, Describe(version=int(version), descriptor=descriptor))
        notify("Describing", "The map opens here when PCA is ready.")
        return no_update

    @desk.answers(
        Output("described-place", "href"),
        Input(ids.JOB_CHANGES, "data"),
        State("describe-now", "data-version"),
        prevent_initial_call=True,
    )
    def open_when_described(_, version):
        return f"/map/{version}?opened=1" if version and atlas.maps(bench, int(version)) else no_update
