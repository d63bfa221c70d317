"""Icons drawn as CSS masks (assets/icons.css), named by what they stand for."""

from __future__ import annotations

from dash import html


def icon(name: str, small: bool = False) -> html.Span:
    """Decoration beside a word; never the only name of a control."""
    return html.Span(className=f"icon icon-{name}{' small' if small else ''}", **{"aria-hidden": "true"})


def glyph(name: str) -> html.Span:
    """The dashed square of an empty state."""
    return html.Span(icon(name), className="glyph", **{"aria-hidden": "true"})
