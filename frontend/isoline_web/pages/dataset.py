"""One dataset: its versions, what is in the newest, what can be done with it."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update

from isoline.domain.recipe import AcsfDescriptor, Describe, SoapDescriptor
from isoline.services import atlas, library, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..components.labels import counts_table, label_pills
from ..components.panel import facts, panel
from ..icons import icon
from ..router import dataset_link
from ..shell import crumbs
from . import train_dialog

FORMATS = (
    ("extxyz", "Extended XYZ"),
    ("extxyz.gz", "Extended XYZ, gzip"),
    ("extxyz.xz", "Extended XYZ, xz"),
    ("db", "ASE database"),
    ("traj", "ASE trajectory"),
)


def register(desk: Desk) -> None:
    bench = desk.bench

    def layout(name: str, version: str = "", **_: str):
        cards = library.versions(bench, name)
        shown = next((card for card in cards if str(card.version) == version), cards[0])
        return html.Div(
            [
                crumbs(("Library", "/"), shown.dataset),
                dcc.Store(id="dataset-version", data=shown.id),
                html.Header(
                    [
                        html.H1(shown.dataset),
                        html.Span(f"v{shown.version}", className="muted"),
                        html.Div(_actions(bench, shown), className="row push"),
                    ]
                ),
                _contents(shown),
                html.Div([_groups(shown), _splits(shown), _origins(bench, shown)], className="columns"),
                _versions(cards, shown),
                train_dialog.train_dialog(),
                _describe_dialog(),
                _export_dialog(shown),
            ],
            className="list-page",
        )

    desk.router.add("/datasets/<name>", "Dataset", layout)
    train_dialog.register(desk)

    @desk.answers(
        Output(ids.PLACE, "href", allow_duplicate=True),
        Input("dataset-retrain", "n_clicks"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def retrain(_, version):
        jobs = training.retrain(bench, desk.actor, version)
        notify("Retraining", f"{words.plural(len(jobs), 'job')} queued: {jobs[0].title}", colour="green")
        return "/jobs"

    desk.app.clientside_callback(
        ClientsideFunction("shell", "open"),
        Output("describe-dialog", "opened"),
        Input("dataset-describe", "n_clicks"),
        prevent_initial_call=True,
    )
    desk.app.clientside_callback(
        ClientsideFunction("shell", "open"),
        Output("export-dialog", "opened"),
        Input("dataset-export", "n_clicks"),
        prevent_initial_call=True,
    )

    @desk.answers(
        Output("describe-dialog", "opened", allow_duplicate=True),
        Input("describe-start", "n_clicks"),
        State("describe-descriptor", "value"),
        State("describe-cutoff", "value"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def describe(_, kind, cutoff, version):
        descriptor = (AcsfDescriptor if kind == "acsf" else SoapDescriptor)(cutoff=cutoff)
        job = training.describe(bench, desk.actor, Describe(version=version, descriptor=descriptor))
        notify(job.title, "The map is open to look at as soon as PCA is ready.")
        return False

    @desk.answers(
        Output("dataset-map", "children"),
        Input(ids.JOB_CHANGES, "data"),
        State("dataset-version", "data"),
        prevent_initial_call=True,
    )
    def offer_map(_, version):
        return _map_words(bench, version) if version else no_update


def _map_words(bench, version: int) -> list:
    ready = bool(atlas.maps(bench, version))
    return [icon("map", small=True), "Open map" if ready else "Make map"]


def _actions(bench, card) -> list:
    def button(id: str, name: str, word: str, look: str = "") -> html.Button:
        return html.Button([icon(name, small=True), word], id=id, type="button", className=f"button {look}")

    has_model = training.last_model(bench, card.dataset) is not None
    return [
        dcc.Link(_map_words(bench, card.id), id="dataset-map", href=f"/map/{card.id}", className="button"),
        button("dataset-describe", "molecule", "Describe…"),
        button("dataset-export", "export", "Export…"),
        html.Span(
            button("dataset-retrain", "retrain", "Retrain"),
            className="" if has_model else "hidden",
            title="Train with the last recipe, from the last model, and compare both",
        ),
        button("train-open", "train", "Train…", "primary"),
    ]


def _contents(card) -> html.Section:
    return panel(
        "Contents",
        facts(
            ("Structures", words.count(card.n_structures)),
            ("Atoms", words.count(card.n_atoms)),
            ("Elements", " ".join(words.symbols(card.elements))),
            ("Labels", label_pills(card)),
            className="flat four",
        ),
        context=card.note,
    )


def _groups(card) -> html.Section:
    return panel(
        "Groups",
        html.Div(counts_table("Group", card.groups, "no group"), className="scroll", style={"maxHeight": "300px"}),
        context=words.count(len(card.groups)),
    )


def _splits(card) -> html.Section:
    return panel("Splits", counts_table("Split", card.splits, "not assigned"))


def _origins(bench, card) -> html.Section:
    found = library.provenance(bench, card.id, 0)
    rows = [
        html.Tr(
            [
                html.Td(origin.source, className="name"),
                html.Td(origin.sha256[:12], className="mono", title=origin.sha256),
                html.Td([words.ago(origin.added), html.Span(f" · {origin.added_by}", className="muted")]),
            ]
        )
        for origin in found
    ]
    levels = html.Div(
        ["Level of theory: ", html.B(", ".join(card.levels_of_theory) or "unspecified")], className="body"
    )
    head = html.Thead(html.Tr([html.Th("Source of the first structure"), html.Th("SHA-256"), html.Th("Added")]))
    return panel("Provenance", levels, html.Table([head, html.Tbody(rows)], className="table rows"))


def _versions(cards, shown) -> html.Section:
    rows = [
        html.Tr(
            [
                html.Td(
                    dcc.Link(f"v{card.version}", href=dataset_link(card.dataset, card.version)),
                    className="name",
                ),
                html.Td(words.count(card.n_structures), className="n"),
                html.Td(label_pills(card)),
                html.Td(card.note or "–", className="muted"),
                html.Td(card.key[:12], className="mono"),
                html.Td([words.ago(card.created), html.Span(f" · {card.created_by}", className="muted")]),
                html.Td(
                    dcc.Link([icon("map", small=True), "Map"], href=f"/map/{card.id}", className="button small"),
                    className="n",
                ),
            ],
            className="current" if card.id == shown.id and len(cards) > 1 else "",
        )
        for card in cards
    ]
    head = html.Thead(
        html.Tr(
            [
                html.Th(t, className=c)
                for t, c in (
                    ("Version", ""),
                    ("Structures", "n"),
                    ("Labels", ""),
                    ("Note", ""),
                    ("Content", ""),
                    ("Made", ""),
                    ("", ""),
                )
            ]
        )
    )
    return panel(
        "Versions",
        html.Div(html.Table([head, html.Tbody(rows)], className="table"), className="scroll"),
        context=words.count(len(cards)),
    )


def _describe_dialog() -> object:
    return dialog(
        "describe-dialog",
        "Descriptors and maps",
        html.Div(
            [
                dmc.Select(
                    id="describe-descriptor",
                    label="Descriptor",
                    data=[
                        {"value": "soap", "label": "SOAP: smooth overlap of atomic positions"},
                        {"value": "acsf", "label": "ACSF: atom-centred symmetry functions"},
                    ],
                    value="soap",
                    allowDeselect=False,
                ),
                dmc.NumberInput(
                    id="describe-cutoff",
                    label="Cutoff",
                    description="Radius of an environment, Å",
                    value=5.0,
                    min=1.5,
                    max=12,
                    step=0.5,
                ),
                html.Div(
                    html.Button("Describe", id="describe-start", type="button", className="button primary push"),
                    className="row",
                ),
            ],
            className="stack",
        ),
    )


def _export_dialog(card) -> object:
    links = [
        html.A(
            [icon("export", small=True), word],
            href=f"/api/versions/{card.id}/export?suffix={suffix}",
            download=True,
            className="button",
        )
        for suffix, word in FORMATS
    ]
    said = html.P("Energies, forces and stresses come back bit for bit from extended XYZ.", className="muted")
    return dialog("export-dialog", f"Export {card.title}", html.Div([said, *links], className="stack"))
