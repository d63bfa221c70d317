"""The calibration panel: what it draws, and what it tells a newcomer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from dash import dcc
from dash.development.base_component import Component

from isoline.services.calibration import EXPECTED, CalibrationReport, Outsiders, Promise, QuantityReport
from isoline.statistics import reliability
from isoline.statistics.error_law import RAW, ErrorLaw
from isoline_web.components.calibration import calibration_panel, calibration_view
from isoline_web.figures import calibration as figures


def quantity(name: str, times: float = 3.0, law: ErrorLaw | None = None, n: int = 400) -> QuantityReport:
    random = np.random.default_rng(0)
    law = law or ErrorLaw(3.0)
    spread = random.lognormal(-3, 0.5, n)
    error = times * spread[:, None] * random.normal(size=(n, 1))
    calibrated = law.deviation(spread)

    def curve(deviation):
        shares = RAW.share(error / deviation[:, None]).ravel()
        return reliability.observed_coverage(shares, np.array(EXPECTED)).tolist()

    return QuantityReport(
        quantity=name,
        unit="",
        law=law,
        n_calibration=20,
        n_settled=0,
        before=reliability.assess(RAW, spread, error),
        after=reliability.assess(law, calibrated, error),
        observed_before=curve(spread),
        observed_after=curve(calibrated),
        points_before=reliability.by_deviation(spread, error),
        points_after=reliability.by_deviation(calibrated, error),
        deciles=reliability.by_error(calibrated, error),
        elements=[],
        promises=[Promise(0.9, 1.6, 0.91)],
    )


def report(*shown: QuantityReport, **about) -> CalibrationReport:
    return CalibrationReport(2, "model", "unseen", 400, quantities={one.quantity: one for one in shown}, **about)


def text(component) -> str:
    """Everything a person reads, in order."""
    if isinstance(component, Component):
        return text(getattr(component, "children", None))
    if isinstance(component, (list, tuple)):
        return "".join(text(one) for one in component)
    return "" if component is None else str(component)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_honest_line_stands_behind_what_was_found(theme):
    one = quantity("forces")
    covered = figures.coverage(EXPECTED, one.observed_before, one.observed_after, theme)
    honest, before, after = covered.data
    assert list(honest.x) == list(honest.y)
    assert before.line.color != after.line.color
    assert max(np.abs(np.array(after.y) - np.array(after.x))) < 10 < max(np.abs(np.array(before.y) - before.x))
    drawn = figures.reliability(one.points_before, one.points_after, "eV/Å", theme)
    assert [len(trace.x) for trace in drawn.data] == [2, 10, 10]
    for figure in (covered, drawn):
        assert figure.layout.title.text is None
        assert figure.layout.uirevision == "constant"


def test_energies_are_drawn_in_the_unit_of_their_axis():
    one = quantity("energy")
    drawn = figures.reliability(one.points_before, one.points_after, "meV/atom", "light", 1000.0)
    assert list(drawn.data[2].x) == pytest.approx([1000 * point.deviation for point in one.points_after])
    assert "meV/atom" in drawn.layout.xaxis.title.text


def test_too_few_values_for_bins_leave_an_empty_plot():
    assert [len(trace.x) for trace in figures.reliability([], [], "eV/Å", "light").data] == [0, 0]


def test_the_panel_says_what_to_do_with_spreads():
    said = text(calibration_view(report(quantity("forces")), "Si@1", "light"))
    assert "multiplied by about 3.0" in said
    assert "can be taken at their word" in said
    assert "on 400 structures it never saw in Si@1" in said
    wide = text(calibration_view(report(quantity("forces", 1.0)), "Si@1", "light"))
    assert "still too large here" in wide
    tight = text(calibration_view(report(quantity("forces", 9.0)), "Si@1", "light"))
    assert "still too small here" in tight


def test_the_noise_of_labels_is_named_where_there_is_some():
    said = text(calibration_view(report(quantity("energy", law=ErrorLaw(3.0, 0.004))), "Si@1", "dark"))
    assert "expect an error of 4.00 meV/atom" in said


def test_figures_that_flatter_are_said_to():
    flattering = replace(report(quantity("forces")), judged_on="validation")
    assert "a flattering view" in text(calibration_view(flattering, "Si@1", "light"))


def test_groups_not_trained_on_are_named_with_their_auroc():
    told = Outsiders(("Surface",), 23, 14, 0.97, None)
    said = text(calibration_view(report(quantity("forces"), outsiders=told), "Si@1", "light"))
    assert "Surface: 14 structures, against 23 of known groups" in said
    assert "energy spread 0.97." in said


def test_nothing_to_calibrate_says_what_is_missing():
    said = text(calibration_view(CalibrationReport(2, "", "unseen", 0), "Si@1", "light"))
    assert "No spread to calibrate" in said


def test_a_quantity_without_references_is_no_error():
    nothing = quantity("energy", n=0)
    assert "No reference to compare with." in text(calibration_view(report(nothing), "Si@1", "light"))


def test_every_plot_has_words_for_those_who_do_not_see_it():
    view = calibration_view(report(quantity("forces"), quantity("energy")), "Si@1", "light")
    graphs = [one for one in view._traverse() if isinstance(one, dcc.Graph)]
    assert len(graphs) == 4
    described = [one for one in view._traverse() if getattr(one, "role", None) == "img"]
    assert all("error" in getattr(one, "aria-label") for one in described)
    assert len(described) == 4


def test_a_panel_knows_whose_it_is():
    assert json.loads(json.dumps(calibration_panel(model=3).children[0].data)) == {"model": 3, "evaluation": None}
