"""A trained committee as an ASE calculator, for a notebook or a script; no store needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from isoline.domain.structure import Structure
from isoline.errors import NotFound
from isoline_lab.potentials.committee import Committee


class IsolineCalculator(Calculator):
    """Energy, forces and stress as the mean over a committee, and how far its members disagree.

    model  a folder with model.safetensors and model.json, the path of either file, the files' contents by name,
           or a Committee

    results: energy eV, free_energy eV, energies (atoms,) eV, forces (atoms, 3) eV/Å, stress (6,) eV/Å³,
    force_spread (atoms,) eV/Å, energy_spread eV/atom; spreads are NaN for a single member.

    Raises InvalidInput for other files, and at a calculation for elements that the model does not know.
    """

    implemented_properties = (
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "force_spread",
        "energy_spread",
    )

    def __init__(self, model: Committee | Mapping[str, bytes] | str | PathLike, **parameters):
        super().__init__(**parameters)
        committee = model if isinstance(model, Committee) else Committee.load(_files(model))
        self.committee = committee.to(torch.float64)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results` for the atoms as they are."""
        super().calculate(atoms, properties, system_changes)
        structure = Structure(self.atoms.numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc)
        (prediction,) = self.committee.predict([structure])
        self.results = {
            "energy": prediction.mean_energy,
            "free_energy": prediction.mean_energy,
            "energies": prediction.atom_energies.mean(0),
            "forces": prediction.mean_forces,
            "force_spread": prediction.force_spread,
            "energy_spread": prediction.energy_spread,
        }
        if prediction.stress is not None:
            self.results["stress"] = prediction.mean_stress
        elif "stress" in properties:
            raise PropertyNotImplementedError("stress needs a cell and a periodic direction")


def _files(model: Mapping[str, bytes] | str | PathLike) -> Mapping[str, bytes]:
    if isinstance(model, Mapping):
        return model
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    paths = [folder / name for name in ("model.safetensors", "model.json")]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise NotFound(
            f"no {' and no '.join(missing)} in {folder}", hint="Export the model again, both files together."
        )
    return {path.name: path.read_bytes() for path in paths}
