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
from isoline.statistics.calibration import Calibration
from isoline_lab.potentials.files import load_potential
from isoline_lab.potentials.potential import GraphPotential, Potential


class IsolineCalculator(Calculator):
    """Energy, forces and stress as the mean over a committee, and how far its members disagree.

    model  a folder with model.safetensors and model.json, the path of either file, the files' contents by name,
           or a Potential
    dtype  of the learned part; float32 is enough for dynamics

    results: energy eV, free_energy eV, energies (atoms,) eV, forces (atoms, 3) eV/Å, stress (6,) eV/Å³,
    force_spread (atoms,) eV/Å, energy_spread eV/atom; spreads are NaN for a single member, and calibrated to be the
    expected errors where the model was calibrated.

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

    def __init__(
        self,
        model: Potential | Mapping[str, bytes] | str | PathLike,
        dtype: torch.dtype = torch.float64,
        **parameters,
    ):
        super().__init__(**parameters)
        potential = model if isinstance(model, Potential) else load_potential(_files(model))
        self.potential = potential.to(dtype) if isinstance(potential, GraphPotential) else potential
        self.calibration = Calibration.from_dict(getattr(potential, "calibration", {}) or {})

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Fill `results` for the atoms as they are."""
        super().calculate(atoms, properties, system_changes)
        structure = Structure(self.atoms.numbers, self.atoms.positions, self.atoms.cell.array, self.atoms.pbc)
        (prediction,) = self.potential.predict([structure])
        self.results = {
            "energy": prediction.mean_energy,
            "free_energy": prediction.mean_energy,
            "energies": prediction.atom_energies.mean(0),
            "forces": prediction.mean_forces,
            "force_spread": _calibrated(self.calibration.forces, prediction.force_spread, structure.numbers),
            "energy_spread": _calibrated(self.calibration.energy, prediction.energy_spread),
        }
        if prediction.stress is not None:
            self.results["stress"] = prediction.mean_stress
        elif "stress" in properties:
            raise PropertyNotImplementedError("stress needs a cell and a periodic direction")


def _calibrated(calibration, spread, *numbers):
    return spread if calibration is None else calibration.spread(spread, *numbers)


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
