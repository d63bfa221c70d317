"""Learning what another potential leaves over, and learning from what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule

from isoline.domain.guest import BUILT_IN
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput, NotFound
from isoline_lab.potentials.delta import DeltaPotential, left_over, taught
from isoline_lab.potentials.files import load_potential
from isoline_lab.potentials.guest import GuestPotential, find

COPPER = find("emt", BUILT_IN)
PAIRS = find("lennard-jones", BUILT_IN)


def frames() -> list[Frame]:
    """Copper by EMT, a crystal and a cluster."""
    made = []
    for index, atoms in enumerate((bulk("Cu", cubic=True), bulk("Cu", cubic=True), molecule("H2O"))):
        if index == 2:
            atoms.numbers[:] = 29
            atoms.positions *= 2.5
        atoms.rattle(0.1, seed=index)
        structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        made.append(Frame(structure, index=index))
    return list(taught(made, GuestPotential(COPPER), "EMT"))


def test_a_teacher_labels_under_its_own_name():
    (first, _, cluster) = frames()
    assert first.label.level_of_theory == "EMT"
    assert first.label.stress.shape == (6,)
    assert cluster.label.stress is None
    assert np.isfinite(first.label.energy)


def test_what_is_known_and_what_is_left_over_are_the_labels():
    known = GuestPotential(PAIRS, {"epsilon": 0.2, "sigma": 2.2})
    given = frames()
    rest = list(left_over(given, known))
    # EMT less Lennard-Jones, as learned by one who learns perfectly
    for label, remainder, said in zip(given, rest, known.predict(f.structure for f in given), strict=True):
        assert remainder.label.energy + said.mean_energy == pytest.approx(label.label.energy)
        np.testing.assert_allclose(remainder.label.forces + said.mean_forces, label.label.forces)
        assert (remainder.label.stress is None) == (label.label.stress is None)
    assert abs(rest[0].label.energy - given[0].label.energy) > 0.1


def test_labels_that_are_not_there_stay_away():
    given = [replace(frame, label=Label("EMT", energy=1.0)) for frame in frames()]
    for frame in left_over(given, GuestPotential(PAIRS)):
        assert frame.label.forces is None
        assert frame.label.stress is None


def test_a_delta_potential_is_the_sum_of_both_and_survives_its_files():
    known, learned = GuestPotential(PAIRS, {"epsilon": 0.2, "sigma": 2.2}), GuestPotential(COPPER)
    both = DeltaPotential(known, learned)
    again = load_potential(both.save())
    structures = [frame.structure for frame in frames()]
    for sum_, read, first, second in zip(
        both.predict(structures),
        again.predict(structures),
        known.predict(structures),
        learned.predict(structures),
        strict=True,
    ):
        np.testing.assert_allclose(sum_.energy, first.energy + second.energy)
        np.testing.assert_allclose(sum_.forces, first.forces + second.forces)
        np.testing.assert_allclose(sum_.atom_energies.sum(1), sum_.energy)
        np.testing.assert_array_equal(read.energy, sum_.energy)
        assert (sum_.stress is None) == (first.stress is None)
    assert again.elements == COPPER.elements
    assert again.receptive_field == float("inf")


def test_files_of_unknown_families_and_guests_are_refused():
    both = json.loads(DeltaPotential(GuestPotential(PAIRS), GuestPotential(COPPER)).save()["model.json"])
    with pytest.raises(InvalidInput, match="the model is a quantum"):
        load_potential({"model.json": json.dumps(both | {"family": "quantum"}).encode()})
    both["known"]["guest"] = "stranger"
    with pytest.raises(NotFound, match="stranger"):
        load_potential({"model.json": json.dumps(both).encode()})
    for broken in (b"", b"[]", b"{}", b'{"family": "delta"}'):
        with pytest.raises(InvalidInput):
            load_potential({"model.json": broken})
    with pytest.raises(InvalidInput):
        load_potential({})
