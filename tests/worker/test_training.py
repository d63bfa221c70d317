"""What training promises: it learns, repeats itself, resumes, and uses whatever labels there are."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput
from isoline_lab.calculator import IsolineCalculator
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.potentials.reference import fit_reference
from isoline_lab.training.batch_store import BatchStore
from isoline_lab.training.checkpoint import Checkpoint
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.evaluate import evaluate
from isoline_lab.training.fit import fit
from isoline_lab.training.learner import Learner
from isoline_lab.training.loss import LossWeights, batch_loss, predict_batch
from isoline_lab.training.optimiser import AdamW

SMALL = {
    "version": 0,
    "members": 3,
    "cutoff": 4.0,
    "hidden": (8, 8),
    "epochs": 12,
    "batch_size": 4,
    "learning_rate": 0.01,
}
RECIPES = {
    "behler-parrinello": Train(family="behler-parrinello", n_radial=6, n_angular=3, inputs=24, **SMALL),
    "body-ordered": Train(family="body-ordered", l_max=1, l_product=1, products=2, inputs=16, **SMALL),
}


@pytest.fixture(params=RECIPES)
def recipe(request) -> Train:
    """A small recipe of each family of networks on fixed features."""
    return RECIPES[request.param]


def labelled(atoms: Atoms) -> Frame:
    """A frame with energy, forces and stress of effective medium theory."""
    atoms.calc = EMT()
    structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
    stress = atoms.get_stress() if atoms.pbc.all() else None
    return Frame(structure, Label("EMT", atoms.get_potential_energy(), atoms.get_forces(), stress))


@pytest.fixture(scope="module")
def alloy() -> list[Frame]:
    """Thirty cells of four atoms of Cu and Au, strained and rattled."""
    rng = np.random.default_rng(0)
    frames = []
    for seed in range(30):
        atoms = bulk("Cu", cubic=True, a=3.8 * rng.uniform(0.97, 1.05))
        atoms.numbers[: seed % 5] = 79
        atoms.rattle(0.12, seed=seed)
        frames.append(labelled(atoms))
    return frames


def epochs(recipe: Train, train: list[Frame], validation: list[Frame], **options) -> list[Epoch]:
    """Whole epochs only."""
    return [epoch for epoch in fit(recipe, train, validation, **options) if epoch.number]


def stripped(frame: Frame, *kinds: str) -> Frame:
    """A frame that keeps only these labels."""
    return Frame(frame.structure, Label("EMT", **{kind: getattr(frame.label, kind) for kind in kinds}))


def learner_of(committee: Committee) -> Learner:
    return Learner(committee.features, committee.projection, committee.baseline)


def same_weights(one: Committee, other: Committee) -> bool:
    ours, theirs = one.networks.state_dict(), other.networks.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_training_lowers_the_errors_of_every_member(recipe, alloy):
    history = epochs(recipe.model_copy(update={"epochs": 40}), alloy[:24], alloy[24:])
    assert (history[-1].train_loss < 0.5 * history[0].train_loss).all()
    assert history[-1].best_energy_rmse < 0.03
    # Forces of a potential that knows nothing would err by their own size.
    assert history[-1].best_force_rmse < 0.2 * np.sqrt(np.mean([np.mean(f.label.forces**2) for f in alloy]))
    assert history[-1].energy_rmse.shape == history[-1].validation_loss.shape == (3,)


def test_something_is_heard_before_the_first_epoch(recipe, alloy):
    records = list(fit(recipe.model_copy(update={"epochs": 1}), alloy[:8], alloy[8:10]))
    stages = {record.stage for record in records if record.number == 0}
    assert {"baseline", "features", "linear potential"} <= stages
    assert all(0.0 <= record.fraction <= 1.0 for record in records)


def test_the_same_seed_gives_the_same_potential_and_another_seed_another(recipe, alloy):
    recipe = recipe.model_copy(update={"epochs": 3})
    one, two = (epochs(recipe, alloy[:12], alloy[12:16])[-1].committee() for _ in range(2))
    other = epochs(recipe.model_copy(update={"seed": 1}), alloy[:12], alloy[12:16])[-1].committee()
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_a_resumed_training_ends_where_an_undisturbed_one_does(recipe, alloy):
    undisturbed = epochs(recipe, alloy[:12], alloy[12:16])
    saved = undisturbed[4].checkpoint().to_bytes()
    resumed = epochs(recipe, alloy[:12], alloy[12:16], start=Checkpoint.from_bytes(saved))
    assert [epoch.number for epoch in resumed] == list(range(6, 13))
    np.testing.assert_array_equal(resumed[-1].validation_loss, undisturbed[-1].validation_loss)
    assert same_weights(resumed[-1].committee(), undisturbed[-1].committee())
    assert resumed[-1].best_epoch == undisturbed[-1].best_epoch


def test_a_finished_training_can_be_asked_for_its_potential_again(recipe, alloy):
    recipe = recipe.model_copy(update={"epochs": 2})
    last = epochs(recipe, alloy[:8], alloy[8:12])[-1]
    (again,) = epochs(recipe, alloy[:8], alloy[8:12], start=last.checkpoint())
    assert again.number == 2
    assert same_weights(again.committee(), last.committee())


def test_a_checkpoint_of_other_data_is_refused_unless_started_warm(recipe, alloy):
    recipe = recipe.model_copy(update={"epochs": 2})
    earlier = epochs(recipe, alloy[:12], alloy[12:16])[-1]
    with pytest.raises(InvalidInput, match="other structures"):
        epochs(recipe, alloy[:20], alloy[20:24], start=earlier.checkpoint())
    warm = epochs(recipe, alloy[:14], alloy[14:18], start=earlier.checkpoint(), warm=True)
    assert [epoch.number for epoch in warm] == [1, 2]
    fresh = epochs(recipe, alloy[:12], alloy[12:16])[0]
    warm = epochs(recipe, alloy[:12], alloy[12:16], start=earlier.checkpoint(), warm=True)[0]
    assert warm.validation_loss.mean() < fresh.validation_loss.mean()


def test_a_warm_start_keeps_features_and_refuses_another_family(recipe, alloy):
    short = recipe.model_copy(update={"epochs": 1})
    earlier = epochs(short, alloy[:8], alloy[8:12])[-1].checkpoint()
    warm = epochs(short, alloy[4:12], alloy[12:16], start=earlier, warm=True)[-1].committee()
    assert warm.features.as_dict() == earlier.learner.features.as_dict()
    torch.testing.assert_close(warm.projection.matrix, earlier.learner.projection.matrix)
    (other,) = [each for family, each in RECIPES.items() if family != recipe.family]
    with pytest.raises(InvalidInput, match="family"):
        epochs(other, alloy[:8], alloy[8:12], start=earlier, warm=True)


def test_a_warm_start_needs_a_model_that_knows_the_elements(recipe, alloy):
    copper = [frame for frame in alloy if set(frame.structure.numbers) == {29}]
    earlier = epochs(recipe.model_copy(update={"epochs": 1}), copper[:4], copper[4:])[-1]
    with pytest.raises(InvalidInput, match="Au"):
        epochs(recipe, alloy[:12], alloy[12:16], start=earlier.checkpoint(), warm=True)


def test_a_structure_is_used_for_the_labels_it_has(recipe, alloy):
    mixed = [stripped(f, *(("energy",), ("forces",), ("stress",))[k % 3]) for k, f in enumerate(alloy[:24])]
    history = epochs(recipe, mixed, alloy[24:])
    assert history[-1].best_energy_rmse < 0.05
    assert history[-1].best_force_rmse < 0.3


def test_labels_that_are_missing_do_not_count(recipe, alloy):
    """A batch's loss must not change when a structure without labels joins it."""
    committee = epochs(recipe.model_copy(update={"epochs": 1}), alloy[:8], alloy[8:12])[-1].committee()
    weights = LossWeights(1.0, 1.0, 1.0)
    bare = Frame(alloy[5].structure)

    def loss(frames: list[Frame]) -> torch.Tensor:
        contents = [(frames, np.ones((3, len(frames))))]
        store = BatchStore(learner_of(committee), contents, 10**9)
        for _ in store.fill():
            pass
        return batch_loss(predict_batch(committee.networks, store.stored[0], learning=False), store.stored[0], weights)

    torch.testing.assert_close(loss([alloy[0], bare, alloy[1]]), loss([alloy[0], alloy[1]]))


def test_energies_alone_are_enough(recipe, alloy):
    history = epochs(recipe, [stripped(f, "energy") for f in alloy[:24]], [stripped(f, "energy") for f in alloy[24:]])
    assert np.isnan(history[-1].force_rmse).all()
    assert history[-1].best_energy_rmse < 0.04
    (prediction,) = history[-1].committee().predict([alloy[0].structure])
    assert prediction.forces.shape == (3, 4, 3)


def test_forces_alone_are_enough_and_the_missing_energy_is_told(recipe, alloy):
    history = epochs(recipe, [stripped(f, "forces") for f in alloy[:12]], [stripped(f, "forces") for f in alloy[12:16]])
    assert np.isnan(history[-1].energy_rmse).all()
    assert "constant" in history[-1].committee().warnings[0]


def test_one_structure_is_enough_to_validate_with(recipe, alloy):
    assert len(epochs(recipe.model_copy(update={"epochs": 2}), alloy[:8], alloy[8:9])) == 2


def test_one_structure_is_enough_to_learn_from(recipe, alloy):
    (epoch,) = epochs(recipe.model_copy(update={"epochs": 1}), alloy[1:2], alloy[2:3])
    assert np.isfinite(epoch.validation_loss).all()


def test_a_training_can_be_stopped_while_it_prepares_and_while_it_learns(recipe, alloy):
    for stop in ("baseline", "features", "linear potential", ""):
        steps = fit(recipe, alloy[:4], alloy[4:6])
        assert next(step for step in steps if step.stage == stop or step.number) is not None
        steps.close()
        assert list(steps) == []


def test_one_member_has_no_spread(recipe, alloy):
    recipe = recipe.model_copy(update={"epochs": 1, "members": 1})
    committee = epochs(recipe, alloy[:8], alloy[8:10])[-1].committee()
    (errors,) = evaluate(committee, alloy[:1])
    assert np.isnan(errors.energy_spread)
    assert np.isfinite(errors.energy)


def test_training_stops_when_validation_gets_no_better(recipe, alloy):
    recipe = recipe.model_copy(update={"epochs": 200, "patience": 2, "learning_rate": 0.2})
    history = epochs(recipe, alloy[:8], alloy[8:12])
    assert len(history) < 200
    assert history[-1].number == history[-1].best_epoch + 2


def test_sets_without_usable_labels_are_refused(recipe, alloy):
    bare = [Frame(f.structure) for f in alloy[:4]]
    with pytest.raises(InvalidInput, match="training set"):
        list(fit(recipe, bare, alloy[4:6]))
    with pytest.raises(InvalidInput, match="validation set"):
        list(fit(recipe, alloy[4:6], []))


def test_free_atoms_and_molecules_train_beside_crystals(recipe, alloy):
    atoms = [Atoms("Cu"), Atoms("Au"), Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.3]])]
    frames = [*alloy[:12], *map(labelled, atoms)]
    history = epochs(recipe.model_copy(update={"epochs": 3}), frames, alloy[12:16])
    assert np.isfinite(history[-1].validation_loss).all()


def test_stored_derivatives_give_the_forces_and_stresses_of_the_potential(recipe, alloy):
    last = epochs(recipe.model_copy(update={"epochs": 2}), alloy[:8], alloy[8:12])[-1]
    committee = last.committee()
    store = BatchStore(learner_of(committee), [(alloy[:3], np.ones((3, 3)))], 10**9)
    for _ in store.fill():
        pass
    predicted = predict_batch(committee.networks, store.stored[0], learning=False)
    direct = list(committee.to(torch.float64).predict(frame.structure for frame in alloy[:3]))
    # Single precision against double, for energies of some eV and forces of some eV/Å.
    np.testing.assert_allclose(
        predicted.forces.detach().numpy(), np.concatenate([p.forces for p in direct], axis=1), atol=2e-4
    )
    np.testing.assert_allclose(
        predicted.stress.detach().numpy(), np.stack([p.stress for p in direct], axis=1), atol=2e-5
    )


def test_batches_beyond_the_memory_are_computed_again_with_the_same_result(recipe, alloy, monkeypatch):
    recipe = recipe.model_copy(update={"epochs": 2})
    kept = epochs(recipe, alloy[:12], alloy[12:16])[-1].committee()
    monkeypatch.setattr("isoline_lab.training.network_fit.BUDGET_BYTES", 0)
    recomputed = epochs(recipe, alloy[:12], alloy[12:16])[-1].committee()
    assert same_weights(kept, recomputed)


def test_a_saved_model_predicts_as_before_in_the_calculator_too(recipe, alloy, tmp_path):
    committee = epochs(recipe.model_copy(update={"epochs": 1}), alloy[:8], alloy[8:12])[-1].committee()
    files = committee.save()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (before,) = committee.to(torch.float64).predict([alloy[0].structure])
    structure = alloy[0].structure
    for source in (files, tmp_path, tmp_path / "model.json"):
        atoms = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
        atoms.calc = IsolineCalculator(source)
        assert atoms.get_potential_energy() == pytest.approx(before.mean_energy, abs=1e-10)
        np.testing.assert_allclose(atoms.get_forces(), before.mean_forces, atol=1e-10)
        np.testing.assert_allclose(atoms.get_stress(), before.mean_stress, atol=1e-10)
        np.testing.assert_allclose(atoms.calc.results["force_spread"], before.force_spread, atol=1e-10)
        assert atoms.calc.results["energy_spread"] == pytest.approx(before.energy_spread, abs=1e-12)


@pytest.mark.parametrize("damage", ["missing file", "truncated weights", "not json", "other family", "wrong shape"])
def test_damaged_model_files_are_refused(recipe, alloy, damage):
    files = epochs(recipe.model_copy(update={"epochs": 1}), alloy[:4], alloy[4:6])[-1].committee().save()
    if damage == "missing file":
        del files["model.json"]
    elif damage == "truncated weights":
        files["model.safetensors"] = files["model.safetensors"][:-100]
    elif damage == "not json":
        files["model.json"] = b"{"
    elif damage == "other family":
        files["model.json"] = json.dumps(json.loads(files["model.json"]) | {"family": "oracle"}).encode()
    else:
        about = json.loads(files["model.json"])
        files["model.json"] = json.dumps(about | {"inputs": about["inputs"] + 1}).encode()
    with pytest.raises(InvalidInput):
        Committee.load(files)


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"\x08\0\0\0\0\0\0\0{}      "])
def test_bytes_that_are_no_checkpoint_are_refused(content):
    with pytest.raises(InvalidInput):
        Checkpoint.from_bytes(content)


def test_the_optimiser_takes_the_steps_of_torch():
    networks, theirs = (MemberNetworks(2, 1, 3, (4,)) for _ in range(2))
    for each in (networks, theirs):
        each.randomise(torch.Generator().manual_seed(0))
    inputs, element = torch.linspace(-1, 1, 30).reshape(2, 5, 3), torch.zeros(5, dtype=torch.int64)
    ours = AdamW(networks, 0.3, {}, 0)
    others = [parameter for name, parameter in theirs.named_parameters() if not name.startswith("weights.")]
    groups = [{"params": list(theirs.weights), "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01)
    for _ in range(5):
        ours.step(((networks(inputs, element) - 1) ** 2).sum(), 0.01)
        reference.zero_grad()
        ((theirs(inputs, element) - 1) ** 2).sum().backward()
        reference.step()
    for one, other in zip(networks.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_reference_energies_of_one_composition_are_warned_about():
    salt = bulk("NaCl", "rocksalt", a=5.6)
    frame = Frame(Structure(salt.numbers, salt.positions, salt.cell.array, salt.pbc), Label(energy=-8.0))
    fitted = fit_reference([frame, frame], (11, 17))
    np.testing.assert_allclose(fitted.energies, [-4.0, -4.0], atol=1e-6)
    assert "1 of 2" in fitted.warnings[0]


def test_reference_energies_are_recovered_from_compositions():
    def frame(symbols: str) -> Frame:
        atoms = Atoms(symbols, positions=3.0 * np.arange(len(Atoms(symbols)))[:, None] * [1, 0, 0])
        energy = -0.5 * (atoms.numbers == 1).sum() - 2040.0 * (atoms.numbers == 8).sum()
        return Frame(Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc), Label(energy=energy))

    fitted = fit_reference([frame("H2O"), frame("HO"), frame("O2")], (1, 8))
    np.testing.assert_allclose(fitted.energies, [-0.5, -2040.0], atol=1e-4)
    assert fitted.warnings == ()
