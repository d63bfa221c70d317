"""Everything needed to add labels to a linear potential without those it has learned from, as bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

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
from isoline_lab.training.linear_rows import KINDS
from isoline_lab.training.noise import Noise
from isoline_lab.training.posterior import NormalEquations

FORMAT = 1
HEAD = "linear"


@dataclass(frozen=True, eq=False)
class LinearCheckpoint:
    """A linear potential with the normal equations of its labels.

    data          names the structures and labels of training and validation
    held          names of the structures and labels in the normal equations, a structure for each entry
    learner       features and baseline; its projection scales features and leaves them apart
    equations     of each kind of labels
    coefficients  (elements · (features + 1), members)
    prior         precisions of the coefficients, eV⁻²
    noise         of the labels, as the evidence has it
    evidence      logarithm of the probability of the labels
    epoch         1: there is but one
    """

    data: str
    held: tuple[str, ...]
    recipe: dict
    learner: Learner
    equations: dict[str, NormalEquations]
    coefficients: Tensor
    prior: Tensor
    noise: Noise
    evidence: float
    best: Best
    epoch: int = 1

    def readout(self) -> tuple[Learner, MemberNetworks]:
        """Members as inputs of their own: a projection to their energies, and networks that pass each on."""
        matrix = self.learner.projection.matrix  # (elements, features, inputs)
        elements, members = len(matrix), self.coefficients.shape[1]
        shares = self.coefficients.reshape(elements, -1, members)
        learner = Learner(
            self.learner.features,
            Projection(self.learner.projection.mean, matrix @ shares[:, :-1].to(matrix)),
            self.learner.baseline,
            self.learner.warnings,
        )
        networks = MemberNetworks(members, elements, members, ())
        with torch.no_grad():
            networks.linear.copy_(torch.eye(members)[:, None, :, None])
            networks.offset.copy_(shares[:, -1].T[:, :, None, None])
        return learner, networks

    def committee(self) -> Committee:
        """Draws from the posterior, whose mean is the posterior's."""
        learner, networks = self.readout()
        features, baseline = learner.features, learner.baseline
        return Committee(features, learner.projection, networks, baseline, self.recipe, learner.warnings)

    def to_bytes(self) -> bytes:
        """Safetensors, with everything that is not a tensor as JSON among them."""
        learner = self.learner
        about = {
            "format": FORMAT,
            "family": family_of(learner.features),
            "head": HEAD,
            "epoch": self.epoch,
            "data": self.data,
            "held": list(self.held),
            "recipe": self.recipe,
            "features": learner.features.as_dict(),
            "baseline": learner.baseline.as_dict(),
            "warnings": list(learner.warnings),
            "noise": asdict(self.noise),
            "evidence": self.evidence,
            "best": asdict(self.best),
            "labels": {kind: [found.square, found.count] for kind, found in self.equations.items()},
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8).copy()
        tensors = {
            "about": torch.from_numpy(text),
            "mean": learner.projection.mean,
            "scale": learner.projection.matrix.diagonal(dim1=1, dim2=2).contiguous(),
            "coefficients": self.coefficients.contiguous(),
            "prior": self.prior,
        }
        for kind, found in self.equations.items():
            if found.count:
                tensors[f"gram/{kind}"] = found.gram[_lower(len(found.gram))]  # symmetric: half says it all
                tensors[f"moment/{kind}"] = found.moment
        return safetensors.torch.save(tensors)

    @classmethod
    def from_bytes(cls, content: bytes) -> LinearCheckpoint:
        """The inverse of `to_bytes`; never runs code.

        Raises InvalidInput for anything else.
        """
        try:
            tensors = safetensors.torch.load(bytes(content))
            about = json.loads(tensors["about"].numpy().tobytes())
            if (about.get("head"), about["format"]) != (HEAD, FORMAT):
                raise ValueError(f"head {about.get('head')}, format {about['format']}; expected {HEAD}, {FORMAT}")
            size = len(tensors["coefficients"])
            equations = {}
            for kind in KINDS:
                square, count = about["labels"][kind]
                equations[kind] = NormalEquations.empty(size)
                if count:
                    gram = _whole(tensors[f"gram/{kind}"], size)
                    equations[kind] = NormalEquations(gram, tensors[f"moment/{kind}"], square, count)
            return cls(
                data=about["data"],
                held=tuple(about["held"]),
                recipe=about["recipe"],
                learner=Learner(
                    FEATURES[about["family"]].from_dict(about["features"]),
                    Projection(tensors["mean"], torch.diag_embed(tensors["scale"])),
                    Baseline.from_dict(about["baseline"]),
                    tuple(about["warnings"]),
                ),
                equations=equations,
                coefficients=tensors["coefficients"],
                prior=tensors["prior"],
                noise=Noise(**about["noise"]),
                evidence=about["evidence"],
                best=Best(**about["best"]),
                epoch=about["epoch"],
            )
        except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise InvalidInput(
                f"not a checkpoint of a linear potential: {error}", hint="Start the training afresh."
            ) from error


def _lower(size: int) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool).tril_()


def _whole(packed: Tensor, size: int) -> Tensor:
    gram = packed.new_zeros(size, size)
    gram[_lower(size)] = packed
    return gram + gram.tril(-1).T
