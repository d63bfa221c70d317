"""What a model was tested on and had learned from, turned or not: a panel for its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from dash import Input, Output, State, dcc, html
from dash.exceptions import PreventUpdate

from isoline.domain.artifact import Artifact
from isoline.domain.dataset import VersionCard
from isoline.services import accuracy, leaks, library, training
from isoline.services.leaks import LEAKS, Strongest
from isoline.statistics.twins import NEAR
from isoline.workbench import Workbench

from .. import ids, words
from ..callbacks import Desk
from ..router import dataset_link
from .panel import panel, quantity
from .scores import by_group
from .states import empty

MOST = 20  # pairs listed of one evaluation
KINDS = {
    "exact": "bit for bit the same structure",
    "symmetry": "the same, turned, mirrored, moved, reordered or in another cell (within 0.001 Å)",
    "near": f"no distance between atoms differs by more than {2 * NEAR:g} Å",
}
HOW = (
    "Structures are compared by the distances between their atoms and then laid onto each other, so a copy is found "
    "however it is turned, mirrored, moved, reordered or cut into cells. "
    f"Symmetry: within 0.001 Å. Near: within {NEAR:g} Å, so that no distance differs by more than {2 * NEAR:g} Å."
)


@dataclass(frozen=True, eq=False)
class _Checked:
    """An evaluation on a version, with the leaks in it; None where they have not been looked for.

    own  whether it is the version that the model was trained on
    """

    evaluation: Artifact
    version: VersionCard
    own: bool
    leaks: Strongest | None

    @property
    def learned(self) -> bool:
        """Whether every structure is one that the model has learned from: no test set at all."""
        return self.own and self.leaks is not None and bool((self.leaks.kind == 1).all())

    @property
    def told(self) -> np.ndarray:
        """Rows worth telling: on its own version only twins of what it learned, not that itself."""
        return np.flatnonzero(self.leaks.kind > (1 if self.own else 0)) if self.leaks else np.empty(0, np.int64)


def leak_check_panel(model: int) -> html.Div:
    """The leaks of every evaluation of a model; they are looked for when the page is there."""
    return html.Div([dcc.Store(id="leaks-of", data=model), dcc.Store(id="leaks-shown"), html.Div(id="leaks")])


def register_leak_check(desk: Desk) -> None:
    bench = desk.bench

    @desk.answers(
        Output("leaks", "children"),
        Output("leaks-shown", "data"),
        Input("leaks-of", "data"),
        Input(ids.JOB_CHANGES, "data"),
        State("leaks-shown", "data"),
    )
    def draw(id, _, shown):
        found = [one.id for one in accuracy.evaluations(bench, model=id)]
        if shown == found:
            raise PreventUpdate
        return leak_check_view(bench, training.model(bench, id)), found


def leak_check_view(bench: Workbench, model: Artifact) -> html.Section:
    """The panel itself."""
    if model.summary.get("family") == "guest":
        return _panel(empty("accuracy", "What it has learned from is not known", "So no copy of it can be looked for."))
    known = list(_checked(bench, model))
    checked = [one for one in known if not one.learned]
    leaked = [one for one in checked if len(one.told)]
    validation = _validation(model.summary.get("leaks"))
    clean = [one for one in checked if one.leaks is not None and not len(one.told)]
    unknown = [one for one in checked if one.leaks is None]
    if not checked:
        alone = (
            "It has been evaluated on nothing but what it has learned from" if known else "It has not been evaluated"
        )
        return _panel(validation, _line(f"{alone}: there is no test set to look for leaks in."))
    if not leaked and not unknown:
        return _panel(
            validation,
            empty("accuracy", "No leaks found in what it was evaluated on", html.Span([*_clean(clean), HOW])),
        )
    return _panel(
        validation,
        *(block for one in leaked for block in _leaked(bench, model, one)),
        *(_line("No leaks found. ", *_clean([one])) for one in clean),
        *(_unknown(model, bench, one.version) for one in unknown),
        _line(HOW, className="caption"),
    )


def _panel(*children) -> html.Section:
    return panel("Leak check", *children, context="does it judge itself by what it has learned from?")


def _checked(bench: Workbench, model: Artifact) -> Iterator[_Checked]:
    for one in accuracy.evaluations(bench, model=model.id):
        version, own = library.version(bench, one.version), one.version == model.version
        yield _Checked(one, version, own, leaks.of_evaluation(bench, one.id))


def _validation(summary: dict | None) -> html.Div | None:
    """What was found when training began."""
    if summary is None:
        return None
    counts, n = summary["validation"], words.plural(summary["n_validation"], "validation structure")
    if any(counts.values()):
        return _line(f"{sum(counts.values())} of {n} stand in training too: {leaks.in_words(counts)}.")
    return _line(f"None of {n} stands in training too.")


def _leaked(bench: Workbench, model: Artifact, one: _Checked) -> list:
    """One evaluation's errors with and without leaks, and the pairs."""
    n = one.version.n_structures
    counts = {kind: count for kind, count in one.leaks.counts().items() if not (one.own and kind == "exact")}
    head = html.H3(
        [
            f"{words.count(len(one.told))} of {words.plural(n, 'structure')} of ",
            _link(one.version),
            f" stand in training too: {leaks.in_words(counts)}",
        ]
    )
    return [html.Div(head, className="body"), _errors(bench, one), _pairs(bench, model, one)]


def _pairs(bench: Workbench, model: Artifact, one: _Checked) -> html.Table:
    own = {id: row for row, id in enumerate(library.columns(bench, model.version).structure_id.tolist())}
    tested, learned = library.columns(bench, one.version.id), library.version(bench, model.version)
    groups, formulas = tested.group.values(), tested.composition.values()
    rows = []
    for row in one.told[:MOST].tolist():
        kind, twin = LEAKS[one.leaks.kind[row]], int(one.leaks.twin[row])
        rows.append(
            html.Tr(
                [
                    html.Td(f"#{row} {formulas[row]}", className="name"),
                    html.Td(groups[row] or words.DASH),
                    html.Td(f"#{own[twin]} of {learned.title}" if twin in own else f"structure {twin}, learned before"),
                    html.Td(html.Span(kind, className="pill", title=KINDS[kind])),
                    html.Td(_distance(float(one.leaks.distance[row])), className="n"),
                ]
            )
        )
    if (more := len(one.told) - MOST) > 0:
        rows.append(html.Tr(html.Td(f"and {words.count(more)} more", colSpan=5, className="muted")))
    names = ("Test structure", "Group", "Its twin", "Kind")
    head = html.Thead(html.Tr([*(html.Th(name) for name in names), html.Th(quantity("Distance,", "Å"), className="n")]))
    return html.Table([head, html.Tbody(rows)], className="table rows")


def _errors(bench: Workbench, one: _Checked) -> html.Table:
    """Errors of all structures, of those that do not leak, and of those that do."""
    overall = replace(accuracy.metrics(bench, one.evaluation.id)[0], group="all")
    kinds = accuracy.metrics(bench, one.evaluation.id, "leak")
    names = {
        LEAKS[0]: "without leaks",
        "exact": "exact copies",
        "symmetry": "copies by symmetry",
        "near": "near copies",
    }
    parts = [replace(row, group=names[row.group]) for row in kinds]
    order = list(names.values())
    return by_group([overall, *sorted(parts, key=lambda row: order.index(row.group))], "errors")


def _unknown(model: Artifact, bench: Workbench, version: VersionCard) -> html.Div:
    trained = library.version(bench, model.version)
    command = html.Code(f"isoline leaks {trained.title} {version.title}")
    return _line("Evaluated before leaks were looked for, on ", _link(version), ": ", command, " tells them.")


def _clean(checked: list[_Checked]) -> list:
    """One sentence for each evaluation without leaks."""
    sentences = []
    for one in checked:
        besides = ", besides what it has learned from," if one.own else ""
        n = words.plural(one.version.n_structures, "structure")
        sentences += [f"None of {n} of ", _link(one.version), f"{besides} has a twin in training or validation. "]
    return sentences


def _link(version: VersionCard) -> dcc.Link:
    # Underlined, since it stands amid words.
    address = dataset_link(version.dataset, version.version)
    return dcc.Link(version.title, href=address, style={"textDecoration": "underline"})


def _distance(distance: float) -> str:
    return "< 0.0001" if 0 < distance < 1e-4 else words.number(distance, 4)


def _line(*children, className: str = "") -> html.Div:
    return html.Div(list(children), className=f"body {className}".strip())
