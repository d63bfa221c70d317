"""How well the networks do on batches of structures."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.training.batch_store import BatchStore
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.loss import LossWeights, batch_loss, predict_batch


@dataclass(frozen=True, eq=False)
class Scores:
    """Losses and root mean square errors; NaN where there is no label.

    loss, energy_rmse, force_rmse                 (members,)  –, eV/atom, eV/Å
    committee_energy_rmse, committee_force_rmse   of the members' mean
    """

    loss: np.ndarray
    energy_rmse: np.ndarray
    force_rmse: np.ndarray
    committee_energy_rmse: float
    committee_force_rmse: float


def score(
    networks: MemberNetworks, store: BatchStore, weights: LossWeights, sign: Epoch
) -> Generator[Epoch, None, Scores]:
    """Scores over all batches, each structure counting once in the loss; yields `sign` while it takes long."""
    loss = torch.zeros(networks.members)
    structures = 0
    energy_errors: list[Tensor] = []
    force_errors: list[Tensor] = []
    for index in range(len(store)):
        batch = yield from store.batch(index, sign)
        predicted = predict_batch(networks, batch, learning=False)
        with torch.no_grad():
            loss += batch_loss(predicted, batch, weights) * batch.n_structures
            structures += batch.n_structures
            per_atom = (predicted.energy - batch.energy) / batch.sizes.clamp(min=1)
            energy_errors.append(per_atom[:, batch.has_energy > 0])
            force_errors.append((predicted.forces - batch.forces)[:, batch.has_forces > 0].flatten(1))
    energy, force = torch.cat(energy_errors, 1), torch.cat(force_errors, 1)
    return Scores(
        loss=(loss / structures).numpy(),
        energy_rmse=_rmse(energy).numpy(),
        force_rmse=_rmse(force).numpy(),
        committee_energy_rmse=float(_rmse(energy.mean(0))),
        committee_force_rmse=float(_rmse(force.mean(0))),
    )


def _rmse(errors: Tensor) -> Tensor:
    """Over the last axis; NaN where it is empty."""
    return errors.detach().pow(2).mean(-1).sqrt()
