"""What the training of linear potentials promises: it fits, adds labels, takes them away, and keeps to physics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput
from isoline_lab.potentials.committee import Committee
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.linear_checkpoint import LinearCheckpoint
from isoline_lab.training.linear_fit import fit_linear

RECIPE = Train(version=0, head="linear", members=3, cutoff=4.0, l_max=2, l_product=1, products=2, batch_size=4)


def labelled(atoms: Atoms) -> Frame:
    """A frame with energy, forces and stress of effective medium theory."""
    atoms.calc = EMT()
    structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    stress = atoms.get_stress() if atoms.pbc.all() else None
    return Frame(structure, Label("EMT", atoms.get_potential_energy(), atoms.get_forces(), stress))


@pytest.fixture(scope="module")
def alloy() -> list[Frame]:
    """Cells of four atoms of Cu and Au, strained and rattled."""
    rng = np.random.default_rng(0)
    frames = []
    for seed in range(36):
        atoms = bulk("Cu", cubic=True, a=3.8 * rng.uniform(0.97, 1.05))
        atoms.numbers[: seed % 5] = 79
        atoms.rattle(0.12, seed=seed)
        frames.append(labelled(atoms))
    return frames


def trained(recipe: Train, train: list[Frame], validation: list[Frame], **options) -> Epoch:
    """The one epoch."""
    (epoch,) = [epoch for epoch in fit_linear(recipe, train, validation, **options) if epoch.number]
    return epoch


@pytest.fixture(scope="module")
def epoch(alloy) -> Epoch:
    return trained(RECIPE, alloy[:24], alloy[30:])


def stripped(frame: Frame, *kinds: str) -> Frame:
    """A frame that keeps only these labels."""
    return Frame(frame.structure, Label("EMT", **{kind: getattr(frame.label, kind) for kind in kinds}))


def agree(one: LinearCheckpoint, other: LinearCheckpoint) -> None:
    """As potentials: the mean of the members, to the precision of the solver."""
    ours, theirs = (state.coefficients.mean(1) for state in (one, other))
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-8
    assert (one.noise.energy, one.noise.force, one.noise.stress) == pytest.approx(
        (other.noise.energy, other.noise.force, other.noise.stress), rel=1e-8
    )


def test_errors_are_far_below_those_of_knowing_nothing(alloy, epoch):
    size = np.sqrt(np.mean([np.mean(frame.label.forces**2) for frame in alloy[30:]]))
    assert epoch.best_force_rmse < 0.15 * size
    assert epoch.best_energy_rmse < 0.02
    assert epoch.train_loss.shape == epoch.validation_loss.shape == epoch.energy_rmse.shape == (3,)
    assert epoch.best_epoch == epoch.number == epoch.total == 1


def test_validation_errors_are_those_of_the_committee(alloy, epoch):
    predictions = list(epoch.committee().predict([frame.structure for frame in alloy[30:]]))
    errors = [p.mean_energy - f.label.energy for p, f in zip(predictions, alloy[30:], strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) / 4 == pytest.approx(epoch.best_energy_rmse, rel=1e-3)
    errors = [p.mean_forces - f.label.forces for p, f in zip(predictions, alloy[30:], strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(epoch.best_force_rmse, rel=1e-3)


def test_forces_are_minus_the_energy_gradient_of_every_member(alloy, epoch):
    committee, structure = epoch.committee().to(torch.float64), alloy[3].structure
    (prediction,) = committee.predict([structure])
    step = 1e-4
    for atom, axis in ((0, 0), (2, 1), (3, 2)):
        moved = []
        for sign in (-1, 1):
            positions = structure.positions.copy()
            positions[atom, axis] += sign * step
            moved.append(Structure(structure.numbers, positions, structure.cell, structure.pbc))
        low, high = committee.predict(moved)
        # Central differences err by O(step²) = 1e-8 times third derivatives of order ten to hundred.
        np.testing.assert_allclose(
            prediction.forces[:, atom, axis], -(high.energy - low.energy) / (2 * step), atol=2e-6
        )


def test_the_mean_of_the_members_does_not_depend_on_their_number(alloy, epoch):
    more = trained(RECIPE.model_copy(update={"members": 8}), alloy[:24], alloy[30:])
    agree(more.state, epoch.state)
    (one,), (other,) = (e.committee().to(torch.float64).predict([alloy[31].structure]) for e in (epoch, more))
    # The weights of a committee are kept in float32.
    np.testing.assert_allclose(one.mean_forces, other.mean_forces, atol=1e-4)


def test_training_repeats_itself(alloy, epoch):
    again = trained(RECIPE, alloy[:24], alloy[30:])
    assert torch.equal(again.state.coefficients, epoch.state.coefficients)


def test_something_is_heard_before_the_end(alloy):
    records = list(fit_linear(RECIPE, alloy[:8], alloy[8:10]))
    assert {"baseline", "features", "linear potential"} <= {record.stage for record in records if not record.number}
    assert all(0.0 <= record.progress <= 1.0 for record in records)


def test_added_structures_give_what_a_fit_to_all_of_them_gives(alloy, epoch):
    """With the same features, which a warm start keeps: here those of twenty-four structures."""
    grown = trained(RECIPE, alloy[:30], alloy[30:], start=epoch.state, warm=True)
    # A structure that is nowhere to be found makes the sums begin anew.
    elsewhere = trained(RECIPE, alloy[1:24], alloy[30:], start=epoch.state, warm=True)
    refitted = trained(RECIPE, alloy[:30], alloy[30:], start=_forgetful(elsewhere.state), warm=True)
    agree(grown.state, refitted.state)


def _forgetful(state: LinearCheckpoint) -> LinearCheckpoint:
    """A state that claims to hold a structure that nobody has, so that nothing of it can be kept."""
    return replace(state, held=("unknown",))


def test_structures_that_move_to_the_validation_set_leave_no_trace(alloy, epoch):
    smaller = trained(RECIPE, alloy[:20], alloy[20:24], start=epoch.state, warm=True)
    anew = trained(RECIPE, alloy[:20], alloy[20:24], start=_forgetful(epoch.state), warm=True)
    agree(smaller.state, anew.state)
    assert len(smaller.state.held) == 20


def test_what_was_learned_before_is_not_computed_again(alloy, epoch):
    """So that it takes the time of the new structures: forged sums show that they are taken over as they are."""
    energies = epoch.state.equations["energy"]
    forged = replace(epoch.state, equations={**epoch.state.equations, "energy": replace(energies, count=1000)})
    after = trained(RECIPE, alloy[:25], alloy[30:], start=forged, warm=True)
    assert after.state.equations["energy"].count == 1001


def test_a_relabelled_structure_is_learned_anew(alloy, epoch):
    other = Frame(alloy[0].structure, Label("EMT", alloy[0].label.energy + 0.1, alloy[0].label.forces))
    after = trained(RECIPE, [other, *alloy[1:24]], alloy[30:], start=epoch.state, warm=True)
    assert after.state.equations["energy"].count == 24
    assert after.state.equations["stress"].count == 6 * 23


@pytest.mark.parametrize("kinds", [("energy",), ("forces",), ("stress",), ("energy", "forces")])
def test_any_kind_of_labels_is_enough(alloy, kinds):
    frames = [stripped(frame, *kinds) for frame in alloy]
    found = trained(RECIPE, frames[:24], frames[30:])
    assert np.isfinite(found.validation_loss).all()
    assert {"energy": "energy", "forces": "force", "stress": "stress"}[kinds[0]] in vars(found.state.noise)
    assert np.isnan(found.state.noise.stress) == ("stress" not in kinds)
    assert np.isnan(found.best_force_rmse) == ("forces" not in kinds)


def test_labels_that_some_structures_lack_are_left_out(alloy):
    frames = [stripped(f, "energy") if k % 2 else stripped(f, "energy", "forces") for k, f in enumerate(alloy)]
    found = trained(RECIPE, frames[:24], frames[30:])
    assert found.state.equations["force"].count == 12 * 12
    assert found.state.equations["energy"].count == 24


def test_structures_without_a_cell_can_be_learned_from():
    rng = np.random.default_rng(1)
    frames = []
    for seed in range(12):
        atoms = Atoms("Cu4", 2.4 * rng.permutation([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))
        atoms.rattle(0.1, seed=seed)
        frames.append(labelled(atoms))
    found = trained(RECIPE, frames[:9], frames[9:])
    assert np.isfinite([found.best_energy_rmse, found.best_force_rmse]).all()


def test_a_checkpoint_survives_its_bytes(alloy, epoch):
    again = LinearCheckpoint.from_bytes(epoch.state.to_bytes())
    assert again.held == epoch.state.held
    assert again.best == epoch.state.best
    assert again.noise == epoch.state.noise
    for kind, found in epoch.state.equations.items():
        # Half of a product of a matrix with itself is kept; its halves may differ by round-off.
        torch.testing.assert_close(again.equations[kind].gram, found.gram, rtol=1e-12, atol=1e-9)
    one, other = (trained(RECIPE, alloy[:26], alloy[30:], start=s, warm=True) for s in (again, epoch.state))
    agree(one.state, other.state)
    (ours,), (theirs,) = (s.committee().predict([alloy[0].structure]) for s in (again, epoch.state))
    assert np.array_equal(ours.forces, theirs.forces)


def test_a_finished_training_goes_on_by_being_finished(alloy, epoch):
    (again,) = fit_linear(RECIPE, alloy[:24], alloy[30:], start=epoch.state)
    assert again.number == 1
    assert again.checkpoint() is epoch.state
    with pytest.raises(InvalidInput, match="other structures"):
        list(fit_linear(RECIPE, alloy[:23], alloy[30:], start=epoch.state))


def test_a_saved_committee_predicts_the_same(alloy, epoch):
    committee = epoch.committee()
    (ours,), (theirs,) = (c.predict([alloy[5].structure]) for c in (committee, Committee.load(committee.save())))
    assert np.array_equal(ours.forces, theirs.forces)
    assert np.array_equal(ours.stress, theirs.stress)


def test_structures_of_unseen_elements_and_other_features_are_refused(alloy, epoch):
    silver = labelled(bulk("Ag", cubic=True))
    with pytest.raises(InvalidInput, match="does not know Ag"):
        list(fit_linear(RECIPE, [*alloy[:24], silver], alloy[30:], start=epoch.state, warm=True))
    other = RECIPE.model_copy(update={"cutoff": 4.5})
    with pytest.raises(InvalidInput, match="cutoff"):
        list(fit_linear(other, alloy[:24], alloy[30:], start=epoch.state, warm=True))


def test_structures_without_labels_are_refused(alloy):
    with pytest.raises(InvalidInput, match="validation set"):
        list(fit_linear(RECIPE, alloy[:24], [stripped(alloy[30])]))


def test_foreign_bytes_are_refused(epoch):
    with pytest.raises(InvalidInput, match="not a checkpoint"):
        LinearCheckpoint.from_bytes(b"something else")
    with pytest.raises(InvalidInput, match="not a checkpoint"):
        LinearCheckpoint.from_bytes(epoch.state.to_bytes()[:-100])
