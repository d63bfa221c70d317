"""Everything needed to go on with the training of a message-passing potential, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from isoline.errors import InvalidInput
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.message_network import MessageNetwork
from isoline_lab.potentials.message_passing import FAMILY, MessagePassing, new_network
from isoline_lab.training.best import Best

FORMAT = 1


@dataclass(frozen=True, eq=False)
class MessageCheckpoint:
    """The state of a training after an epoch; orders and draws follow from the seed, so no generator is kept.

    data        names the structures and labels that were trained on
    shape       of the network, see `new_network`
    weights     of the network now
    average     of the weights over the last steps, which is what is validated and kept
    best        when the average was best
    best_weights  and what it was
    optimiser   first and second moments, by name
    step        optimiser steps taken
    """

    epoch: int
    data: str
    recipe: dict
    elements: tuple[int, ...]
    cutoff: float
    shape: dict
    baseline: Baseline
    warnings: tuple[str, ...]
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    best: Best
    best_weights: dict[str, Tensor]
    optimiser: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0

    def network(self, weights: dict[str, Tensor]) -> MessageNetwork:
        """A network with these weights."""
        network = new_network(self.shape, len(self.elements), self.cutoff)
        network.load_state_dict(weights)
        return network

    def committee(self) -> MessagePassing:
        """The potentials as they were at the best epoch."""
        return MessagePassing(self.elements, self.network(self.best_weights), self.baseline, self.recipe, self.warnings)

    def to_bytes(self) -> bytes:
        """Safetensors, with everything that is not a tensor as JSON among them."""
        about = {
            "format": FORMAT,
            "family": FAMILY,
            "epoch": self.epoch,
            "data": self.data,
            "recipe": self.recipe,
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "shape": self.shape,
            "baseline": self.baseline.as_dict(),
            "warnings": list(self.warnings),
            "best": asdict(self.best),
            "step": self.step,
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8).copy()
        tensors = {"about": torch.from_numpy(text)}
        for group in ("weights", "average", "best_weights", "optimiser"):
            tensors |= {f"{group}/{name}": tensor.clone() for name, tensor in getattr(self, group).items()}
        return safetensors.torch.save(tensors)

    @classmethod
    def from_bytes(cls, content: bytes) -> MessageCheckpoint:
        """The inverse of `to_bytes`; never runs code.

        Raises InvalidInput for anything else.
        """
        try:
            tensors = safetensors.torch.load(bytes(content))
            about = json.loads(tensors["about"].numpy().tobytes())
            if (about.get("family"), about["format"]) != (FAMILY, FORMAT):
                raise ValueError(f"{about.get('family')}, format {about['format']}; expected {FAMILY}, {FORMAT}")
            groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "best_weights": {}, "optimiser": {}}
            for key, tensor in tensors.items():
                group, _, name = key.partition("/")
                if name:
                    groups[group][name] = tensor
            return cls(
                epoch=about["epoch"],
                data=about["data"],
                recipe=about["recipe"],
                elements=tuple(about["elements"]),
                cutoff=about["cutoff"],
                shape=about["shape"],
                baseline=Baseline.from_dict(about["baseline"]),
                warnings=tuple(about["warnings"]),
                best=Best(**about["best"]),
                step=about["step"],
                **groups,
            )
        except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
            raise InvalidInput(
                f"not a checkpoint of a message-passing training: {error}", hint="Start the training afresh."
            ) from error
