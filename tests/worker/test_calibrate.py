"""Calibration of a potential whose members are known to be too sure of themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput
from isoline_lab.potentials.potential import Potential
from isoline_lab.potentials.prediction import Prediction
from isoline_lab.training.calibrate import calibrate, calibration_of, spreads_and_errors, with_calibration

MEMBERS, TIMES = 8, 3.0


class TooSure(Potential):
    """Members scatter about their mean by a random size; the mean is off the truth (zero) by TIMES that size."""

    family, elements, cutoff, members, n_parameters, recipe, warnings = "test", (14,), 5.0, MEMBERS, 0, {}, ()

    def __init__(self, members: int = MEMBERS):
        self.members = members

    def predict(self, structures, batch_atoms=512):
        random = np.random.default_rng(0)
        for structure in structures:
            n = len(structure)
            size = np.exp(random.normal(-3, 0.7, n))[:, None]
            forces = TIMES * size * random.normal(size=(n, 3)) + size * random.normal(size=(self.members, n, 3))
            level = np.exp(random.normal(-5, 0.7))
            shift = TIMES * level * random.normal() + level * random.normal(size=self.members)
            atom_energies = np.repeat(shift[:, None], n, axis=1)
            yield Prediction(atom_energies.sum(1), atom_energies, forces, None)

    def save(self):
        return {}


def frames(n: int, forces: bool = True) -> list[Frame]:
    structures = [
        Structure(np.full(12, 14), np.random.default_rng(i).normal(size=(12, 3)), np.eye(3), [False] * 3)
        for i in range(n)
    ]
    return [Frame(one, Label("", 0.0, np.zeros((12, 3)) if forces else None)) for one in structures]


def test_members_that_are_too_sure_are_found_out():
    found = calibrate(TooSure(), frames(200))
    # the mean of the members is itself off by their scatter: √(3² + 1/8)
    wanted = np.sqrt(TIMES**2 + 1 / MEMBERS)
    some = np.array([0.05, 0.1])
    np.testing.assert_allclose(found.forces.spread(some) / some, wanted, rtol=0.15)
    np.testing.assert_allclose(found.energy.spread(some / 10) / (some / 10), wanted, rtol=0.25)
    assert found.forces.components == 3
    assert found.forces.law.tail is not None  # a spread of eight members is uncertain: Student's t
    assert found.energy.n_structures == 200


def test_spreads_are_those_that_predictions_report():
    some = frames(3)
    found = spreads_and_errors(TooSure(), some)
    predictions = list(TooSure().predict([frame.structure for frame in some]))
    np.testing.assert_array_equal(found.energy_spread, [p.energy_spread for p in predictions])
    np.testing.assert_array_equal(found.force_spread, np.concatenate([p.force_spread for p in predictions]))
    np.testing.assert_array_equal(found.structure, np.repeat([0, 1, 2], 12))
    assert found.force_error.shape == (36, 3)
    np.testing.assert_allclose(found.energy_error, [p.mean_energy / 12 for p in predictions])


@pytest.mark.parametrize("n", [0, 3])
def test_too_few_structures_calibrate_nothing(n):
    found = calibrate(TooSure(), frames(n))
    assert (found.energy, found.forces) == (None, None)


def test_missing_forces_and_lone_members_leave_out_what_they_leave_out():
    found = calibrate(TooSure(), frames(30, forces=False))
    assert found.forces is None
    assert found.energy is not None
    alone = calibrate(TooSure(members=1), frames(30))
    assert alone.as_dict() == {}


def test_a_calibration_travels_with_the_files_of_its_model():
    found = calibrate(TooSure(), frames(50))
    files = {"model.json": b'{"family": "test", "cutoff": 5.0}', "model.safetensors": b"weights"}
    kept = with_calibration(files, found)
    assert calibration_of(kept) == found
    assert json.loads(kept["model.json"])["family"] == "test"
    assert kept["model.safetensors"] == b"weights"
    assert calibration_of(files).as_dict() == {}
    with pytest.raises(InvalidInput):
        calibration_of({"model.json": b'{"calibration": {"forces": 3}}'})
