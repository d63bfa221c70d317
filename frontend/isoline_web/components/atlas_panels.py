"""The panels of the map page: map, table and histograms, review bar."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import dcc, html

from isoline.services import atlas, channels

from .. import words
from ..figures.distribution import distribution
from ..icons import icon
from .panel import act, panel, segments
from .point_map import point_map
from .table import table

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
FIRST_CHOICE_EVALUATED = ("force_spread", "force_error", "energy_per_atom", "decision")
FIGURE_CONFIG = {"displayModeBar": False, "responsive": True}


def map_panel(card, maps, shown, first, colour, evaluated: bool, tags: list[str]) -> html.Section:
    select = dmc.Select(
        id="channel-select",
        data=[{"value": name, "label": title} for name, title in channel_titles(evaluated, tags).items()],
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
                    html.Button(
                        [icon("freeze", small=True), "Freeze…"],
                        id="freeze-selection",
                        className="button small",
                        type="button",
                    ),
                    html.Button(
                        [icon("retrain", small=True), "Retrain on it"],
                        id="retrain-selection",
                        className="button small",
                        type="button",
                    ),
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
        context=html.Span(map_context(maps, shown), id="map-context"),
        controls=(
            html.Div(methods(maps, shown), id="map-methods"),
            quick,
            select,
            segments("tool", (("lasso", "Lasso"), ("box", "Box"), ("pan", "Pan")), "lasso", "Pointer"),
            act("Reset", "reset", className="button small quiet"),
        ),
        className="map",
    )


def methods(maps, shown) -> object:
    by_method = {}
    for one in maps:
        by_method.setdefault(one.method, one.id)
    if len(by_method) < 2:
        return []
    return segments("method", [(id, method.upper()) for method, id in by_method.items()], shown, "Projection")


def map_context(maps, shown) -> str:
    one = next((one for one in maps if one.id == shown), maps[0])
    return f"{one.descriptor.upper()} {one.method.upper()} · {words.count(one.n)}"


def table_panel(card, evaluations, evaluation) -> html.Section:
    choose = []
    if evaluations:
        choose = [
            dmc.Select(
                id="evaluation-select",
                data=[{"value": str(one.id), "label": one.name} for one in evaluations],
                value=str(evaluation),
                allowDeselect=False,
                w=150,
                **{"aria-label": "Errors and spread of"},
            )
        ]
    search = dmc.TextInput(
        id="table-search",
        placeholder="Search",
        leftSection=icon("search", small=True),
        rightSection=html.Kbd("/"),
        debounce=300,
        w=122,
        **{"data-key": "/", "aria-label": "Search formula, group or tag"},
    )
    reviewed = html.Div(
        [
            html.Div(
                html.Span(style={"width": "0"}, **{"data-part": "reviewed-bar"}),
                className="progress done",
                style={"width": "40px", "minWidth": "40px"},
            ),
            html.Span("0 reviewed", className="muted", **{"data-part": "reviewed"}),
        ],
        className="row",
    )
    return panel(
        "Structures",
        dcc.Store(id="lower-shown", data="table"),
        html.Div(
            table(evaluation is not None, has_splits=set(card.splits) != {""}),
            id="lower-table",
            style={"flex": "1", "minHeight": "0"},
        ),
        html.Div(id="histograms", className="histograms hidden"),
        context=html.Span(words.count(card.n_structures), **{"data-part": "table-context"}),
        controls=(
            reviewed,
            *choose,
            search,
            segments("lower", (("table", "Table"), ("histograms", "Histograms")), "table", "Show"),
            html.Button(
                [icon("freeze", small=True), "Freeze accepted…"],
                id="freeze-accepted",
                className="button small",
                type="button",
            ),
        ),
        className="lower",
    )


def review_bar() -> html.Div:
    return html.Div(
        [
            act([icon("check", small=True), "Accept"], "accept", key="A", className="button accept", needs="structure"),
            act([icon("cross", small=True), "Reject"], "reject", key="R", className="button reject", needs="structure"),
            act([icon("tag", small=True)], "tag", key="T", className="button", label="Tag"),
            act([icon("undo", small=True)], "undo", key="Z", className="button", label="Undo"),
            html.Span(className="push"),
            act([icon("up", small=True)], "previous", key="K", className="button quiet", label="Previous structure"),
            act([icon("down", small=True)], "next", key="J", className="button quiet", label="Next structure"),
            html.Button(
                **{"data-act": "accept-all", "data-key": "Shift+A", "aria-label": "Accept all selected"},
                className="offstage",
                tabIndex=-1,
            ),
            html.Button(
                **{"data-act": "reject-all", "data-key": "Shift+R", "aria-label": "Reject all selected"},
                className="offstage",
                tabIndex=-1,
            ),
        ],
        className="review",
    )


def histogram_figure(found, theme: str, selected: bool) -> html.Figure:
    unit = f", {found.unit}" if found.unit else ""
    return html.Figure(
        [
            html.Figcaption(f"{found.title}{unit}"),
            dcc.Graph(figure=distribution(found, theme, selected), config=FIGURE_CONFIG, responsive=True),
        ]
    )


def channel_titles(evaluated: bool, tags: list[str]) -> dict[str, str]:
    """Every channel that can be shown, with its title."""
    needs = channels.FINDINGS
    shown = {name: channels.describe(name)[0] for name in atlas.CHANNELS if evaluated or name not in needs}
    return shown | {f"tag:{tag}": f"Tag: {tag}" for tag in tags}
