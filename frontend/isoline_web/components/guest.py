"""What a guest is and how far it is from a dataset: the place of a training's summary on its page."""

from __future__ import annotations

from dash import dcc, html

from isoline.domain.artifact import Artifact
from isoline.domain.dataset import VersionCard

from .. import words
from ..router import dataset_link
from .panel import facts, panel, quantity
from .scores import MEV


def is_guest(model: Artifact) -> bool:
    """Whether a model was made by others."""
    return model.summary.get("family") == "guest"


def guest_summary(model: Artifact, version: VersionCard) -> html.Section:
    """Errors on the structures it was asked about when it was added, with and without fitted energies of atoms."""
    summary = model.summary
    asked = summary.get("n_train", 0)
    cost = summary.get("seconds_per_atom")
    return panel(
        "Summary",
        facts(
            ("Energy RMSE as it is", _energy(summary.get("energy_rmse_unshifted"))),
            ("with energies of atoms fitted", _energy(summary.get("energy_rmse") if asked else None)),
            ("Force RMSE", quantity(words.number(summary.get("force_rmse"), 3), "eV/Å")),
            ("Time per atom", quantity(words.number(None if cost is None else 1000 * cost, 2), "ms")),
            ("Asked about", dcc.Link(version.title, href=dataset_link(version.dataset, version.version))),
            ("Structures fitted to", words.count(asked)),
            ("Elements it knows", words.count(len(summary.get("elements", ())))),
            ("Licence", html.Span(summary.get("licence", ""), title=summary.get("licence", ""))),
            className="flat four two-rows",
        ),
        context=summary.get("what", ""),
    )


def _energy(value: float | None) -> list:
    return quantity(words.number(None if value is None else value * MEV, 1), "meV/atom")
