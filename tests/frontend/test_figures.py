"""Figures are pure functions of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from isoline.services.atlas import Histogram
from isoline_web.figures.distribution import distribution
from isoline_web.figures.frame import bare, logarithmic, square
from isoline_web.figures.loss import loss


def histogram(labels=()) -> Histogram:
    n = len(labels) or 5
    counts = np.arange(1, n + 1)
    return Histogram("x", "Title", "eV", np.arange(n + 1.0), counts, counts // 2, 0.0, float(n), tuple(labels))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_selection_stands_before_everything(theme):
    figure = distribution(histogram(), theme, selected=True)
    everything, selected = figure.data
    assert list(everything.y) == [1, 2, 3, 4, 5]
    assert list(selected.y) == [0, 1, 1, 2, 2]
    assert everything.marker.color != selected.marker.color


def test_without_a_selection_there_is_one_set_of_bars():
    assert len(distribution(histogram(), "light", selected=False).data) == 1


def test_categories_are_bars_with_names_cut_short():
    figure = distribution(histogram(["a", "a name that is much too long", "c"]), "light", selected=False)
    assert list(figure.data[0].x) == ["a", "a name that i…", "c"]


@pytest.mark.parametrize("figure", [bare(), square("x", "y"), logarithmic("x", "y"), loss()])
def test_no_figure_has_a_title_or_forgets_the_view(figure):
    assert figure.layout.title.text is None
    assert figure.layout.uirevision == "constant"
