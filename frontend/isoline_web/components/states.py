"""What a panel shows while there is nothing to show."""

from __future__ import annotations

from dash import html

from ..icons import glyph


def empty(icon: str, missing: str, do: object = "", *actions) -> html.Div:
    """A dashed glyph, what is missing, what to do about it, and the buttons that do it."""
    children = [glyph(icon), html.B(missing), html.Span(do)]
    if actions:
        children.append(html.Div(list(actions), className="row wrap"))
    return html.Div(children, className="empty")


def trouble(what: str, hint: str = "", *, warning: bool = False) -> html.Div:
    """What failed and what to do, in the panel where it happened."""
    return html.Div(
        [html.Div([html.Div(what, className="strong"), html.Div(hint, className="muted")])],
        className=f"trouble{' warn' if warning else ''}",
        role="status" if warning else "alert",
    )


def trouble_page(what: str, hint: str = "") -> html.Div:
    """A page that cannot be shown."""
    return html.Div([html.H1("Not available"), trouble(what, hint)], className="list-page")
