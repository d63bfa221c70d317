"""A committee of potentials that share their features: predictions, and its life as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import safetensors.torch
import torch
from torch import Tensor

from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf_map import AcsfMap
from isoline_lab.descriptors.expansion import ClusterExpansion
from isoline_lab.descriptors.feature_map import FeatureMap
from isoline_lab.descriptors.projection import Projection
from isoline_lab.graph import Graph
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.networks import FoldedReadout, MemberNetworks
from isoline_lab.potentials.potential import GraphPotential, GraphPrediction

FEATURES: dict[str, type[FeatureMap]] = {"behler-parrinello": AcsfMap, "body-ordered": ClusterExpansion}
"""The feature map of each family."""

FORMAT = 2

UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}


@dataclass(frozen=True, eq=False)
class Committee(GraphPotential):
    """K potentials that share their features and differ in the weights of their networks.

    features    what the networks see of the neighbours of an atom
    projection  features → inputs of the networks
    networks    inputs → energies of atoms
    baseline    what is known without learning
    recipe      how it was trained, JSON
    warnings    what its user should know
    calibration how its spreads relate to its errors, JSON; empty where that is not known
    """

    features: FeatureMap
    projection: Projection
    networks: MemberNetworks
    baseline: Baseline
    recipe: dict = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    calibration: dict = field(default_factory=dict)

    @property
    def family(self) -> str:
        return family_of(self.features)

    @property
    def elements(self) -> tuple[int, ...]:
        return self.features.elements

    @property
    def cutoff(self) -> float:
        return self.features.cutoff

    @property
    def members(self) -> int:
        return self.networks.members

    @property
    def n_parameters(self) -> int:
        return self.networks.n_parameters

    def to(self, dtype: torch.dtype) -> Committee:
        networks = MemberNetworks(self.members, len(self.elements), self.projection.n_inputs, self.networks.hidden)
        networks.load_state_dict(self.networks.state_dict())
        return replace(self, networks=networks.to(dtype), projection=self.projection.to(dtype))

    @property
    def dtype(self) -> torch.dtype:
        return self.networks.offset.dtype

    def member(self, index: int) -> Committee:
        """One member alone."""
        networks = MemberNetworks(1, len(self.elements), self.projection.n_inputs, self.networks.hidden).to(self.dtype)
        state = self.networks.state_dict()
        networks.load_state_dict({name: tensor[index : index + 1] for name, tensor in state.items()})
        return replace(self, networks=networks)

    def atom_energies(self, graph: Graph) -> Tensor:
        """Energies of atoms without the baseline, differentiable with respect to positions and cells.

        returns  (members, atoms)  eV

        Raises InvalidInput that names unknown elements.
        """
        element = self.features.element_index(graph.numbers)
        inputs = self.projection(self.features(graph), element)
        return self.networks(inputs.expand(self.members, -1, -1), element)

    def predict_graph(self, graph: Graph) -> GraphPrediction:
        """The derivatives of `atom_energies` by the chain rule in closed form, in bounded memory."""
        return GraphPrediction(*self.features.differentiate(graph, self._readout))

    @property
    def _readout(self) -> FoldedReadout:
        # Folded once for each committee: in dynamics every step asks for it.
        if "readout" not in self.__dict__:
            object.__setattr__(self, "readout", FoldedReadout(self.networks, self.projection))
        return self.__dict__["readout"]

    def save(self) -> dict[str, bytes]:
        tensors = {f"networks.{name}": value for name, value in self.networks.state_dict().items()}
        tensors |= {"projection.mean": self.projection.mean, "projection.matrix": self.projection.matrix}
        about = {
            "format": FORMAT,
            "family": self.family,
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "members": self.members,
            "hidden": list(self.networks.hidden),
            "inputs": self.projection.n_inputs,
            "baseline": self.baseline.as_dict(),
            "units": UNITS,
            "features": self.features.as_dict(),
            "recipe": self.recipe,
            "warnings": list(self.warnings),
            "calibration": self.calibration,
        }
        return {
            "model.safetensors": safetensors.torch.save({k: v.detach().contiguous() for k, v in tensors.items()}),
            "model.json": json.dumps(about, indent=1, ensure_ascii=False).encode(),
        }

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> Committee:
        """The committee of saved files; never runs code from them.

        Raises InvalidInput for missing files, another family or format, and contents that do not fit together.
        """
        missing = {"model.safetensors", "model.json"} - set(files)
        if missing:
            raise InvalidInput(f"a model needs {', '.join(sorted(missing))}", hint="Give both files of the model.")
        try:
            about = _in_this_format(json.loads(files["model.json"]))
            tensors = safetensors.torch.load(bytes(files["model.safetensors"]))
            features = FEATURES[about["family"]].from_dict(about["features"])
            networks = MemberNetworks(about["members"], len(features.elements), about["inputs"], about["hidden"])
            networks.to(tensors["networks.offset"].dtype)
            networks.load_state_dict({k[9:]: v for k, v in tensors.items() if k.startswith("networks.")})
            projection = Projection(tensors["projection.mean"], tensors["projection.matrix"])
            expected = (len(features.elements), features.n_features, about["inputs"])
            if projection.matrix.shape != expected or projection.mean.shape != expected[:2]:
                raise ValueError(f"projection {tuple(projection.matrix.shape)} instead of {expected}")
            baseline = Baseline.from_dict(about["baseline"])
            if tuple(baseline.elements) != tuple(features.elements):
                raise ValueError(f"baseline of {baseline.elements}, features of {features.elements}")
            return cls(
                features,
                projection,
                networks,
                baseline,
                about["recipe"],
                tuple(about["warnings"]),
                about.get("calibration", {}),
            )
        except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise InvalidInput(
                f"the model's files do not fit together: {error}", hint="Export or copy the model again."
            ) from error


def family_of(features: FeatureMap) -> str:
    """The family that a feature map makes."""
    return next(family for family, kind in FEATURES.items() if isinstance(features, kind))


def _in_this_format(about: dict) -> dict:
    """The description of a model of this or an earlier format."""
    if about["family"] not in FEATURES or about["format"] not in (1, FORMAT):
        raise InvalidInput(
            f"the model is a {about['family']}, format {about['format']}; "
            f"this program reads {', '.join(FEATURES)}, format {FORMAT}",
            hint="Use the version of Isoline that made it.",
        )
    if about["format"] == 1:
        baseline = {"elements": about["elements"], "energies": about["reference_energies"]}
        return {**about, "features": about["symmetry_functions"], "baseline": baseline}
    return about
