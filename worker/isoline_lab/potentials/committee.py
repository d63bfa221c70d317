"""A committee of Behler–Parrinello potentials: predictions, and its life as files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from isoline.domain.structure import Structure
from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import SymmetryFunctions
from isoline_lab.descriptors.environments import gather_environments
from isoline_lab.descriptors.projection import Derivatives, Projection
from isoline_lab.graph import Graph, build_graph
from isoline_lab.potentials.networks import MemberNetworks, sum_over_atoms
from isoline_lab.potentials.prediction import Prediction

FAMILY = "behler-parrinello"
FORMAT = 1
# Bounds the memory of a prediction, whatever the size of a structure.
ATOMS_AT_ONCE = 64

UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"}


@dataclass(frozen=True, eq=False)
class Committee:
    """K potentials that share their features and differ in the weights of their networks.

    functions   symmetry functions, with the elements and the cutoff
    projection  symmetry functions → inputs of the networks
    networks    inputs → energies of atoms
    reference   (elements,)  eV per atom
    recipe      how it was trained, JSON
    warnings    what its user should know
    """

    functions: SymmetryFunctions
    projection: Projection
    networks: MemberNetworks
    reference: np.ndarray
    recipe: dict = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def elements(self) -> tuple[int, ...]:
        return self.functions.elements

    @property
    def cutoff(self) -> float:
        return self.functions.cutoff

    @property
    def members(self) -> int:
        return self.networks.members

    @property
    def n_parameters(self) -> int:
        return self.networks.n_parameters

    def to(self, dtype: torch.dtype) -> Committee:
        """The same committee in another precision."""
        networks = MemberNetworks(self.members, len(self.elements), self.projection.n_inputs, self.networks.hidden)
        networks.load_state_dict(self.networks.state_dict())
        return replace(self, networks=networks.to(dtype), projection=self.projection.to(dtype))

    @property
    def dtype(self) -> torch.dtype:
        return self.networks.offset.dtype

    def atom_energies(self, graph: Graph) -> Tensor:
        """Energies of atoms without reference energies, differentiable with respect to positions and cells.

        returns  (members, atoms)  eV

        Raises InvalidInput that names unknown elements.
        """
        element = self.functions.element_index(graph.numbers)
        inputs = self.projection(self.functions(graph), element)
        return self.networks(inputs.expand(self.members, -1, -1), element)

    def predict_graph(self, graph: Graph) -> tuple[Tensor, Tensor, Tensor]:
        """Energies of atoms, forces and virials of all members from one pass over the features.

        returns  (members, atoms) eV without reference energies, (members, atoms, 3) eV/Å,
                 (members, structures, 3, 3) ∂E/∂strain, eV

        Equals the derivatives of `atom_energies`, by the chain rule in closed form and in bounded memory.
        """
        element = self.functions.element_index(graph.numbers)
        environments = gather_environments(graph, element, self.functions.cutoff)
        energies = graph.positions.new_zeros(self.members, graph.n_atoms)
        gradient = graph.positions.new_zeros(graph.n_atoms, 3, self.members)
        virial = graph.positions.new_zeros(graph.n_structures, 3, 3, self.members)
        for atoms in torch.arange(graph.n_atoms, device=element.device).split(ATOMS_AT_ONCE):
            part = environments[atoms]
            # The members share the features; each takes the slope of its own energy.
            inputs = self.projection(self.functions.values(part), element[atoms])
            inputs = inputs.expand(self.members, -1, -1).requires_grad_()
            with torch.enable_grad():
                own = self.networks(inputs, element[atoms])
            (slopes,) = torch.autograd.grad(own.sum(), inputs)
            back = self.projection.pulled_back(slopes, element[atoms])
            pulls = Derivatives(self.functions, back)(part)  # (some atoms, slots, 3, members)
            energies[:, atoms] = own.detach()
            gradient[atoms] -= pulls.sum(1)
            gradient.index_add_(0, part.neighbour.flatten(), pulls.flatten(0, 1))
            terms = torch.einsum("anx,anyk->axyk", part.displacement, pulls)
            virial.index_add_(0, graph.structure[atoms], terms)
        return energies, -gradient.permute(2, 0, 1), 0.5 * (virial + virial.transpose(1, 2)).permute(3, 0, 1, 2)

    def predict(self, structures: Iterable[Structure], batch_atoms: int = 512) -> Iterator[Prediction]:
        """Predictions of structures in their order, computed for about `batch_atoms` atoms at a time.

        Raises InvalidInput that names unknown elements.
        """
        for batch in _batches(structures, batch_atoms):
            yield from self._predict_batch(batch)

    def _predict_batch(self, structures: Sequence[Structure]) -> Iterator[Prediction]:
        graph = build_graph(structures, self.cutoff, self.dtype)
        energies, forces, virial = self.predict_graph(graph)
        # Sums of large reference energies need float64 whatever the networks use.
        reference = torch.from_numpy(self.reference)[self.functions.element_index(graph.numbers)]
        energies = energies.double() + reference
        total = sum_over_atoms(energies, graph).numpy()
        energies, forces, virial = energies.numpy(), forces.double().numpy(), virial.double().numpy()
        end = np.cumsum([len(s) for s in structures])
        for index, structure in enumerate(structures):
            atoms = slice(end[index] - len(structure), end[index])
            stress = None
            if structure.volume > 0 and structure.pbc.any():
                full = virial[:, index] / structure.volume
                stress = np.stack([full[:, x, y] for x, y in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], axis=1)
            yield Prediction(total[:, index], energies[:, atoms], forces[:, atoms], stress)

    def save(self) -> dict[str, bytes]:
        """The files of the model: weights as safetensors, everything else as JSON."""
        tensors = {f"networks.{name}": value for name, value in self.networks.state_dict().items()}
        tensors |= {"projection.mean": self.projection.mean, "projection.matrix": self.projection.matrix}
        about = {
            "format": FORMAT,
            "family": FAMILY,
            "elements": list(self.elements),
            "cutoff": self.cutoff,
            "members": self.members,
            "hidden": list(self.networks.hidden),
            "inputs": self.projection.n_inputs,
            "reference_energies": self.reference.tolist(),
            "units": UNITS,
            "symmetry_functions": functions_as_dict(self.functions),
            "recipe": self.recipe,
            "warnings": list(self.warnings),
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
            about = json.loads(files["model.json"])
            tensors = safetensors.torch.load(bytes(files["model.safetensors"]))
            if about["family"] != FAMILY or about["format"] != FORMAT:
                raise InvalidInput(
                    f"the model is a {about['family']}, format {about['format']}; "
                    f"this program reads {FAMILY}, format {FORMAT}",
                    hint="Use the version of Isoline that made it.",
                )
            functions = functions_from_dict(about["symmetry_functions"])
            networks = MemberNetworks(about["members"], len(functions.elements), about["inputs"], about["hidden"])
            networks.to(tensors["networks.offset"].dtype)
            networks.load_state_dict({k[9:]: v for k, v in tensors.items() if k.startswith("networks.")})
            projection = Projection(tensors["projection.mean"], tensors["projection.matrix"])
            expected = (len(functions.elements), functions.n_features, about["inputs"])
            if projection.matrix.shape != expected or projection.mean.shape != expected[:2]:
                raise ValueError(f"projection {tuple(projection.matrix.shape)} instead of {expected}")
            reference = np.array(about["reference_energies"], dtype=np.float64).reshape(len(functions.elements))
            return cls(functions, projection, networks, reference, about["recipe"], tuple(about["warnings"]))
        except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
            raise InvalidInput(
                f"the model's files do not fit together: {error}", hint="Export or copy the model again."
            ) from error


def functions_as_dict(functions: SymmetryFunctions) -> dict:
    """Symmetry functions as JSON."""
    return {
        "elements": list(functions.elements),
        "cutoff": functions.cutoff,
        "radial": [list(pair) for pair in functions.radial],
        "angular": [list(pair) for pair in functions.angular],
        "shapes": [list(pair) for pair in functions.shapes],
        "mixed": functions.mixed,
    }


def functions_from_dict(about: dict) -> SymmetryFunctions:
    """The inverse of `functions_as_dict`."""
    pairs = {name: tuple(map(tuple, about[name])) for name in ("radial", "angular", "shapes")}
    return SymmetryFunctions(tuple(about["elements"]), about["cutoff"], **pairs, mixed=about["mixed"])


def _batches(structures: Iterable[Structure], batch_atoms: int) -> Iterator[list[Structure]]:
    batch, atoms = [], 0
    for structure in structures:
        if batch and atoms + len(structure) > batch_atoms:
            yield batch
            batch, atoms = [], 0
        batch.append(structure)
        atoms += len(structure)
    if batch:
        yield batch
