"""The label contract: what would be read as what, with the evidence, before anything is stored."""

from __future__ import annotations

import dash_mantine_components as dmc
from dash import html

from isoline.units import ENERGY_UNITS, LENGTH_UNITS, STRESS_UNITS

from .. import words
from .panel import facts, panel
from .states import trouble

NONE = "none"
KINDS = (
    ("energy", "Energy", "energy_key", "energy_unit", ENERGY_UNITS, "eV/atom"),
    ("forces", "Forces", "forces_key", None, None, "eV/Å"),
    ("stress", "Stress", "stress_key", "stress_unit", STRESS_UNITS, "eV/Å³"),
)
ENERGY_IS = (("total", "of the whole structure"), ("per_atom", "per atom"))
STRESS_KINDS = (
    ("", "by its name"),
    ("stress", "stress, positive under tension"),
    ("pressure", "positive under compression"),
    ("virial", "virial, −stress × volume"),
)
VOIGT = ("xx yy zz yz xz xy", "xx yy zz xy yz xz", "xx yy zz xy xz yz")
WORST = 200


def contract_form(survey) -> list:
    """Everything a person decides about files that can be read; faults first where there are any."""
    parts = [_faults(survey)] if survey.n_faults else []
    parts += [trouble(str(warning), warning=True) for warning in survey.warnings[:8]]
    return [*parts, _labels(survey), _rest(survey)]


def _labels(survey) -> html.Section:
    head = html.Thead(
        html.Tr(
            [
                html.Th("Label"),
                html.Th("Key in the file"),
                html.Th("Unit in the file"),
                html.Th("Frames", className="n"),
                html.Th("Range", className="n"),
                html.Th("What the numbers say"),
            ]
        )
    )
    rows = [_label_row(survey, *kind) for kind in KINDS]
    conventions = html.Div(
        [
            _select("energy_is", "Energy is", ENERGY_IS, survey.contract.energy_is),
            _select(
                "length_unit", "Lengths are in", [(unit, unit) for unit in LENGTH_UNITS], survey.contract.length_unit
            ),
            _select("stress_kind", "Stress is", STRESS_KINDS, survey.contract.stress_kind),
            _select(
                "voigt_order", "Six components are", [(order, order) for order in VOIGT], survey.contract.voigt_order
            ),
        ],
        className="form four body",
    )
    return panel(
        "Label contract",
        html.Div(html.Table([head, html.Tbody(rows)], className="table contract"), className="scroll"),
        conventions,
        context=" ".join(survey.why),
    )


def _label_row(
    survey, kind: str, title: str, key_field: str, unit_field: str | None, units: dict | None, house_unit: str
) -> html.Tr:
    candidates = [one for one in survey.candidates if one.kind == kind]
    chosen = next((one for one in candidates if one.chosen), None)
    options = [(one.key, f"{one.key} ({words.count(one.n_frames)})") for one in candidates] + [
        (NONE, "leave out" if candidates else "none found")
    ]
    if unit_field:
        unit = _select(
            unit_field,
            f"Unit of the {kind}",
            [(name, name) for name in units],
            getattr(survey.contract, unit_field),
            bare=True,
        )
    else:
        unit = html.Span(
            f"{survey.contract.forces_unit or survey.contract.energy_unit + '/' + survey.contract.length_unit}",
            className="muted",
        )
    if chosen is None:
        seen = [html.Td("–", className="n"), html.Td("–", className="n"), html.Td("", className="muted")]
    else:
        span = (
            f"{words.number(chosen.low, 4)} … {words.number(chosen.high, 4)}"
            if kind != "forces"
            else f"up to {words.number(chosen.high, 3)}"
        )
        share = (
            words.plural(chosen.n_frames, "frame")
            if chosen.n_frames == survey.n_frames
            else f"{words.count(chosen.n_frames)} of {words.count(survey.n_frames)}"
        )
        seen = [
            html.Td(share, className="n"),
            html.Td([span, html.Span(house_unit, className="unit")], className="n"),
            html.Td([html.Div(remark) for remark in chosen.remarks] or "nothing odd found", className="muted"),
        ]
    value = getattr(survey.contract, key_field) or NONE
    return html.Tr(
        [
            html.Td(title, className="name"),
            html.Td(_select(key_field, f"Key of the {kind}", options, value, bare=True)),
            html.Td(unit),
            *seen,
        ]
    )


def _rest(survey) -> html.Section:
    low, high = survey.atoms_range
    ignored = [
        html.Span(f"{key} {words.count(n)}", className="pill", title=f"in {n} frames; not read")
        for key, n in sorted(survey.ignored.items(), key=lambda item: -item[1])
    ]
    groups = [
        html.Span(f"{name or 'no group'} {words.count(n)}", className="pill")
        for name, n in sorted(survey.groups.items(), key=lambda item: -item[1])[:12]
    ]
    return panel(
        "Contents",
        facts(
            ("Frames", words.count(survey.n_frames)),
            ("Atoms", f"{words.count(survey.n_atoms)} ({low} to {high} a frame)" if survey.n_frames else "–"),
            ("Elements", " ".join(words.symbols(survey.elements)) or "–"),
            ("Repeated frames", words.count(survey.duplicates)),
            className="flat four",
        ),
        html.Div([html.Span("Groups", className="muted"), *groups], className="row wrap body line") if groups else None,
        html.Div(
            [
                html.Span("Not read", className="muted"),
                *(ignored or [html.Span("nothing: every key is used", className="muted")]),
            ],
            className="row wrap body line",
        ),
    )


def _faults(survey) -> html.Section:
    rows = [
        html.Tr(
            [
                html.Td(fault.file),
                html.Td(words.DASH if fault.frame is None else words.count(fault.frame), className="n"),
                html.Td(words.DASH if fault.atom is None else words.count(fault.atom), className="n"),
                html.Td(fault.field, className="mono"),
                html.Td(fault.message),
            ]
        )
        for fault in survey.faults[:WORST]
    ]
    head = html.Thead(
        html.Tr(
            [
                html.Th("File"),
                html.Th("Frame", className="n"),
                html.Th("Atom", className="n"),
                html.Th("Field"),
                html.Th("What is wrong"),
            ]
        )
    )
    told = "" if survey.n_faults <= len(rows) else f", the first {len(rows)} of them below"
    said = trouble(
        f"These files cannot be imported as they are: {words.plural(survey.n_faults, 'fault')}{told}.",
        "Nothing is stored. Mend the places listed, or say below what the files mean.",
    )
    return panel(
        "Faults",
        html.Div(said, className="body"),
        html.Div(
            html.Table([head, html.Tbody(rows)], className="table rows"),
            className="scroll",
            style={"maxHeight": "300px"},
        ),
        context=words.count(survey.n_faults),
        className="faults",
    )


def _select(field: str, label: str, options: list, value: str, *, bare: bool = False) -> dmc.Select:
    named = {"aria-label": label} if bare else {}
    return dmc.Select(
        id={"contract": field},
        label=None if bare else label,
        data=[{"value": key, "label": word} for key, word in options],
        value=value,
        allowDeselect=False,
        w=None if not bare else 200,
        **named,
    )
