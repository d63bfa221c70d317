"""Fixed batches of structures with everything that training needs computed once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline.domain.structure import Frame
from isoline_lab.descriptors.acsf import SymmetryFunctions
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.descriptors.projection import Derivatives, Projection
from isoline_lab.graph import Graph, build_graph

# Voigt order xx yy zz yz xz xy.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))

# Atoms whose derivatives are computed in one go; bounds memory and the time until a cancel is seen.
ATOMS_AT_ONCE = 24


@dataclass(frozen=True, eq=False)
class Batch:
    """Structures, their labels, and a matrix that turns ∂E/∂input into forces and virials.

    inputs      (atoms, inputs)         network inputs
    rows        (atoms, rows, inputs)   their derivatives with respect to each atom nearby, then to strain
    target      (atoms, rows)           where a row adds up: first forces at 3 · atom + axis, then virials at
                                        6 · structure + component, then nowhere
    element     (atoms,)                place of the element
    structure   (atoms,)                which structure of the batch
    sizes       (structures,)           atoms
    volume      (structures,)           Å³, 1 where there is no cell
    energy      (structures,)           eV, less the reference energies of the atoms
    forces      (atoms, 3)              eV/Å
    stress      (structures, 6)         eV/Å³
    has_energy, has_stress (structures,), has_forces (atoms,)   0 or 1; unknown labels hold zeros
    weights     (members, structures)   how much each member learns from each structure
    """

    inputs: Tensor
    rows: Tensor
    target: Tensor
    element: Tensor
    structure: Tensor
    sizes: Tensor
    volume: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor
    has_energy: Tensor
    has_forces: Tensor
    has_stress: Tensor
    weights: Tensor

    @property
    def n_structures(self) -> int:
        return len(self.sizes)

    @property
    def n_bytes(self) -> int:
        return self.rows.nbytes + self.target.nbytes + self.inputs.nbytes


def build_batch(
    functions: SymmetryFunctions,
    projection: Projection,
    frames: Sequence[Frame],
    reference: np.ndarray,
    weights: np.ndarray,
    dtype: torch.dtype = torch.float32,
) -> Generator[None, None, Batch]:
    """A batch with its features and derivatives; yields now and then so that a caller can stop.

    reference  (elements,)  eV per atom
    weights    (members, structures)
    """
    graph = build_graph([frame.structure for frame in frames], functions.cutoff, dtype)
    element = functions.element_index(graph.numbers)
    labels = [frame.label for frame in frames]
    with_forces = any(label.forces is not None for label in labels)
    with_stress = any(label.stress is not None for label in labels)
    inputs, rows, target = yield from _features(functions, projection, graph, element, with_forces, with_stress)

    known = (
        np.bincount(
            graph.structure.numpy() * len(reference) + element.numpy(), minlength=len(frames) * len(reference)
        ).reshape(len(frames), -1)
        @ reference
    )
    energy = [0.0 if x.energy is None else x.energy - e for x, e in zip(labels, known, strict=True)]
    forces = [np.zeros((len(f), 3)) if f.label.forces is None else f.label.forces for f in frames]
    stress = [np.zeros(6) if x.stress is None else x.stress for x in labels]

    def real(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float64)).to(dtype)

    sizes = graph.atoms_per_structure()
    return Batch(
        inputs=inputs,
        rows=rows,
        target=target,
        element=element,
        structure=graph.structure,
        sizes=sizes.to(dtype),
        volume=real([f.structure.volume or 1.0 for f in frames]),
        energy=real(energy),
        forces=real(np.concatenate(forces)),
        stress=real(stress),
        has_energy=real([x.energy is not None for x in labels]),
        has_forces=real([x.forces is not None for x in labels]).repeat_interleave(sizes),
        has_stress=real([f.label.stress is not None and f.structure.volume > 0 for f in frames]),
        weights=real(weights),
    )


def _features(
    functions: SymmetryFunctions,
    projection: Projection,
    graph: Graph,
    element: Tensor,
    with_forces: bool,
    with_stress: bool,
) -> Generator[None, None, tuple[Tensor, Tensor, Tensor]]:
    """Inputs, rows and targets of all atoms of a graph, some atoms at a time."""
    environments = gather_environments(graph, element, functions.cutoff)
    n_atoms = graph.n_atoms
    nowhere = 3 * n_atoms + 6 * graph.n_structures
    # Images of one atom move together, so their derivatives are one row; so does the atom itself.
    itself = torch.arange(n_atoms)[:, None]
    moved = torch.cat([environments.neighbour, itself], dim=1)
    order = moved.sort(dim=1)
    fresh = torch.ones_like(moved, dtype=torch.bool)
    fresh[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
    rank = torch.cumsum(fresh, 1) - 1
    slot_of = torch.empty_like(rank).scatter_(1, order.indices, rank)  # (atoms, slots + 1) → distinct atom
    n_moved = int(rank.max()) + 1 if n_atoms else 0
    who = torch.full((n_atoms, n_moved), -1).scatter_(1, rank, order.values)
    n_rows = 3 * n_moved * with_forces + 6 * with_stress

    parts = []
    for atoms in torch.arange(n_atoms).split(8 * ATOMS_AT_ONCE):
        yield
        parts.append(projection(functions.values(environments[atoms]), element[atoms]))
    inputs = torch.cat(parts)
    rows = inputs.new_zeros(n_atoms, n_rows, projection.n_inputs)
    target = torch.full((n_atoms, n_rows), nowhere)
    if with_forces:
        axis = torch.arange(3)
        where = torch.where(who[..., None] >= 0, 3 * who[..., None] + axis, nowhere)
        target[:, : 3 * n_moved] = where.flatten(1)
    if with_stress:
        target[:, -6:] = 3 * n_atoms + 6 * graph.structure[:, None] + torch.arange(6)
    if n_rows == 0:
        return inputs, rows, target
    for place in range(len(projection.matrix)):
        derivatives = Derivatives(functions, projection.matrix[place].to(inputs))
        for atoms in torch.nonzero(element == place).squeeze(1).split(ATOMS_AT_ONCE):
            yield
            part = environments[atoms]
            slopes = derivatives(part)  # (some atoms, slots, 3, inputs)
            if with_forces:
                merge = torch.nn.functional.one_hot(slot_of[atoms], n_moved).to(slopes)
                merge = merge[:, :-1] - merge[:, -1:]  # a neighbour's row gains what the atom's own row loses
                rows[atoms, : 3 * n_moved] = (merge.mT @ slopes.flatten(2)).reshape(len(atoms), -1, slopes.shape[-1])
            if with_stress:
                displacement = part.displacement * part.filled[..., None]
                virial = torch.einsum("anx,anyf->axyf", displacement, slopes)
                virial = 0.5 * (virial + virial.transpose(1, 2))
                rows[atoms, -6:] = torch.stack([virial[:, x, y] for x, y in VOIGT], dim=1)
    return inputs, rows, target


def assign_batches(n_frames: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random batches that stay together for the whole training, so that each is one dense array."""
    shuffled = rng.permutation(n_frames)
    return np.array_split(shuffled, max(1, -(-n_frames // batch_size))) if n_frames else []
