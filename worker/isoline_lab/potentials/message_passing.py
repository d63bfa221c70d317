"""A committee of equivariant message-passing potentials: predictions, and its life as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace

import safetensors.torch
import torch

from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import element_index
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.graph import Graph
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.message_gradient import predict_all
from isoline_lab.potentials.message_network import MessageNetwork
from isoline_lab.potentials.potential import GraphPotential, GraphPrediction

FAMILY = "message-passing"
FORMAT = 1
UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}

# What a network is built from, by the name of its argument.
SHAPE = ("members", "layers", "channels", "l_max", "hidden", "direct")


@dataclass(frozen=True, eq=False)
class MessagePassing(GraphPotential):
    """Potentials that share a trunk of message layers and differ in their last layers.

    elements  atomic numbers, ascending
    network   neighbours → energies of atoms
    baseline  what the network adds to
    recipe    how it was trained, JSON
    warnings  what its user should know
    """

    elements: tuple[int, ...]
    network: MessageNetwork
    baseline: Baseline
    recipe: dict = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    family = FAMILY

    @property
    def cutoff(self) -> float:
        return self.network.cutoff

    @property
    def receptive_field(self) -> float:
        """Å: each layer brings news from one cutoff further away."""
        return self.cutoff * len(self.network.layers)

    @property
    def members(self) -> int:
        return self.network.members

    @property
    def n_parameters(self) -> int:
        return self.network.n_parameters

    @property
    def dtype(self) -> torch.dtype:
        return self.network.offset.dtype

    def to(self, dtype: torch.dtype) -> MessagePassing:
        """The same potential in another precision."""
        return replace(self, network=deepcopy(self.network).to(dtype))

    def predict_graph(self, graph: Graph) -> GraphPrediction:
        """Energies of atoms, forces and virials of all members from one pass over the neighbours.

        With a readout for forces those are its answer, while virials remain derivatives of the energies.

        Raises InvalidInput that names unknown elements.
        """
        element = element_index(self.elements, graph.numbers)
        environments = gather_environments(graph, element, self.cutoff)
        return predict_all(self.network, environments, element, graph)

    def save(self) -> dict[str, bytes]:
        """The files of the model: weights as safetensors, everything else as JSON."""
        about = {
            "format": FORMAT,
            "family": FAMILY,
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "network": network_shape(self.network),
            "baseline": self.baseline.as_dict(),
            "units": UNITS,
            "recipe": self.recipe,
            "warnings": list(self.warnings),
        }
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        return {
            "model.safetensors": safetensors.torch.save(tensors),
            "model.json": json.dumps(about, indent=1, ensure_ascii=False).encode(),
        }

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> MessagePassing:
        """The potential of saved files; never runs code from them.

        Raises InvalidInput for missing files, another family or format, and contents that do not fit together.
        """
        missing = {"model.safetensors", "model.json"} - set(files)
        if missing:
            raise InvalidInput(f"a model needs {', '.join(sorted(missing))}", hint="Give both files of the model.")
        try:
            about = json.loads(files["model.json"])
            if about["family"] != FAMILY or about["format"] != FORMAT:
                raise InvalidInput(
                    f"the model is a {about['family']}, format {about['format']}; "
                    f"this program reads {FAMILY}, format {FORMAT}",
                    hint="Use the version of Isoline that made it.",
                )
            tensors = safetensors.torch.load(bytes(files["model.safetensors"]))
            elements = tuple(about["elements"])
            network = new_network(about["network"], len(elements), about["cutoff"], tensors["offset"].dtype)
            network.load_state_dict(tensors)
            baseline = Baseline.from_dict(about["baseline"])
            return cls(elements, network, baseline, about["recipe"], tuple(about["warnings"]))
        except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise InvalidInput(
                f"the model's files do not fit together: {error}", hint="Export or copy the model again."
            ) from error


def network_shape(network: MessageNetwork) -> dict:
    """What `new_network` needs to build one of the same shape, JSON."""
    return {
        "members": network.members,
        "layers": len(network.layers),
        "channels": network.channels,
        "l_max": network.l_max,
        "hidden": list(network.hidden),
        "direct": network.direct,
    }


def new_network(shape: dict, elements: int, cutoff: float, dtype: torch.dtype = torch.float32) -> MessageNetwork:
    """A network of this shape, without weights."""
    arguments = {name: shape[name] for name in SHAPE} | {"hidden": tuple(shape["hidden"])}
    return MessageNetwork(elements=elements, cutoff=cutoff, **arguments).to(dtype)
