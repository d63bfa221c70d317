"""Models and checkpoints written before there were several families (format 1) are still what they were.

The files in data/format_1 were made by the program of revision 642f343, and `expected.json` by its predictions then.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame, Label, Structure
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.files import load_potential
from isoline_lab.training.checkpoint import Checkpoint
from isoline_lab.training.fit import fit, read_checkpoint

FOLDER = Path(__file__).parent / "data" / "format_1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


def structure(about: dict) -> Structure:
    return Structure(np.array(about["numbers"]), np.array(about["positions"]), np.array(about["cell"]), about["pbc"])


def old_model() -> Committee:
    return load_potential({name: (FOLDER / name).read_bytes() for name in ("model.json", "model.safetensors")})


def old_checkpoint() -> Checkpoint:
    return read_checkpoint((FOLDER / "checkpoint.safetensors").read_bytes())


MAKERS = {
    "model": old_model,
    "checkpoint": lambda: old_checkpoint().committee(),
    "checkpoint saved anew": lambda: read_checkpoint(old_checkpoint().to_bytes()).committee(),
    "model saved anew": lambda: load_potential(old_model().save()),
}


@pytest.mark.parametrize("system", ["crystal", "cluster"])
@pytest.mark.parametrize("source", MAKERS)
def test_predictions_are_what_they_were(source, system):
    expected = EXPECTED[source.partition(" ")[0]][system]
    (found,) = MAKERS[source]().to(torch.float64).predict([structure(expected)])
    # The same numbers in another order of summation.
    np.testing.assert_allclose(found.energy, expected["energy"], atol=1e-9)
    np.testing.assert_allclose(found.forces, expected["forces"], atol=1e-9)
    if expected["stress"] is None:
        assert found.stress is None
    else:
        np.testing.assert_allclose(found.stress, expected["stress"], atol=1e-10)


def test_recipes_are_read_with_what_was_chosen_then():
    recipe = Train.model_validate(old_model().recipe)
    assert (recipe.family, recipe.members, recipe.inputs, recipe.hidden) == ("behler-parrinello", 2, 6, (4, 3))
    assert (recipe.epochs, recipe.n_radial, recipe.n_angular) == (4, 3, 2)


def test_training_goes_on_from_an_old_potential():
    start = old_checkpoint()
    recipe = Train.model_validate(start.recipe).model_copy(update={"epochs": 1})
    frames = [
        Frame(structure(EXPECTED["model"][name]), Label(energy=energy, forces=np.zeros((atoms, 3))))
        for name, energy, atoms in (("crystal", 0.1, 4), ("cluster", 3.0, 3))
    ]
    *_, last = fit(recipe, frames, frames[:1], start=start, warm=True)
    assert last.number == 1
    assert np.isfinite(last.validation_loss).all()
