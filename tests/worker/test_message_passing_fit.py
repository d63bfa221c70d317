"""What training a message-passing potential promises: it learns, repeats itself, resumes, uses the labels there are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from isoline.domain.recipe import Recipe
from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import Diverged, InvalidInput
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.message_gradient import predict_all, predict_drawn
from isoline_lab.potentials.message_passing import MessagePassing
from isoline_lab.training.clipped_adam import ClippedAdam
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.message_batches import MessageBatch, joined_batch, labelled_graph
from isoline_lab.training.message_checkpoint import MessageCheckpoint
from isoline_lab.training.message_loss import MessageWeights, learning_loss, net_force_loss
from isoline_lab.training.message_passing_fit import fit_message_passing


class SmallRecipe(Recipe):
    """The fields that this fit reads."""

    layers: int = 2
    channels: int = 6
    l_max: int = 2
    cutoff: float = 3.5
    members: int = 3
    hidden: tuple[int, ...] = (6,)
    epochs: int = 4
    patience: int = 100
    batch_size: int = 4
    learning_rate: float = 0.05
    weight_decay: float = 0.01
    energy_weight: float = 1.0
    force_weight: float = 1.0
    stress_weight: float = 0.1
    direct_forces: bool = False
    repulsion: bool = True
    net_force_penalty: float = 0.0
    seed: int = 0


RECIPE = SmallRecipe()


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


@pytest.fixture(scope="module")
def clusters() -> list[Frame]:
    """Rattled molecules without a cell."""
    frames = []
    for seed in range(12):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.08, seed=seed)
        frames.append(labelled(atoms))
    return frames


def epochs(recipe: Recipe, train: list[Frame], validation: list[Frame], **options) -> list[Epoch]:
    """Whole epochs only."""
    return [epoch for epoch in fit_message_passing(recipe, train, validation, device="cpu", **options) if epoch.number]


def with_(**changes) -> SmallRecipe:
    return RECIPE.model_copy(update=changes)


def stripped(frame: Frame, *kinds: str) -> Frame:
    """A frame that keeps only these labels."""
    return Frame(frame.structure, Label("EMT", **{kind: getattr(frame.label, kind) for kind in kinds}))


def same_weights(one: MessagePassing, other: MessagePassing) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def batch_of(potential: MessagePassing, frames: list[Frame]) -> MessageBatch:
    graphs = [labelled_graph(frame, potential.baseline, potential.cutoff) for frame in frames]
    weights = np.ones((potential.members, len(frames)))
    return joined_batch(graphs, weights, potential.elements, potential.cutoff)


def test_training_lowers_the_errors_of_every_member(alloy):
    history = epochs(with_(epochs=12, batch_size=2), alloy[:24], alloy[24:])
    assert (history[-1].train_loss < 0.3 * history[0].train_loss).all()
    # A potential that knows nothing but the elements would err by the spread of these, and by the forces' own size.
    assert history[-1].best_energy_rmse < 0.3
    assert history[-1].best_force_rmse < 0.5 * np.sqrt(np.mean([np.mean(f.label.forces**2) for f in alloy]))
    assert history[-1].energy_rmse.shape == history[-1].validation_loss.shape == (3,)
    assert history[-1].record.epoch == history[-1].best_epoch


def test_something_is_heard_before_the_first_epoch(alloy):
    records = list(fit_message_passing(with_(epochs=1), alloy[:8], alloy[8:10]))
    stages = {record.stage for record in records if record.number == 0}
    assert {"neighbours", "features"} <= stages
    assert all(0.0 <= record.fraction <= 1.0 for record in records)


def test_the_same_seed_gives_the_same_potential_and_another_seed_another(alloy):
    recipe = with_(epochs=2)
    one, two = (epochs(recipe, alloy[:12], alloy[12:16])[-1].committee() for _ in range(2))
    other = epochs(with_(epochs=2, seed=1), alloy[:12], alloy[12:16])[-1].committee()
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_a_resumed_training_ends_where_an_undisturbed_one_does(alloy):
    undisturbed = epochs(RECIPE, alloy[:12], alloy[12:16])
    saved = undisturbed[1].checkpoint().to_bytes()
    resumed = epochs(RECIPE, alloy[:12], alloy[12:16], start=MessageCheckpoint.from_bytes(saved))
    assert [epoch.number for epoch in resumed] == [3, 4]
    np.testing.assert_array_equal(resumed[-1].validation_loss, undisturbed[-1].validation_loss)
    assert same_weights(resumed[-1].committee(), undisturbed[-1].committee())
    assert resumed[-1].best_epoch == undisturbed[-1].best_epoch


def test_a_cancelled_training_goes_on_from_the_last_epoch_it_told_of(alloy):
    running = fit_message_passing(RECIPE, alloy[:12], alloy[12:16], device="cpu")
    last = next(epoch for epoch in running if epoch.number == 2)
    running.close()
    undisturbed = epochs(RECIPE, alloy[:12], alloy[12:16])[-1]
    resumed = epochs(RECIPE, alloy[:12], alloy[12:16], start=last.checkpoint())[-1]
    assert same_weights(resumed.committee(), undisturbed.committee())


def test_a_finished_training_can_be_asked_for_its_potential_again(alloy):
    recipe = with_(epochs=2)
    last = epochs(recipe, alloy[:8], alloy[8:12])[-1]
    (again,) = epochs(recipe, alloy[:8], alloy[8:12], start=last.checkpoint())
    assert again.number == 2
    assert same_weights(again.committee(), last.committee())


def test_a_checkpoint_of_other_data_is_refused_unless_started_warm(alloy):
    earlier = epochs(with_(epochs=6), alloy[:12], alloy[12:16])[-1]
    recipe = with_(epochs=2)
    with pytest.raises(InvalidInput, match="other structures"):
        epochs(recipe, alloy[:20], alloy[20:24], start=earlier.checkpoint())
    warm = epochs(recipe, alloy[:14], alloy[14:18], start=earlier.checkpoint(), warm=True)
    assert [epoch.number for epoch in warm] == [1, 2]
    fresh = epochs(recipe, alloy[:12], alloy[12:16])[0]
    warm = epochs(recipe, alloy[:12], alloy[12:16], start=earlier.checkpoint(), warm=True)[0]
    assert warm.validation_loss.mean() < fresh.validation_loss.mean()


def test_a_warm_start_needs_a_model_of_the_same_elements_and_shape(alloy):
    copper = [frame for frame in alloy if set(frame.structure.numbers) == {29}]
    earlier = epochs(with_(epochs=1), copper[:4], copper[4:])[-1].checkpoint()
    with pytest.raises(InvalidInput, match="Au"):
        epochs(RECIPE, alloy[:12], alloy[12:16], start=earlier, warm=True)
    with pytest.raises(InvalidInput, match="channels 6, not 8"):
        epochs(with_(channels=8), copper[:4], copper[4:], start=earlier, warm=True)


def test_a_structure_is_used_for_the_labels_it_has(alloy):
    mixed = [stripped(f, *(("energy",), ("forces",), ("stress",))[k % 3]) for k, f in enumerate(alloy[:24])]
    history = epochs(with_(epochs=10, batch_size=2), mixed, alloy[24:])
    assert history[-1].best_force_rmse < 0.6 * history[0].best_force_rmse
    assert history[-1].best_energy_rmse < 0.3


def test_energies_alone_are_enough(alloy):
    only = [stripped(f, "energy") for f in alloy]
    history = epochs(with_(epochs=6, batch_size=2), only[:24], only[24:])
    assert np.isnan(history[-1].force_rmse).all()
    assert history[-1].best_energy_rmse < 0.25
    (prediction,) = history[-1].committee().predict([alloy[0].structure])
    assert prediction.forces.shape == (3, 4, 3)


def test_forces_alone_are_enough_and_the_missing_energy_is_told(alloy):
    history = epochs(
        with_(epochs=1), [stripped(f, "forces") for f in alloy[:8]], [stripped(f, "forces") for f in alloy[8:12]]
    )
    assert np.isnan(history[-1].energy_rmse).all()
    assert "constant" in history[-1].committee().warnings[0]


def test_labels_that_are_missing_do_not_count(alloy):
    """A batch's loss must not change when a structure without labels joins it."""
    committee = epochs(with_(epochs=1), alloy[:8], alloy[8:12])[-1].committee()
    bare = Frame(alloy[5].structure)
    weights = MessageWeights(1.0, 1.0, 1.0)
    nobody = torch.zeros(3, dtype=torch.int64)
    with_bare = learning_loss(committee.network, batch_of(committee, [alloy[0], bare, alloy[1]]), weights, nobody)
    without = learning_loss(committee.network, batch_of(committee, [alloy[0], alloy[1]]), weights, nobody[:2])
    torch.testing.assert_close(with_bare, without)


def test_drawn_forces_are_those_of_the_drawn_members(alloy):
    committee = epochs(with_(epochs=1), alloy[:8], alloy[8:12])[-1].committee()
    batch = batch_of(committee, alloy[:3])
    member = torch.tensor([2, 0, 1])
    arguments = committee.network, batch.environments, batch.element, batch.graph
    every, drawn = predict_all(*arguments), predict_drawn(*arguments, member)
    torch.testing.assert_close(drawn.energies, every.energies)
    for structure, which in enumerate(member.tolist()):
        atoms = batch.graph.structure == structure
        torch.testing.assert_close(drawn.forces[atoms], every.forces[which, atoms], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(drawn.virial[structure], every.virial[which, structure], atol=1e-5, rtol=1e-5)


def test_direct_forces_are_learned_and_their_net_force_falls_with_the_penalty(clusters):
    recipe = with_(direct_forces=True, cutoff=2.5, epochs=12, members=2)

    def net(penalty: float) -> tuple[float, Epoch]:
        last = epochs(recipe.model_copy(update={"net_force_penalty": penalty}), clusters[:9], clusters[9:])[-1]
        forces = [p.mean_forces for p in last.committee().predict([f.structure for f in clusters[9:]])]
        return float(np.mean([np.square(f.sum(0)).sum() for f in forces])), last

    free, last = net(0.0)
    bound, _ = net(100.0)
    assert bound < 0.5 * free
    assert last.committee().network.direct


def test_conservative_forces_leave_nothing_to_penalise(clusters):
    committee = epochs(with_(epochs=1, cutoff=2.5), clusters[:6], clusters[6:8])[-1].committee()
    batch = batch_of(committee, clusters[:3])
    arguments = committee.network, batch.environments, batch.element, batch.graph
    forces = predict_drawn(*arguments, torch.zeros(3, dtype=torch.int64)).forces.detach()
    # Round-off of single precision, squared.
    assert float(net_force_loss(forces, batch)) < 1e-10 * float(forces.pow(2).mean())


def test_one_member_has_no_spread(alloy):
    committee = epochs(with_(epochs=1, members=1), alloy[:8], alloy[8:10])[-1].committee()
    (prediction,) = committee.predict([alloy[0].structure])
    assert np.isnan(prediction.energy_spread)
    assert np.isfinite(prediction.energy).all()


def test_training_stops_when_validation_gets_no_better(alloy):
    history = epochs(with_(epochs=60, patience=2, learning_rate=0.3), alloy[:8], alloy[8:12])
    assert len(history) < 60
    assert history[-1].number == history[-1].best_epoch + 2


def test_sets_without_usable_labels_are_refused(alloy):
    bare = [Frame(f.structure) for f in alloy[:4]]
    with pytest.raises(InvalidInput, match="training set"):
        list(fit_message_passing(RECIPE, bare, alloy[4:6]))
    with pytest.raises(InvalidInput, match="validation set"):
        list(fit_message_passing(RECIPE, alloy[4:6], []))


def test_something_else_is_no_checkpoint():
    with pytest.raises(InvalidInput, match="not a checkpoint"):
        MessageCheckpoint.from_bytes(b"something else")


def test_a_loss_that_is_not_finite_is_told(alloy):
    endless = with_(epochs=4, learning_rate=1e30)
    with pytest.raises(Diverged, match="not finite in epoch"):
        list(fit_message_passing(endless, alloy[:6], alloy[6:8]))


def test_isolated_atoms_and_pairs_beyond_the_cutoff_can_be_learned_from(alloy):
    alone = Frame(Structure([29], np.zeros((1, 3)), np.zeros((3, 3)), [False] * 3), Label("EMT", 0.5, np.zeros((1, 3))))
    history = epochs(with_(epochs=2, batch_size=1), [alone, *alloy[:6]], alloy[6:9])
    assert np.isfinite(history[-1].validation_loss).all()


def test_the_optimiser_takes_the_steps_of_torch_while_gradients_are_usual():
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    optimiser = ClippedAdam(ours, 0.1, {}, 0)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    x = torch.randn(20, 3)
    for _ in range(8):
        optimiser.step(ours(x).pow(2).sum(), 0.01)
        reference.zero_grad()
        theirs(x).pow(2).sum().backward()
        reference.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_that_is_far_too_long_is_cut():
    layer = torch.nn.Linear(1, 1, bias=False)
    optimiser = ClippedAdam(layer, 0.0, {}, 0)
    x = torch.ones(1, 1)
    for _ in range(3):
        optimiser.step(layer(x).sum(), 0.01)
    before = optimiser.first["weight"].clone()
    optimiser.step(1e6 * layer(x).sum(), 0.01)
    assert float((optimiser.first["weight"] - before).abs()) < 1.0


def test_the_baseline_is_learned_on_top_of(alloy):
    """The same network on another baseline predicts other energies by just that much."""
    committee = epochs(with_(epochs=1), alloy[:8], alloy[8:12])[-1].committee()
    shifted = Baseline(
        committee.elements, committee.baseline.energies + np.array([1.0, 2.0]), committee.baseline.repulsion
    )
    other = MessagePassing(committee.elements, committee.network, shifted)
    (one,), (two,) = committee.predict([alloy[1].structure]), other.predict([alloy[1].structure])
    expected = (alloy[1].structure.numbers == 29).sum() + 2.0 * (alloy[1].structure.numbers == 79).sum()
    np.testing.assert_allclose(two.energy - one.energy, expected, atol=1e-9)
