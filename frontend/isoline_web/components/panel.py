"""Panels with their bar, facts and segmented controls: the parts every page is made of."""

from __future__ import annotations

from collections.abc import Iterable

from dash import html


def panel(
    title: str, *children, context: object = "", controls: Iterable = (), className: str = "", **attributes
) -> html.Section:
    """A bordered panel; `context` is muted text beside the title, `controls` stand at the right."""
    bar = html.Div(
        [html.H2(title), html.Span(context, className="context"), html.Div(list(controls), className="controls")],
        className="bar",
    )
    return html.Section([bar, *children], className=f"panel {className}".strip(), **attributes)


def facts(*pairs: tuple[str, object], className: str = "") -> html.Dl:
    """Names with values, in columns."""
    return html.Dl(
        [html.Div([html.Dt(name), html.Dd(value)]) for name, value in pairs], className=f"facts {className}".strip()
    )


def quantity(text: str, unit: str) -> list:
    """A value with its unit, muted, after it."""
    return [text, html.Span(unit, className="unit")] if unit else [text]


def segments(act: str, choices: Iterable[tuple[str, str]], chosen: str | None, label: str) -> html.Div:
    """One choice of few; pressing runs `isoline.actions[act]` in the browser."""
    buttons = [
        html.Button(
            word,
            type="button",
            **{"data-act": act, "data-value": str(value), "aria-pressed": str(str(value) == str(chosen)).lower()},
        )
        for value, word in choices
    ]
    return html.Div(buttons, className="segments", role="group", **{"aria-label": label})


def act(
    words: object,
    name: str,
    *,
    key: str = "",
    className: str = "button",
    needs: str = "",
    label: str = "",
    **attributes,
) -> html.Button:
    """A button that runs `isoline.actions[name]`, with its key printed on it."""
    children = list(words) if isinstance(words, (list, tuple)) else [words]
    named = {"data-act": name}
    if key:
        named["data-key"] = key
        children.append(html.Kbd(key.replace("Shift+", "⇧")))
    if needs:
        named["data-needs"] = needs
    if label:
        named["aria-label"] = label
    return html.Button(children, type="button", className=className, disabled=bool(needs), **named, **attributes)
