"""Whether a model's spreads mean what they say: a panel for the page of a model or of an evaluation."""

from __future__ import annotations

from dash import Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from isoline.services import accuracy, calibration, library, predictions
from isoline.services.calibration import CalibrationReport, QuantityReport

from .. import ids, words
from ..callbacks import Desk
from ..figures.calibration import coverage, reliability
from ..tokens import Theme
from .panel import panel, quantity
from .scores import MEV
from .states import empty

CONFIG = {"displayModeBar": False, "responsive": True}
# name: (title, unit, factor, digits)
SHOWN = {"forces": ("Forces", "eV/Å", 1.0, 3), "energy": ("Energy", "meV/atom", MEV, 2)}
HONEST = 0.05
PROMISED = 0.9


def calibration_panel(*, model: int | None = None, evaluation: int | None = None) -> html.Div:
    """The calibration of one evaluation, or of a model's evaluation on most structures that it never saw."""
    return html.Div(
        [
            dcc.Store(id="calibration-of", data={"model": model, "evaluation": evaluation}),
            dcc.Store(id="calibration-shown"),
            html.Div(id="calibration"),
        ]
    )


def register_calibration(desk: Desk) -> None:
    bench = desk.bench

    @desk.answers(
        Output("calibration", "children"),
        Output("calibration-shown", "data"),
        Input("calibration-of", "data"),
        Input(ids.THEME, "data"),
        Input(ids.JOB_CHANGES, "data"),
        State("calibration-shown", "data"),
    )
    def draw(of, theme, _, shown):
        evaluation = of["evaluation"] or _most_unseen(bench, of["model"])
        if shown == [evaluation, theme]:
            raise PreventUpdate
        if evaluation is None:
            return [], [None, theme]
        version = library.version(bench, predictions.evaluation(bench, evaluation).version)
        return calibration_view(calibration.report(bench, evaluation), version.title, theme), [evaluation, theme]


def calibration_view(report: CalibrationReport, where: str, theme: Theme) -> html.Section:
    """The panel itself; `where` names the dataset version."""
    if not report.quantities:
        hint = (
            "Spreads need a committee of two or more potentials; calibration also needs a validation set with labels."
        )
        return panel("Calibration", empty("accuracy", "No spread to calibrate", hint))
    kind = "structures it never saw" if report.judged_on == "unseen" else "validation structures: a flattering view"
    shown = [report.quantities[name] for name in SHOWN if name in report.quantities]
    graphs = [graph for one in shown for graph in _graphs(one, theme)]
    keys = html.Span(
        [html.Span(className="key"), "as given", html.Span(className="key validation"), "calibrated"],
        className="row muted caption",
    )
    return panel(
        "Calibration",
        html.Div(
            [
                html.P(
                    "The spread says how far the members of the committee disagree. Calibrated on the validation set, "
                    "it says how far their mean is likely to be wrong."
                ),
                *(html.P(_verdict(one)) for one in shown),
                *([html.P(_outsiders(report.outsiders))] if report.outsiders else []),
            ],
            className="body stack",
        ),
        html.Div(graphs, className="calibration-graphs"),
        html.Div(_figures(shown), className="scroll"),
        html.Details(
            [
                html.Summary("By element and by size of the error"),
                html.Div([*_elements(shown), *(_deciles(one) for one in shown)], className="stack scroll"),
            ],
            className="advanced line",
        ),
        context=f"on {words.count(report.n_structures)} {kind} in {where}",
        controls=(keys,),
        className="calibration",
    )


def _most_unseen(bench, model: int | None) -> int | None:
    """The evaluation of a model with most structures that it never saw, the newest of equals."""
    found = accuracy.evaluations(bench, model=model) if model else []
    if not found:
        return None
    return max(
        found, key=lambda one: library.version(bench, one.version).n_structures - one.summary.get("n_seen", 0)
    ).id


def _graphs(one: QuantityReport, theme: Theme) -> list[html.Figure]:
    title, unit, factor, _ = SHOWN[one.quantity]
    before, after = one.before.miscalibration_area, one.after.miscalibration_area
    covered = f"{title}: share of errors within intervals; miscalibration area {_area(before)} as given, {_area(after)}"
    drawn = (
        ("coverage", coverage(calibration.EXPECTED, one.observed_before, one.observed_after, theme), covered),
        (
            "reliability",
            reliability(one.points_before, one.points_after, unit, theme, factor),
            f"{title}: error found against error predicted, {len(one.points_after)} bins of equal count",
        ),
    )
    return [
        html.Figure(
            [
                html.Figcaption(f"{title}, {kind}", className="caption"),
                html.Div(
                    dcc.Graph(
                        id=f"calibration-{kind}-{one.quantity}",
                        figure=figure,
                        config=CONFIG,
                        responsive=True,
                        style={"height": "250px"},
                    ),
                    role="img",
                    **{"aria-label": alternative},
                ),
            ]
        )
        for kind, figure, alternative in drawn
    ]


def _verdict(one: QuantityReport) -> list:
    title, unit, factor, digits = SHOWN[one.quantity]
    after = one.after
    if after.miscalibration_area is None:
        return [html.B(f"{title}. "), "No reference to compare with."]
    typical = one.before.sharpness
    ratio = float(one.law.deviation(typical)) / typical if typical else None
    said = "are about right" if ratio and 0.8 < ratio < 1.25 else f"have to be multiplied by about {ratio:.1f}"
    limit = max(HONEST, 1.5 * (after.area_by_chance or 0))
    if after.miscalibration_area <= limit:
        outcome = "calibrated, they can be taken at their word"
    elif after.excess_coverage > 0:
        outcome = "calibrated, they are still too large here: the errors are smaller than on the validation set"
    else:
        outcome = "calibrated, they are still too small here: take them as lower bounds"
    rest = [f"As given, typical spreads {said}; {outcome}."]
    if one.law.floor:
        floor = words.number(factor * one.law.floor, digits)
        rest.append(
            f" However well the members agree, expect an error of {floor} {unit}: noise of the labels, and what"
        )
        rest.append(" all members miss alike.")
    if one.n_settled:
        rest.append(f" {words.count(one.n_settled)} atoms whose force is zero by symmetry are left out.")
    return [html.B(f"{title}. "), *rest]


def _outsiders(found) -> list:
    told = [
        f"{kind} spread {words.number(value, 2)}"
        for kind, value in (("energy", found.energy), ("force", found.forces))
        if value is not None
    ]
    return [
        html.B("Groups it was not trained on. "),
        f"{', '.join(found.groups)}: {words.plural(found.n_outside, 'structure')}, against "
        f"{words.count(found.n_inside)} of known groups. Probability that the unknown one has the larger spread "
        f"(AUROC): {', '.join(told)}.",
    ]


def _figures(shown: list[QuantityReport]) -> html.Table:
    head = html.Thead(
        html.Tr(
            [
                html.Th("Quantity"),
                html.Th("Spread"),
                *(
                    html.Th(name, className="n", title=meaning)
                    for name, meaning in (
                        ("N", "values compared; force components count one by one"),
                        (
                            "Miscalibration area",
                            "0 is honest, 0.5 the worst; in brackets what chance alone gives for N",
                        ),
                        ("ENCE", "mean relative gap between predicted and found errors over bins; 0 is best"),
                        ("NLL", "mean negative log likelihood; the smaller the better"),
                        ("ρ", "rank correlation of spread and error: 1 if a larger spread always means a larger error"),
                        ("Predicted error", "root mean square"),
                        ("RMSE", "root mean square of the errors found"),
                        (f"Within {words.percent(PROMISED)} bound", "share of errors below the conformal bound"),
                    )
                ),
            ]
        )
    )
    return html.Table([head, html.Tbody([row for one in shown for row in _rows(one)])], className="table rows")


def _rows(one: QuantityReport) -> list[html.Tr]:
    title, unit, factor, digits = SHOWN[one.quantity]
    promise = next(p for p in one.promises if p.level == PROMISED)
    rows = []
    for name, found in (("as given", one.before), ("calibrated", one.after)):
        chance = words.number(found.area_by_chance, 3)
        observed = promise.observed if name == "calibrated" else None
        cells = [
            words.count(found.n),
            [_area(found.miscalibration_area), html.Span(f"({chance})", className="unit")],
            words.number(found.ence, 2),
            words.number(found.nll, 2),
            words.number(found.correlation, 2),
            quantity(words.number(_times(found.sharpness, factor), digits), unit),
            quantity(words.number(_times(found.rmse, factor), digits), unit),
            words.DASH if observed is None else words.percent(observed),
        ]
        rows.append(
            html.Tr(
                [
                    html.Td(title if name == "as given" else "", className="name"),
                    html.Td(name),
                    *(html.Td(cell, className="n") for cell in cells),
                ]
            )
        )
    return rows


def _elements(shown: list[QuantityReport]) -> list[html.Table]:
    forces = next((one for one in shown if one.elements), None)
    if forces is None:
        return []
    _, unit, factor, digits = SHOWN[forces.quantity]
    names = ("N", "Area as given", "Area", "ENCE", "ρ", "Predicted error", "RMSE")
    body = []
    for row in forces.elements:
        found = row.after
        cells = [
            words.count(found.n),
            _area(row.before.miscalibration_area),
            _area(found.miscalibration_area),
            words.number(found.ence, 2),
            words.number(found.correlation, 2),
            quantity(words.number(_times(found.sharpness, factor), digits), unit),
            quantity(words.number(_times(found.rmse, factor), digits), unit),
        ]
        body.append(html.Tr([html.Td(row.element, className="name"), *(html.Td(c, className="n") for c in cells)]))
    return [_table("Forces on", names, body)]


def _deciles(one: QuantityReport) -> html.Table:
    title, unit, factor, digits = SHOWN[one.quantity]
    body = [
        html.Tr(
            [
                html.Td([words.number(factor * row.low, digits), " to ", words.number(factor * row.high, digits)]),
                html.Td(words.count(row.n), className="n"),
                html.Td(words.number(factor * row.deviation, digits), className="n"),
                html.Td(words.number(factor * row.rmse, digits), className="n"),
                html.Td(words.percent(row.inside), className="n"),
            ]
        )
        for row in one.deciles
    ]
    names = ("N", "Predicted error", "RMSE", "Within the 90 % interval")
    return _table(f"{title}: error found, {unit}", names, body)


def _table(first: str, names: tuple[str, ...], body: list[html.Tr]) -> html.Table:
    head = html.Thead(html.Tr([html.Th(first), *(html.Th(name, className="n") for name in names)]))
    return html.Table([head, html.Tbody(body)], className="table rows")


def _area(value: float | None) -> str:
    return words.number(value, 3)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
