"""Calculators of others as potentials: in this process, in one of their own, and what happens when they fail."""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from isoline.domain.guest import BUILT_IN, Guest
from isoline.domain.structure import Structure
from isoline.errors import InvalidInput, NotFound, Unavailable
from isoline_lab.oracles.xtb import TightBinding
from isoline_lab.potentials.guest import GuestPotential, find
from isoline_lab.potentials.guest_process import GuestProcess
from isoline_lab.potentials.guest_server import answer, length_of, packed, unpacked

STEP = 1e-4


def structure_of(atoms: Atoms) -> Structure:
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def guest(calculator: str = "ase.calculators.emt:EMT", **fields) -> Guest:
    """A guest in a second process of this very interpreter."""
    return Guest(
        name="other", what="a test", licence="none", calculator=calculator, interpreter=sys.executable, **fields
    )


@pytest.fixture
def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def predict(potential: GuestPotential, *systems: Atoms):
    return list(potential.predict([structure_of(atoms) for atoms in systems]))


@pytest.mark.parametrize("where", ["here", "in another process"])
def test_a_guest_says_what_its_calculator_says(copper, where):
    potential = GuestPotential(find("emt", BUILT_IN) if where == "here" else guest())
    slab = fcc111("Au", (1, 1, 2), vacuum=5.0)
    (first, second) = predict(potential, copper, slab)
    copper.calc, slab.calc = EMT(), EMT()
    assert first.energy.tolist() == [copper.get_potential_energy()]
    np.testing.assert_array_equal(first.forces[0], copper.get_forces())
    np.testing.assert_array_equal(first.stress[0], copper.get_stress())
    np.testing.assert_allclose(first.atom_energies[0], copper.get_potential_energies())
    assert second.energy[0] == slab.get_potential_energy()
    assert second.stress is None
    assert np.isnan(first.energy_spread)
    potential.close()


def test_energies_are_shifted_to_the_zero_of_a_dataset(copper):
    potential = GuestPotential(find("emt", BUILT_IN))
    (plain,), (shifted,) = predict(potential, copper), predict(potential.with_shifts({29: -1.5}), copper)
    np.testing.assert_allclose(shifted.energy, plain.energy - 6.0)
    np.testing.assert_allclose(shifted.atom_energies.sum(1), shifted.energy)
    np.testing.assert_array_equal(shifted.forces, plain.forces)


@pytest.mark.parametrize("name", ["ethanol", "radical"])
def test_tight_binding_is_that_of_the_oracle(name):
    atoms = molecule("CH3CH2OH" if name == "ethanol" else "CH3")
    (found,) = predict(GuestPotential(find("gfn2-xtb", BUILT_IN)), atoms)
    label = TightBinding().label(atoms)
    assert found.energy[0] == pytest.approx(label.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(found.forces[0], label.get_forces(), atol=1e-5)


def test_a_guest_is_saved_by_name_and_settings_only(copper):
    potential = GuestPotential(find("lennard-jones", BUILT_IN), {"epsilon": 0.4, "sigma": 2.2}, {29: -3.0})
    files = potential.save()
    assert set(files) == {"model.json"}
    assert not {"calculator", "interpreter", "arguments", "environment"} & set(json.loads(files["model.json"]))
    (again,), (before,) = predict(GuestPotential.load(files), copper), predict(potential, copper)
    assert again.energy == before.energy
    copper.calc = LennardJones(epsilon=0.4, sigma=2.2, rc=10.0, smooth=True)
    assert before.energy[0] == pytest.approx(copper.get_potential_energy() - 12.0)


def test_files_cannot_name_a_calculator_of_their_own():
    about = json.loads(GuestPotential(find("emt", BUILT_IN)).save()["model.json"])
    with pytest.raises(NotFound, match="os:system"):
        GuestPotential.load({"model.json": json.dumps(about | {"guest": "os:system"}).encode()})
    with pytest.raises(InvalidInput, match="no setting interpreter"):
        GuestPotential.load({"model.json": json.dumps(about | {"settings": {"interpreter": "x"}}).encode()})
    for broken in (b"", b"[]", b'{"family": "guest"}'):
        with pytest.raises(InvalidInput):
            GuestPotential.load({"model.json": broken})


def test_a_molecule_in_vacuum_is_the_molecule(copper):
    gold = molecule("H2O")
    gold.numbers[:] = [79, 29, 29]
    gold.positions *= 2.5
    arrays = {name: getattr(structure_of(gold), name) for name in ("numbers", "positions", "cell", "pbc")}
    alone, enclosed = answer(EMT(), arrays, None), answer(EMT(), arrays, 12.0)
    np.testing.assert_allclose(enclosed["energy"], alone["energy"])
    np.testing.assert_allclose(enclosed["forces"], alone["forces"], atol=1e-12)
    assert "stress" not in enclosed
    slab = fcc111("Cu", (2, 2, 2), a=3.6)
    slab.cell[2] = 0.0
    arrays = {name: getattr(structure_of(slab), name) for name in ("numbers", "positions", "cell", "pbc")}
    np.testing.assert_allclose(answer(EMT(), arrays, 12.0)["energy"], answer(EMT(), arrays, None)["energy"])


def test_unknown_elements_are_named():
    with pytest.raises(InvalidInput, match=r"\[14\]"):
        predict(GuestPotential(find("emt", BUILT_IN)), bulk("Si"))


def test_a_structure_that_cannot_be_computed_is_told_and_the_guest_lives(copper):
    potential = GuestPotential(guest())
    with pytest.raises(InvalidInput, match="structure 1"):
        predict(potential, copper, bulk("Si"))  # this guest claims to know all elements
    assert len(predict(potential, copper)) == 1
    potential.close()


def test_what_a_guest_prints_does_not_disturb_the_frames(copper):
    # the built-in print returns no calculator, which shows only when it is asked
    with pytest.raises(InvalidInput, match="structure 0"):
        predict(GuestPotential(guest("builtins:print", arguments={"end": "noise on stdout"})), copper)


def test_a_guest_that_dies_is_told_with_its_last_words(copper):
    with pytest.raises(Unavailable, match=r"other stopped working \(exit status 7\)"):
        predict(GuestPotential(guest("os:_exit", arguments={"status": 7})), copper)
    with pytest.raises(Unavailable) as caught:
        predict(GuestPotential(guest("faulthandler:_sigsegv")), copper)
    assert "wrote" in caught.value.hint


def test_a_guest_that_is_killed_between_structures_starts_again(copper):
    potential = GuestPotential(guest())
    (before,) = predict(potential, copper)
    potential._maker._process.kill()
    with pytest.raises(Unavailable, match="stopped working"):
        predict(potential, copper)
    (after,) = predict(potential, copper)
    assert after.energy == before.energy
    potential.close()


def test_a_silent_guest_is_ended_in_time(copper):
    began = time.monotonic()
    with pytest.raises(Unavailable, match="did not load within 1 s"):
        predict(GuestPotential(guest("signal:pause", start_s=1.0)), copper)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("interpreter", "calculator", "says"),
    [("/nowhere/python", "ase.calculators.emt:EMT", "cannot be started"), (sys.executable, "nowhere:X", "nowhere")],
)
def test_a_guest_that_is_not_installed_is_unavailable(copper, interpreter, calculator, says):
    missing = guest(calculator).model_copy(update={"interpreter": interpreter})
    with pytest.raises(Unavailable, match=says):
        predict(GuestPotential(missing), copper)


def test_a_guest_sees_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("ISOLINE_STORE_DB", "postgresql://secret")
    process = GuestProcess(guest(environment={"COLOUR": "green"}))
    environment = Path(f"/proc/{process._process.pid}/environ").read_bytes()
    assert b"secret" not in environment
    assert b"COLOUR=green" in environment
    assert Path(f"/proc/{process._process.pid}/cwd").resolve() != Path.cwd()
    process.close()


def test_a_guest_nobody_needs_any_more_ends():
    process = GuestProcess(guest())
    running = process._process
    folder = Path(process._folder.name)
    del process
    gc.collect()
    assert running.poll() is not None
    assert not folder.exists()


def test_frames_carry_numbers_bit_for_bit_and_noise_is_no_frame():
    numbers = np.random.default_rng(0).normal(size=(5, 3))
    frame = packed({"a": "ü"}, numbers=numbers)
    assert length_of(frame[:16]) == len(frame) - 16
    about, arrays = unpacked(frame[16:])
    assert about == {"a": "ü"}
    np.testing.assert_array_equal(arrays["numbers"], numbers)
    with pytest.raises(ValueError, match="no frame"):
        length_of(b"Traceback (most ")


@pytest.mark.slow
def test_chgnet_holds_atoms_with_forces_that_are_its_energys_slope():
    """Needs ISOLINE_CHGNET, the Python of an environment with chgnet."""
    interpreter = os.environ.get("ISOLINE_CHGNET")
    if interpreter is None:
        pytest.skip("ISOLINE_CHGNET names no interpreter with chgnet")
    chgnet = find("chgnet", BUILT_IN).model_copy(update={"interpreter": interpreter})
    potential = GuestPotential(chgnet)
    systems = []
    for shift in (0.0, 0.01, -0.01):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=1)
        atoms.positions[0, 0] += shift
        systems.append(atoms)
    at, plus, minus = predict(potential, *systems)
    # float32 energies of −42 eV differ by steps of 4e-6 eV
    assert at.forces[0, 0, 0] == pytest.approx(-(plus.energy[0] - minus.energy[0]) / 0.02, abs=5e-3)
    assert at.stress.shape == (1, 6)
    assert len(predict(potential, molecule("H2O"))) == 1
    potential.close()
