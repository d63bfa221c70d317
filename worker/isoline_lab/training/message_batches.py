"""Labelled structures as graphs that are found once and joined to batches in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline.domain.structure import Frame
from isoline_lab.descriptors.acsf import element_index
from isoline_lab.descriptors.environments import Environments, gather_environments
from isoline_lab.graph import Graph, build_graph
from isoline_lab.potentials.baseline import Baseline


@dataclass(frozen=True, eq=False)
class LabelledGraph:
    """A structure with its neighbours, and its labels less the baseline; unknown labels hold zeros.

    energy   eV
    forces   (atoms, 3)  eV/Å
    virial   (3, 3)      ∂E/∂strain, eV
    known    energy, forces, stress: 0 or 1 each
    is_open  whether no direction is periodic, so that torques must vanish
    """

    graph: Graph
    energy: float
    forces: Tensor
    virial: Tensor
    known: tuple[float, float, float]
    is_open: bool


@dataclass(frozen=True, eq=False)
class MessageBatch:
    """Structures to learn from together.

    element      (atoms,)            place of the element
    sizes        (structures,)       atoms
    energy       (structures,)       eV, less the baseline
    forces       (atoms, 3)          eV/Å, likewise
    virial       (structures, 3, 3)  eV, likewise
    has_energy, has_stress (structures,), has_forces (atoms,)   0 or 1
    is_open      (structures,)       0 or 1
    weights      (members, structures)  how much each member learns from each structure
    derived      whether any structure has forces or a stress
    """

    graph: Graph
    environments: Environments
    element: Tensor
    sizes: Tensor
    energy: Tensor
    forces: Tensor
    virial: Tensor
    has_energy: Tensor
    has_forces: Tensor
    has_stress: Tensor
    is_open: Tensor
    weights: Tensor
    derived: bool

    @property
    def n_structures(self) -> int:
        return len(self.sizes)


def labelled_graph(frame: Frame, baseline: Baseline, cutoff: float) -> LabelledGraph:
    """A frame made ready to learn from, in single precision."""
    graph = build_graph([frame.structure], cutoff)
    known = baseline.predict_graph(graph)
    label, structure = frame.label, frame.structure
    energy = 0.0 if label.energy is None else label.energy - float(known.energies.sum())
    forces, virial = torch.zeros(len(frame), 3), torch.zeros(3, 3)
    if label.forces is not None:
        forces = (torch.from_numpy(label.forces.astype(float)) - known.forces).float()
    has_stress = label.stress is not None and structure.volume > 0
    if has_stress:
        xx, yy, zz, yz, xz, xy = label.stress
        full = torch.tensor([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], dtype=torch.float64)
        virial = (full * structure.volume - known.virial[0]).float()
    return LabelledGraph(
        graph.to(dtype=torch.float32),
        energy,
        forces,
        virial,
        (float(label.energy is not None), float(label.forces is not None), float(has_stress)),
        not structure.pbc.any(),
    )


def joined_batch(
    members: Sequence[LabelledGraph],
    weights: np.ndarray,
    elements: tuple[int, ...],
    cutoff: float,
    device: torch.device | str = "cpu",
) -> MessageBatch:
    """Several labelled graphs as one batch.

    weights  (members of the committee, structures)
    """
    graph = join_graphs([one.graph for one in members])
    element = element_index(elements, graph.numbers)
    environments = gather_environments(graph, element, cutoff)
    known = torch.tensor([one.known for one in members])
    sizes = graph.atoms_per_structure()

    def here(values: Tensor) -> Tensor:
        return values.to(device)

    return MessageBatch(
        graph=graph.to(device),
        environments=Environments(
            here(environments.displacement),
            here(environments.element),
            here(environments.neighbour),
            here(environments.filled),
        ),
        element=here(element),
        sizes=here(sizes.float()),
        energy=here(torch.tensor([one.energy for one in members], dtype=torch.float32)),
        forces=here(torch.cat([one.forces for one in members])),
        virial=here(torch.stack([one.virial for one in members])),
        has_energy=here(known[:, 0]),
        has_forces=here(known[:, 1].repeat_interleave(sizes)),
        has_stress=here(known[:, 2]),
        is_open=here(torch.tensor([float(one.is_open) for one in members])),
        weights=here(torch.from_numpy(weights).float()),
        derived=any(one.known[1] or one.known[2] for one in members),
    )


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """Graphs side by side as one."""
    atoms = np.cumsum([0] + [graph.n_atoms for graph in graphs]).tolist()
    structures = np.cumsum([0] + [graph.n_structures for graph in graphs]).tolist()

    def joined(name: str, shifts: list[int] | None = None) -> Tensor:
        parts = [getattr(graph, name) for graph in graphs]
        if shifts is not None:
            parts = [part + shift for part, shift in zip(parts, shifts, strict=False)]
        return torch.cat(parts)

    return Graph(
        numbers=joined("numbers"),
        positions=joined("positions"),
        cells=joined("cells"),
        structure=joined("structure", structures),
        centre=joined("centre", atoms),
        neighbour=joined("neighbour", atoms),
        shifts=joined("shifts"),
        n_structures=structures[-1],
    )
