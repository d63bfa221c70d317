"""Colours and type, once: written out as CSS variables for the page and as Plotly templates for figures."""

from __future__ import annotations

from typing import Literal

import plotly.graph_objects as go

Theme = Literal["light", "dark"]

COLOURS: dict[Theme, dict[str, str]] = {
    "light": {
        "bg": "#f4f5f7",
        "surface": "#ffffff",
        "surface-2": "#fafbfc",
        "text": "#1b1f24",
        "muted": "#59626d",
        "line": "#e3e6ea",
        "edge": "#8b95a1",  # outlines that must be seen: 3:1 on every surface
        "hover": "#f3f5f8",
        "accent": "#4263eb",
        "on-accent": "#ffffff",
        "accent-soft": "#e8edff",
        "ok": "#2b8a3e",
        "ok-soft": "#ebf7ee",
        "no": "#c92a2a",
        "no-soft": "#fdeeee",
        "warn": "#a15c00",
        "force": "#e8590c",
        "bar-rest": "#d3d9e1",
        "point-rest": "#1b1f24",
    },
    "dark": {
        "bg": "#0f1115",
        "surface": "#171a20",
        "surface-2": "#1b1f26",
        "text": "#e6e9ee",
        "muted": "#98a2b0",
        "line": "#272c35",
        "edge": "#6b7685",
        "hover": "#1f242c",
        "accent": "#7c96ff",
        "on-accent": "#10131a",
        "accent-soft": "#232c4d",
        "ok": "#69db7c",
        "ok-soft": "#18291d",
        "no": "#ff8787",
        "no-soft": "#301c1e",
        "warn": "#ffc078",
        "force": "#ff922b",
        "bar-rest": "#3b424e",
        "point-rest": "#e6e9ee",
    },
}

# Unselected points keep their place in grey: this share of `point-rest`.
REST_ALPHA: dict[Theme, float] = {"light": 0.20, "dark": 0.13}

# The high end always contrasts most with the surface it is drawn on.
SEQUENTIAL: dict[Theme, tuple[str, ...]] = {
    "light": ("#b4c4d9", "#86a8d1", "#7b74b8", "#8a3598", "#4d0650"),
    "dark": ("#51607c", "#6479b4", "#a765b3", "#f27d68", "#ffdc94"),
}
DIVERGING: dict[Theme, tuple[str, ...]] = {
    "light": ("#1d4e9e", "#6d9bd6", "#b9bec6", "#f0944d", "#a8430a"),
    "dark": ("#7db2ff", "#4a76b8", "#5a616c", "#c9743a", "#ffb06b"),
}
# Tableau order; `other` closes the list.
CATEGORIES = (
    "#4e79a7",
    "#f28e2b",
    "#e15759",
    "#76b7b2",
    "#59a14f",
    "#edc948",
    "#b07aa1",
    "#ff9da7",
    "#9c755f",
    "#5fa2dd",
    "#8cd17d",
    "#b6992d",
)
OTHER = "#8b95a1"

FONT = "'Inter Variable', Inter, system-ui, -apple-system, 'Segoe UI', sans-serif"


def stylesheet() -> str:
    """CSS that defines every token as a variable, for both themes."""
    shared = [f"--font:{FONT}", f"--other:{OTHER}"]
    shared += [f"--category-{i}:{colour}" for i, colour in enumerate(CATEGORIES)]
    rules = [":root{" + ";".join(shared) + "}"]
    for theme in COLOURS:
        selector = ":root,[data-mantine-color-scheme=light]" if theme == "light" else "[data-mantine-color-scheme=dark]"
        rules.append(f"{selector}{{color-scheme:{theme};{';'.join(_variables(theme))}}}")
    return "".join(rules)


def _variables(theme: Theme) -> list[str]:
    named = [f"--{name}:{colour}" for name, colour in COLOURS[theme].items()]
    named += [f"--sequential-{i}:{colour}" for i, colour in enumerate(SEQUENTIAL[theme])]
    named += [f"--diverging-{i}:{colour}" for i, colour in enumerate(DIVERGING[theme])]
    return [*named, f"--rest-alpha:{REST_ALPHA[theme]}"]


def template(theme: Theme) -> go.layout.Template:
    """Plotly template: hairline grid, no titles, no background, muted ticks."""
    colour = COLOURS[theme]
    axis = {
        "gridcolor": colour["line"],
        "gridwidth": 1,
        "linecolor": colour["line"],
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": colour["line"],
        "tickfont": {"size": 11, "color": colour["muted"]},
        "title": {"font": {"size": 11, "color": colour["muted"]}, "standoff": 8},
        "automargin": True,
        "minexponent": 5,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 11, "color": colour["text"]},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(CATEGORIES),
            "margin": {"l": 12, "r": 12, "t": 10, "b": 12},
            "xaxis": axis,
            "yaxis": axis,
            "showlegend": False,
            "separators": ".\u2009",
            "hoverlabel": {
                "bgcolor": colour["surface-2"],
                "bordercolor": colour["line"],
                "font": {"family": FONT, "size": 11, "color": colour["text"]},
            },
            "newselection": {"line": {"color": colour["accent"], "width": 1.5, "dash": "solid"}},
            "activeselection": {"fillcolor": "rgba(0,0,0,0)", "opacity": 1},
        }
    )


def mantine() -> dict:
    """The kit's theme: our accent, our type, our radii."""
    accent = [
        "#edf1ff",
        "#dbe3ff",
        "#b9c6ff",
        "#93a8ff",
        "#7c96ff",
        "#5f7df5",
        "#4263eb",
        "#3553cf",
        "#2a44ad",
        "#20358a",
    ]
    return {
        "fontFamily": FONT,
        "fontFamilyMonospace": "ui-monospace, 'SFMono-Regular', 'DejaVu Sans Mono', Menlo, monospace",
        "primaryColor": "accent",
        "colors": {"accent": accent},
        "primaryShade": {"light": 6, "dark": 4},
        "autoContrast": True,
        "defaultRadius": 6,
        "fontSizes": {"xs": "11px", "sm": "12px", "md": "13px", "lg": "14px", "xl": "20px"},
        "cursorType": "pointer",
        "respectReducedMotion": True,
    }
