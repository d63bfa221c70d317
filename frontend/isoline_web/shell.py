"""What surrounds every page: header, rail, notices, and the stores that outlive a page change."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html

from . import ids, tokens
from .callbacks import Desk
from .components.dialog import dialog
from .icons import icon

RAIL = (
    ("library", "Library", "/"),
    ("import", "Import", "/import"),
    ("map", "Map", "/map"),
    ("accuracy", "Accuracy", "/accuracy"),
    ("models", "Models", "/models"),
    ("jobs", "Jobs", "/jobs"),
)

SHORTCUTS = (
    (
        "Review",
        (
            ("J", "next structure"),
            ("K", "previous structure"),
            ("A", "accept"),
            ("R", "reject"),
            ("T", "tag"),
            ("Z", "undo"),
        ),
    ),
    (
        "Selection",
        (("Shift A", "accept all selected"), ("Shift R", "reject all selected"), ("Esc", "clear the selection")),
    ),
    ("Map", (("1–4", "colour by the first four channels"), ("F", "forces on and off"), ("/", "search the table"))),
    ("Everywhere", (("?", "this sheet"),)),
)


def layout(may_sign_out: bool) -> dmc.MantineProvider:
    """The page frame; the router fills in the page."""
    return dmc.MantineProvider(
        theme=tokens.mantine(),
        defaultColorScheme="auto",
        children=[
            dmc.NotificationContainer(id=ids.NOTICES, position="bottom-center", limit=3),
            dcc.Location(id=ids.PLACE, refresh="callback-nav"),
            dcc.Store(id=ids.THEME, data="light"),
            dcc.Store(id=ids.JOB_CHANGES),
            dcc.Store(id=ids.SINK),
            dcc.Store(id=ids.TITLE),
            html.Div(
                className="shell",
                children=[_header(may_sign_out), _rail(), html.Main(className="page", id=ids.PAGE)],
            ),
            _shortcut_sheet(),
        ],
    )


def _header(may_sign_out: bool) -> html.Header:
    return html.Header(
        className="header",
        children=[
            dcc.Link([html.Span(className="mark", **{"aria-hidden": "true"}), "Isoline"], href="/", className="brand"),
            html.Span(className="push"),
            dcc.Link(html.Span("No job under way", className="sr"), id=ids.JOB_CHIP, href="/jobs", className="chip"),
            html.Button(
                icon("keyboard"),
                id=ids.SHORTCUTS_OPEN,
                className="button quiet icon-only",
                title="Keyboard shortcuts (?)",
                **{"aria-label": "Keyboard shortcuts"},
            ),
            dmc.ColorSchemeToggle(
                id=ids.THEME_TOGGLE,
                lightIcon=icon("moon"),
                darkIcon=icon("sun"),
                className="theme-toggle",
                **{"aria-label": "Switch between light and dark"},
            ),
            html.Button(
                id=ids.AVATAR,
                className="avatar",
                title="Signed in",
                type="button",
                disabled=not may_sign_out,
                **{"data-act": "sign-out", "aria-label": "Signed in; press to sign out"},
            ),
        ],
    )


def _rail() -> html.Nav:
    links = [dcc.Link([icon(name), html.Span(word)], href=href, id=f"rail-{name}") for name, word, href in RAIL]
    return html.Nav(links, className="rail", id=ids.RAIL, **{"aria-label": "Main"})


def _shortcut_sheet() -> object:
    groups = [
        html.Div(
            className="stack",
            children=[
                html.H3(title, className="strong"),
                *(html.Div([html.Kbd(key), html.Span(does, className="muted")], className="row") for key, does in keys),
            ],
        )
        for title, keys in SHORTCUTS
    ]
    return dialog(ids.SHORTCUTS, "Keyboard", html.Div(groups, className="sheet"), size="lg")


def crumbs(*parts: str | tuple[str, str]) -> html.Nav:
    """Where this page is; the last part is here, the others are (word, address)."""
    children = []
    for part in parts[:-1]:
        word, href = part
        children += [dcc.Link(word, href=href), html.Span("/", className="slash", **{"aria-hidden": "true"})]
    return html.Nav([*children, html.B(parts[-1])], className="crumbs", **{"aria-label": "Where you are"})


def register(desk: Desk) -> None:
    desk.runs("shell", "mark_place", Input(ids.PLACE, "pathname"))
    desk.app.clientside_callback(
        ClientsideFunction("shell", "open_sheet"),
        Output(ids.SHORTCUTS, "opened"),
        Input(ids.SHORTCUTS_OPEN, "n_clicks"),
        State(ids.SHORTCUTS, "opened"),
        prevent_initial_call=True,
    )

    desk.runs("shell", "name_page", Input(ids.TITLE, "data"))

    @desk.answers(
        Output(ids.PAGE, "children"),
        Output(ids.TITLE, "data"),
        Input(ids.PLACE, "pathname"),
        Input(ids.PLACE, "search"),
    )
    def show_page(path, query):
        return desk.router.show(path or "/", query or "")

    @desk.answers(Output(ids.AVATAR, "children"), Output(ids.AVATAR, "title"), Input(ids.AVATAR, "id"))
    def say_who(_):
        actor = desk.actor
        return actor.name[:2].upper(), f"Signed in as {actor.name}"
