"""Everything needed to go on with a training that stopped, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import SymmetryFunctions
from isoline_lab.descriptors.projection import Projection
from isoline_lab.potentials.committee import Committee, functions_as_dict, functions_from_dict
from isoline_lab.potentials.networks import MemberNetworks

FORMAT = 1


@dataclass(frozen=True)
class Best:
    """The epoch with the lowest validation loss so far, and the committee's errors there.

    epoch        0 before the first
    loss         mean over members
    energy_rmse  eV/atom, of the committee's mean; NaN without energies
    force_rmse   eV/Å, likewise
    """

    epoch: int = 0
    loss: float = float("inf")
    energy_rmse: float = float("nan")
    force_rmse: float = float("nan")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training after an epoch; orders and batches follow from the seed, so no generator is kept.

    data        names the structures and labels that were trained on
    weights     of the networks now
    average     of the weights over the last steps, which is what is validated and kept
    best        when the average was best
    best_weights  and what it was
    optimiser   first and second moments, by name
    step        optimiser steps taken
    """

    epoch: int
    data: str
    recipe: dict
    functions: SymmetryFunctions
    projection: Projection
    reference: np.ndarray
    warnings: tuple[str, ...]
    hidden: tuple[int, ...]
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    best: Best
    best_weights: dict[str, Tensor]
    optimiser: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0

    def networks(self, weights: dict[str, Tensor]) -> MemberNetworks:
        """Networks with these weights."""
        members = len(weights["offset"])
        networks = MemberNetworks(members, len(self.functions.elements), self.projection.n_inputs, self.hidden)
        networks.load_state_dict(weights)
        return networks

    def committee(self) -> Committee:
        """The potentials as they were at the best epoch."""
        return Committee(
            self.functions,
            self.projection,
            self.networks(self.best_weights),
            self.reference,
            self.recipe,
            self.warnings,
        )

    def to_bytes(self) -> bytes:
        """Safetensors, with everything that is not a tensor as JSON among them."""
        about = {
            "format": FORMAT,
            "epoch": self.epoch,
            "data": self.data,
            "recipe": self.recipe,
            "functions": functions_as_dict(self.functions),
            "reference": self.reference.tolist(),
            "warnings": list(self.warnings),
            "hidden": list(self.hidden),
            "best": asdict(self.best),
            "step": self.step,
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8).copy()
        tensors = {"about": torch.from_numpy(text)}
        tensors |= {"mean": self.projection.mean, "matrix": self.projection.matrix}
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
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, this program reads {FORMAT}")
            groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "best_weights": {}, "optimiser": {}}
            for key, tensor in tensors.items():
                group, _, name = key.partition("/")
                if name:
                    groups[group][name] = tensor
            return cls(
                epoch=about["epoch"],
                data=about["data"],
                recipe=about["recipe"],
                functions=functions_from_dict(about["functions"]),
                projection=Projection(tensors["mean"], tensors["matrix"]),
                reference=np.array(about["reference"], dtype=np.float64),
                warnings=tuple(about["warnings"]),
                hidden=tuple(about["hidden"]),
                best=Best(**about["best"]),
                step=about["step"],
                **groups,
            )
        except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
            raise InvalidInput(f"not a checkpoint of a training: {error}", hint="Start the training afresh.") from error
