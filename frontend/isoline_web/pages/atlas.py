"""The map of a dataset version: select, look, decide, freeze."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html, no_update
from isoline.domain.recipe import AcsfDescriptor, Describe, SoapDescriptor
from isoline.services import accuracy, atlas, library, review, training

from .. import ids, words
from ..callbacks import Desk, notify
from ..components.dialog import dialog
from ..components.panel import act, panel, segments
from ..components.point_map import point_map
from ..components.states import empty
from ..components.structure_view import structure_view
from ..components.table import table
from ..figures.distribution import distribution
from ..icons import icon
from ..shell import crumbs

SHORT = {
    "energy_per_atom": "Energy",
    "composition": "Composition",
    "max_force": "max |F|",
    "force_error": "Error",
    "force_spread": "Spread",
    "group": "Group",
    "split": "Split",
    "decision": "Review",
}
FIRST_CHOICE = ("energy_per_atom", "max_force", "group", "decision")
FIRST_CHOICE_EVALUATED = ("force_spread", "force_error", "energy_per_atom", "max_force", "decision")
FIGURE_CONFIG = {"displayModeBar": False, "responsive": True, "staticPlot": False}


def register(desk: Desk) -> None:
    bench = desk.bench

    def newest(**query: str):
        found = next((card for card in library.datasets(bench) if atlas.maps(bench, card.id)), None)
        if found is None:
            return _no_map_anywhere()
        return layout(str(found.id), **query)

    def layout(version: str, **query: str):
        card = library.version(bench, _whole(version))
        maps = atlas.maps(bench, card.id)
        trail = crumbs(("Library", "/"), (card.dataset, f"/datasets/{card.dataset}"), f"Map of v{card.version}")
        if not maps:
            return html.Div([trail, _not_described(card.id)], style={"height": "100%"})
        evaluations = accuracy.evaluations(bench, version_id=card.id)
        evaluation = _one_of(query.get("evaluation"), [one.id for one in evaluations])
        shown = _one_of(query.get("map"), [one.id for one in maps])
        tags = sorted(review.marks(bench, card.id).tags)
        first = FIRST_CHOICE_EVALUATED if evaluation else FIRST_CHOICE
        colour = query.get("colour") if query.get("colour") in _channels(bool(evaluation), tags) else first[0]
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
                        _map_panel(card, maps, shown, first, colour, bool(evaluation), tags),
                        _lower_panel(card, evaluations, evaluation),
                        structure_view(_review_bar(), hint=_how_to_open()),
                    ],
                    className="atlas",
                ),
                _freeze_dialog(),
            ],
            style={"height": "100%"},
        )

    desk.router.add("/map/<version>", "Map", layout)
    desk.router.add("/map", "Map", newest)

    clientside = desk.app.clientside_callback
    clientside(ClientsideFunction("atlas", "start"), Output(ids.SINK, "data", allow_duplicate=True), Input(ids.ATLAS, "data"), prevent_initial_call="initial_duplicate")
    clientside(ClientsideFunction("atlas", "colour"), Output(ids.SINK, "data", allow_duplicate=True), Input("channel-select", "value"), prevent_initial_call=True)
    clientside(ClientsideFunction("atlas", "search"), Output(ids.SINK, "data", allow_duplicate=True), Input("table-search", "value"), prevent_initial_call=True)
    clientside(ClientsideFunction("atlas", "evaluate"), Output(ids.SINK, "data", allow_duplicate=True), Input("evaluation-select", "value"), State(ids.ATLAS, "data"), prevent_initial_call=True)
    clientside(ClientsideFunction("table", "rows"), Output(ids.TABLE, "getRowsResponse"), Input(ids.TABLE, "getRowsRequest"))
    clientside(ClientsideFunction("atlas", "lower"), Output(ids.SINK, "data", allow_duplicate=True), Input("lower-shown", "data"), prevent_initial_call=True)

    @desk.answers(Output("histograms", "children"), Input("lower-shown", "data"), Input(ids.SELECTION, "data"), Input(ids.THEME, "data"), State(ids.ATLAS, "data"))
    def draw_histograms(shown, chosen, theme, settings):
        if shown != "histograms":
            return no_update
        findings = ("force_spread", "force_error") if settings["evaluation"] else ("n_atoms", "volume_per_atom")
        names = ("energy_per_atom", "max_force", *findings, "group")
        selection = chosen and chosen["id"]
        bars = [
            atlas.histogram(bench, settings["version"], name, selection=selection, evaluation=settings["evaluation"], bins=40) for name in names
        ]
        return [_figure(found, theme, selection is not None) for found in bars if found.counts.sum()]

    @desk.answers(Output("map-methods", "children"), Output("map-context", "children"), Input(ids.JOB_CHANGES, "data"), Input("map-now", "data"), State(ids.ATLAS, "data"))
    def offer_maps(_, shown, settings):
        maps = atlas.maps(bench, settings["version"])
        return _methods(maps, shown), _map_context(maps, shown)

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
        from dash import ctx

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
        fractions = {"train": 0.8, "validation": 0.1, "test": 0.1} if split else None
        rows = atlas.positions(bench, selection)
        card = library.freeze(
            bench, desk.actor, settings["version"], rows, dataset=(dataset or "").strip() or None, note=note or "", split_fractions=fractions
        )
        notify(f"Froze {card.title}", words.plural(card.n_structures, "structure"), colour="green")
        return False, f"/datasets/{card.dataset}"

    @desk.answers(
        Output(ids.PLACE, "href", allow_duplicate=True), Input("retrain-selection", "n_clicks"), State(ids.SELECTION, "data"), State(ids.ATLAS, "data"), prevent_initial_call=True
    )
    def retrain(_, chosen, settings):
        jobs = training.retrain(bench, desk.actor, settings["version"], chosen and chosen["id"])
        notify("Retraining", f"{words.plural(len(jobs), 'job')} queued: {jobs[0].title}", colour="green")
        return "/jobs"

    @desk.answers(Output(ids.PLACE, "href", allow_duplicate=True), Input("describe-now", "n_clicks"), State("describe-now", "data-version"), State("describe-kind", "value"), prevent_initial_call=True)
    def describe(_, version, kind):
        descriptor = AcsfDescriptor() if kind == "acsf" else SoapDescriptor()
        training.describe(bench, desk.actor, Describe(version=int(version), descriptor=descriptor))
        notify("Describing", "The map opens here when PCA is ready.")
        return no_update

    @desk.answers(Output("described-place", "href"), Input(ids.JOB_CHANGES, "data"), State("describe-now", "data-version"), prevent_initial_call=True)
    def open_when_described(_, version):
        return f"/map/{version}?opened=1" if version and atlas.maps(bench, int(version)) else no_update


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


def _channels(evaluated: bool, tags: list[str]) -> dict[str, str]:
    """Every channel that can be shown, with its title."""
    from isoline.services import channels

    needs = channels.FINDINGS
    shown = {name: channels.describe(name)[0] for name in atlas.CHANNELS if evaluated or name not in needs}
    return shown | {f"tag:{tag}": f"Tag: {tag}" for tag in tags}


def _map_panel(card, maps, shown, first, colour, evaluated: bool, tags: list[str]) -> html.Section:
    select = dmc.Select(
        id="channel-select",
        data=[{"value": name, "label": title} for name, title in _channels(evaluated, tags).items()],
        value=colour,
        allowDeselect=False,
        w=140,
        comboboxProps={"withinPortal": True},
        **{"aria-label": "Colour by"},
    )
    quick = segments("colour", [(name, SHORT[name]) for name in first], colour, "Colour by")
    for key, button in enumerate(quick.children[:4], start=1):
        setattr(button, "data-key", str(key))
        button.title = f"Colour by {SHORT[first[key - 1]].lower()} ({key})"
    stage = point_map(
        "map-stage",
        f"Map of {card.n_structures} structures; the table below lists them all",
        children=(
            html.Div(
                [
                    html.Span([html.B("", **{"data-part": "n"}), " selected"]),
                    act([], "clear", key="Esc", className="button quiet small", label="Clear the selection"),
                    html.Button([icon("freeze", small=True), "Freeze…"], id="freeze-selection", className="button small", type="button"),
                    html.Button([icon("retrain", small=True), "Retrain on it"], id="retrain-selection", className="button small", type="button"),
                ],
                id="selection-chip",
                className="selection-chip hidden",
            ),
            html.Div(id="map-legend", className="legend", role="group", **{"aria-label": "Legend"}),
            html.Div(id="selection-said", className="sr", role="status"),
        ),
    )
    return panel(
        "Map",
        stage,
        context=html.Span(_map_context(maps, shown), id="map-context"),
        controls=(
            html.Div(_methods(maps, shown), id="map-methods"),
            quick,
            select,
            segments("tool", (("lasso", "Lasso"), ("box", "Box"), ("pan", "Pan")), "lasso", "Pointer"),
            act("Reset", "reset", className="button small quiet"),
        ),
        className="map",
    )


def _methods(maps, shown) -> object:
    by_method = {}
    for one in maps:
        by_method.setdefault(one.method, one.id)
    if len(by_method) < 2:
        return []
    return segments("method", [(id, method.upper()) for method, id in by_method.items()], shown, "Projection")


def _map_context(maps, shown) -> str:
    one = next((one for one in maps if one.id == shown), maps[0])
    return f"{one.descriptor.upper()} {one.method.upper()} · {words.count(one.n)}"


def _lower_panel(card, evaluations, evaluation) -> html.Section:
    choose = []
    if evaluations:
        choose = [
            dmc.Select(
                id="evaluation-select",
                data=[{"value": str(one.id), "label": one.name} for one in evaluations],
                value=str(evaluation),
                allowDeselect=False,
                w=170,
                **{"aria-label": "Errors and spread of"},
            )
        ]
    search = dmc.TextInput(
        id="table-search",
        placeholder="Search",
        leftSection=icon("search", small=True),
        rightSection=html.Kbd("/"),
        debounce=300,
        w=150,
        **{"data-key": "/", "aria-label": "Search formula, group or tag"},
    )
    reviewed = html.Div(
        [
            html.Div(html.Span(style={"width": "0"}, **{"data-part": "reviewed-bar"}), className="progress done", style={"width": "90px"}),
            html.Span("0 reviewed", className="muted", **{"data-part": "reviewed"}),
        ],
        className="row",
    )
    return panel(
        "Structures",
        dcc.Store(id="lower-shown", data="table"),
        html.Div(table(evaluation is not None), id="lower-table", style={"flex": "1", "minHeight": "0"}),
        html.Div(id="histograms", className="histograms hidden"),
        context=html.Span(words.count(card.n_structures), **{"data-part": "table-context"}),
        controls=(
            reviewed,
            *choose,
            search,
            segments("lower", (("table", "Table"), ("histograms", "Histograms")), "table", "Show"),
            html.Button([icon("freeze", small=True), "Freeze accepted…"], id="freeze-accepted", className="button small", type="button"),
        ),
        className="lower",
    )


def _review_bar() -> html.Div:
    return html.Div(
        [
            act([icon("check", small=True), "Accept"], "accept", key="A", className="button accept", needs="structure"),
            act([icon("cross", small=True), "Reject"], "reject", key="R", className="button reject", needs="structure"),
            act([icon("tag", small=True)], "tag", key="T", className="button", label="Tag"),
            act([icon("undo", small=True)], "undo", key="Z", className="button", label="Undo"),
            html.Span(className="push"),
            act([icon("up", small=True)], "previous", key="K", className="button quiet", label="Previous structure"),
            act([icon("down", small=True)], "next", key="J", className="button quiet", label="Next structure"),
            html.Button(**{"data-act": "accept-all", "data-key": "Shift+A", "aria-label": "Accept all selected"}, className="offstage", tabIndex=-1),
            html.Button(**{"data-act": "reject-all", "data-key": "Shift+R", "aria-label": "Reject all selected"}, className="offstage", tabIndex=-1),
        ],
        className="review",
    )


def _how_to_open() -> html.Span:
    return html.Span(["Click a point on the map or a row in the table, or press ", html.Kbd("J"), " to open the first row."])


def _freeze_dialog() -> object:
    return dialog(
        "freeze-dialog",
        "Freeze into a new version",
        html.Div(
            [
                html.P(id="freeze-what", className="muted", **{"data-selection": ""}),
                dmc.TextInput(id="freeze-dataset", label="Dataset", description="Its next version; another name makes a new dataset"),
                dmc.Textarea(id="freeze-note", label="Note", description="Why these; kept with the version", autosize=True, minRows=2),
                dmc.Checkbox(id="freeze-split", label="Assign train, validation and test anew (80 : 10 : 10)", checked=False, size="sm"),
                html.Div(html.Button([icon("freeze", small=True), "Freeze"], id="freeze-confirm", className="button primary push", type="button"), className="row"),
            ],
            className="stack",
        ),
    )


def _figure(found, theme: str, selected: bool) -> html.Figure:
    unit = f", {found.unit}" if found.unit else ""
    return html.Figure(
        [html.Figcaption(f"{found.title}{unit}"), dcc.Graph(figure=distribution(found, theme, selected), config=FIGURE_CONFIG, responsive=True)]
    )


def _no_map_anywhere() -> html.Div:
    return html.Div([crumbs("Map"), html.Div(html.Section(empty("map", "No dataset has a map yet", "Import a dataset; its map is made at once.", dcc.Link("Go to the library", href="/", className="button primary")), className="panel"), className="list-page")])


def _not_described(version: int) -> html.Div:
    return html.Div(
        [dcc.Location(id="described-place", refresh="callback-nav"), html.Section(
            empty(
                "map",
                "This version has no map yet",
                "A worker computes descriptors, then PCA at once and UMAP a little later. The map opens here by itself.",
                dmc.SegmentedControl(id="describe-kind", data=[{"value": "soap", "label": "SOAP"}, {"value": "acsf", "label": "ACSF"}], value="soap", size="xs"),
                html.Button([icon("map", small=True), "Make the map"], id="describe-now", className="button primary", type="button", **{"data-version": str(version)}),
            ),
            className="panel",
        )],
        className="list-page",
    )
