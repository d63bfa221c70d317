"""The structure pane: bar, 3D view, facts, provenance; brought to life by assets/structure.js."""

from __future__ import annotations

from dash import html

from ..icons import glyph, icon
from .panel import act, segments

COLOURS = (
    ("element", "Element", ""),
    ("force", "|F|", "This structure has no reference forces"),
    ("spread", "Spread", "Evaluate a committee on this dataset to see its spread"),
    ("error", "Error", "Needs reference forces and an evaluation"),
)

FACTS = (
    ("Energy", "energy_per_atom", 4, "eV/atom"),
    ("Largest force", "max_force", 3, "eV/Å"),
    ("Atoms", "n_atoms", 0, ""),
    ("Force RMSE", "force_error", 3, "eV/Å"),
    ("Force spread", "force_spread", 3, "eV/Å"),
    ("Group", "group", None, ""),
)


def structure_view(*footer, hint: object = "Click a point on the map or a row in the table.") -> html.Section:
    """A pane for one structure at a time; `footer` is pinned below the facts."""
    colour = segments("atom-colour", [(name, word) for name, word, _ in COLOURS], "element", "Colour atoms by")
    for button, (_, _, missing) in zip(colour.children, COLOURS, strict=True):
        setattr(button, "data-missing", missing)
    forces = act([icon("check", small=True), "Forces"], "forces", key="F", className="button small on")
    setattr(forces, "aria-pressed", "true")
    close = act(
        icon("cross", small=True), "close-structure", className="button quiet icon-only drawer-only", label="Close"
    )
    bar = html.Div(
        [
            html.H2("Structure", **{"data-part": "title"}),
            html.Span("", className="context", **{"data-part": "number"}),
            html.Div([colour, forces, close], className="controls"),
        ],
        className="bar",
    )
    viewer = html.Div(
        [
            html.Canvas(role="img", tabIndex=0, **{"aria-label": "No structure open"}),
            html.Div(className="scale", **{"data-part": "legend"}),
            html.Div(className="note", **{"data-part": "note"}, role="status"),
            html.Div(
                [glyph("molecule"), html.B("No structure open"), html.Span(hint)],
                className="empty",
                **{"data-part": "empty"},
            ),
        ],
        className="viewer",
        **{"data-part": "viewer"},
    )
    return html.Section(
        [
            bar,
            viewer,
            html.Dl([_fact(*fact) for fact in FACTS], className="facts", **{"data-part": "facts"}),
            html.Div(className="origin", **{"data-part": "origin"}),
            *footer,
        ],
        id="structure",
        className="panel structure",
        **{"aria-label": "Structure"},
    )


def _fact(name: str, field: str, digits: int | None, unit: str) -> html.Div:
    about = {"data-field": field, "data-unit": unit}
    if digits is not None:
        about["data-digits"] = str(digits)
    return html.Div([html.Dt(name), html.Dd("–", **about)])
