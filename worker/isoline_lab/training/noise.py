"""How uncertain each kind of label is, and what weight it therefore has."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.training.batch_store import BatchStore
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.loss import LossWeights, predict_batch

# Fewer labels than this say too little about their noise.
ENOUGH = 8


@dataclass(frozen=True)
class Noise:
    """Standard deviations of what a linear potential leaves unexplained; NaN where too few labels tell.

    energy  eV per square root of atoms
    force   eV/Å, of a component
    stress  eV per square root of atoms, of a component of the virial
    """

    energy: float
    force: float
    stress: float

    def weights(self, asked: LossWeights, force_priority: float) -> LossWeights:
        """Weights of a Gaussian likelihood of several kinds of labels, each 1/σ², relative to that of forces.

        asked           further factors
        force_priority  how many times more forces count than their likelihood says

        Kendall, Gal & Cipolla, CVPR 2018, eq. 7, with σ estimated instead of learned beside the weights.
        Labels without an estimate keep the weight that was asked for.
        """
        return LossWeights(
            energy=asked.energy * self._relative(self.energy, force_priority),
            force=asked.force,
            stress=asked.stress * self._relative(self.stress, force_priority),
        )

    def _relative(self, sigma: float, force_priority: float) -> float:
        ratio = self.force**2 / (force_priority * sigma**2) if sigma > 0 else float("nan")
        return ratio if ratio == ratio else 1.0  # NaN is unlike itself


def estimate_noise(networks: MemberNetworks, store: BatchStore) -> Generator[Epoch, None, Noise]:
    """Noise of labels that the networks were not fitted to, as they are: with only the linear potential, at first.

    It holds the scatter of the labels and what the potential cannot express; both make a label less worth following.
    Medians of squares, so that a few extreme structures do not set the scale.
    """
    found: dict[str, list[torch.Tensor]] = {"energy": [], "force": [], "stress": []}
    for index in range(len(store)):
        batch = yield from store.batch(index, Epoch(stage="noise of labels", fraction=index / len(store)))
        predicted = predict_batch(networks, batch, learning=False)
        root = batch.sizes.clamp(min=1).sqrt()
        found["energy"].append(((predicted.energy.mean(0) - batch.energy) / root)[batch.has_energy > 0])
        found["force"].append((predicted.forces.mean(0) - batch.forces)[batch.has_forces > 0].flatten())
        virial = (predicted.stress.mean(0) - batch.stress) * (batch.volume / root)[:, None]
        found["stress"].append(virial[batch.has_stress > 0].flatten())
    return Noise(**{kind: _robust_deviation(torch.cat(parts)) for kind, parts in found.items()})


def _robust_deviation(errors: torch.Tensor) -> float:
    """Standard deviation of a Gaussian with the median absolute error that was found."""
    if len(errors) < ENOUGH:
        return float("nan")
    return float(errors.detach().abs().median()) * 1.4826
