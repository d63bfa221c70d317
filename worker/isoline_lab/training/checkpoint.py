"""Everything needed to go on with a training that stopped, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from isoline.errors import InvalidInput
from isoline_lab.descriptors.projection import Projection
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.committee import FEATURES, Committee, family_of
from isoline_lab.potentials.networks import MemberNetworks
from isoline_lab.training.best import Best
from isoline_lab.training.learner import Learner
from isoline_lab.training.noise import Noise

FORMAT = 2


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training after an epoch; orders and batches follow from the seed, so no generator is kept.

    data        names the structures and labels that were trained on
    learner     features and baseline, which stay as they are
    weights     of the networks now
    average     of the weights over the last steps, which is what is validated and kept
    best        when the average was best
    best_weights  and what it was
    noise       of the labels; None where it was not estimated
    optimiser   first and second moments, by name
    step        optimiser steps taken
    """

    epoch: int
    data: str
    recipe: dict
    learner: Learner
    hidden: tuple[int, ...]
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    best: Best
    best_weights: dict[str, Tensor]
    noise: Noise | None = None
    optimiser: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0

    def networks(self, weights: dict[str, Tensor]) -> MemberNetworks:
        """Networks with these weights."""
        members = len(weights["offset"])
        learner = self.learner
        networks = MemberNetworks(members, len(learner.features.elements), learner.projection.n_inputs, self.hidden)
        networks.load_state_dict(weights)
        return networks

    def committee(self) -> Committee:
        """The potentials as they were at the best epoch."""
        learner = self.learner
        return Committee(
            learner.features,
            learner.projection,
            self.networks(self.best_weights),
            learner.baseline,
            self.recipe,
            learner.warnings,
        )

    def to_bytes(self) -> bytes:
        """Safetensors, with everything that is not a tensor as JSON among them."""
        about = {
            "format": FORMAT,
            "epoch": self.epoch,
            "data": self.data,
            "recipe": self.recipe,
            "family": family_of(self.learner.features),
            "features": self.learner.features.as_dict(),
            "baseline": self.learner.baseline.as_dict(),
            "warnings": list(self.learner.warnings),
            "hidden": list(self.hidden),
            "best": asdict(self.best),
            "noise": asdict(self.noise) if self.noise else None,
            "step": self.step,
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8).copy()
        tensors = {"about": torch.from_numpy(text)}
        tensors |= {"mean": self.learner.projection.mean, "matrix": self.learner.projection.matrix}
        for group in ("weights", "average", "best_weights", "optimiser"):
            tensors |= {f"{group}/{name}": tensor.clone() for name, tensor in getattr(self, group).items()}
        return safetensors.torch.save(tensors)

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """The inverse of `to_bytes`; never runs code.

        Raises InvalidInput for anything else.
        """
        try:
            tensors = safetensors.torch.load(bytes(content))
            about = json.loads(tensors["about"].numpy().tobytes())
            if about["format"] not in (1, FORMAT):
                raise ValueError(f"format {about['format']}, this program reads {FORMAT}")
            if about["format"] == 1:
                elements = about["functions"]["elements"]
                about |= {"family": "behler-parrinello", "features": about["functions"]}
                about |= {"baseline": {"elements": elements, "energies": about["reference"]}}
            groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "best_weights": {}, "optimiser": {}}
            for key, tensor in tensors.items():
                group, _, name = key.partition("/")
                if name:
                    groups[group][name] = tensor
            return cls(
                epoch=about["epoch"],
                data=about["data"],
                recipe=about["recipe"],
                learner=Learner(
                    FEATURES[about["family"]].from_dict(about["features"]),
                    Projection(tensors["mean"], tensors["matrix"]),
                    Baseline.from_dict(about["baseline"]),
                    tuple(about["warnings"]),
                ),
                hidden=tuple(about["hidden"]),
                best=Best(**about["best"]),
                noise=Noise(**about["noise"]) if about.get("noise") else None,
                step=about["step"],
                **groups,
            )
        except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
            raise InvalidInput(f"not a checkpoint of a training: {error}", hint="Start the training afresh.") from error
