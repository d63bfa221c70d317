"""Fixed batches of structures with everything that training needs computed once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline.domain.structure import Frame
from isoline_lab.graph import VOIGT, build_graph
from isoline_lab.training.learner import Learner


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
    energy      (structures,)           eV, less the baseline, as are forces and stress
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
    learner: Learner, frames: Sequence[Frame], weights: np.ndarray, dtype: torch.dtype = torch.float32
) -> Generator[None, None, Batch]:
    """A batch with its features and derivatives; yields now and then so that a caller can stop.

    weights  (members, structures)
    """
    graph = build_graph([frame.structure for frame in frames], max(learner.features.cutoff, learner.baseline.reach))
    known = learner.baseline.predict_graph(graph)
    labels = [frame.label for frame in frames]
    sizes = graph.atoms_per_structure()
    with_forces = any(label.forces is not None for label in labels)
    with_stress = any(label.stress is not None for label in labels)
    linearised = yield from learner.features.linearise(
        graph.to(dtype=dtype), learner.projection, with_forces, with_stress
    )

    def real(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float64))

    has_energy = real([label.energy is not None for label in labels])
    has_forces = real([label.forces is not None for label in labels]).repeat_interleave(sizes)
    has_stress = real([f.label.stress is not None and f.structure.volume > 0 for f in frames])
    volume = real([f.structure.volume or 1.0 for f in frames])
    energy = real([label.energy or 0.0 for label in labels])
    energy = energy - energy.new_zeros(len(frames)).index_add(0, graph.structure, known.energies)
    forces = real(np.concatenate([np.zeros((len(f), 3)) if f.label.forces is None else f.label.forces for f in frames]))
    stress = real([np.zeros(6) if label.stress is None else label.stress for label in labels])
    stress = stress - torch.stack([known.virial[:, x, y] for x, y in VOIGT], dim=1) / volume[:, None]
    return Batch(
        inputs=linearised.inputs,
        rows=linearised.rows,
        target=linearised.target,
        element=learner.features.element_index(graph.numbers),
        structure=graph.structure,
        sizes=sizes.to(dtype),
        volume=volume.to(dtype),
        energy=(energy * has_energy).to(dtype),
        forces=((forces - known.forces) * has_forces[:, None]).to(dtype),
        stress=(stress * has_stress[:, None]).to(dtype),
        has_energy=has_energy.to(dtype),
        has_forces=has_forces.to(dtype),
        has_stress=has_stress.to(dtype),
        weights=real(weights).to(dtype),
    )


def assign_batches(n_frames: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Random batches that stay together for the whole training, so that each is one dense array."""
    shuffled = rng.permutation(n_frames)
    return np.array_split(shuffled, max(1, -(-n_frames // batch_size))) if n_frames else []
