"""What labelled structures say about the coefficients of a linear potential."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from isoline_lab.training.batches import Batch
from isoline_lab.training.posterior import NormalEquations

KINDS = ("energy", "force", "stress")


def include(equations: Mapping[str, NormalEquations], batch: Batch, elements: int) -> None:
    """Add the labels of a batch to the normal equations of their kinds.

    elements  number of elements; coefficients are theirs in turn: of the inputs, then an offset

    Scaled as in the loss: energies and virials in eV per square root of atoms, forces in eV/Å. Rows have the precision
    of the features; products are formed in float64, so that sums do not depend on how structures are batched and labels
    can be added and taken away again.
    """
    n_atoms, n_structures = len(batch.inputs), batch.n_structures
    inputs = batch.inputs.shape[1]
    width = inputs + 1
    sums = batch.inputs.new_zeros(3 * n_atoms + 6 * n_structures + 1, elements * width)
    energies = batch.inputs.new_zeros(n_structures, elements * width)
    for place in range(elements):
        atoms = torch.nonzero(batch.element == place).squeeze(1)
        columns = slice(place * width, place * width + inputs)
        sums[:, columns].index_add_(0, batch.target[atoms].flatten(), batch.rows[atoms].flatten(0, 1))
        energies[:, columns].index_add_(0, batch.structure[atoms], batch.inputs[atoms])
        energies[:, columns.stop] = torch.bincount(batch.structure[atoms], minlength=n_structures).to(energies)
    root = batch.sizes.clamp(min=1).sqrt()
    six = root.repeat_interleave(6)
    virials = (batch.stress * batch.volume[:, None]).flatten()
    rows = {
        "energy": (energies / root[:, None], batch.energy / root, batch.has_energy),
        "force": (-sums[: 3 * n_atoms], batch.forces.flatten(), batch.has_forces.repeat_interleave(3)),
        "stress": (sums[3 * n_atoms : -1] / six[:, None], virials / six, batch.has_stress.repeat_interleave(6)),
    }
    for kind, (row, label, known) in rows.items():
        chosen = known > 0
        if chosen.any():
            equations[kind].include(row[chosen], label[chosen])
