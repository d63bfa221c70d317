"""The label contract: which key holds what, in which unit, with which sign; and frames read by it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..domain.structure import Frame, Label, Structure
from ..errors import InvalidInput
from ..units import ENERGY_UNITS, LENGTH_UNITS, STRESS_UNITS, factor
from .raw_frame import RawFrame

VOIGT_ORDERS: dict[str, tuple[int, ...]] = {  # where xx yy zz yz xz xy stand
    "xx yy zz yz xz xy": (0, 1, 2, 3, 4, 5),
    "xx yy zz xy yz xz": (0, 1, 2, 4, 5, 3),
    "xx yy zz xy xz yz": (0, 1, 2, 5, 4, 3),
}
SPELLINGS = {
    "ev": "eV", "mev": "meV", "ha": "Hartree", "hartree": "Hartree", "a.u.": "Hartree", "ry": "Rydberg", "rydberg": "Rydberg",
    "kcal/mol": "kcal/mol", "kj/mol": "kJ/mol",
    "a": "Å", "å": "Å", "ang": "Å", "angstrom": "Å", "bohr": "Bohr", "nm": "nm",
    "ev/å³": "eV/Å³", "ev/å^3": "eV/Å³", "ev/a^3": "eV/Å³", "ev/a3": "eV/Å³", "ev/ang^3": "eV/Å³", "ev/angstrom^3": "eV/Å³",
    "gpa": "GPa", "kbar": "kbar", "kb": "kbar", "hartree/bohr^3": "Hartree/Bohr³", "ha/bohr^3": "Hartree/Bohr³",
    "hartree/bohr³": "Hartree/Bohr³",
}  # fmt: skip
SPLITS = {
    "train": "train", "training": "train",
    "valid": "validation", "validation": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip

NONE = "none"  # as a key: leave this label out


class Contract(BaseModel):
    """How the labels of a file are to be read.

    A key is None while nothing is chosen (the survey proposes one), and "none" to leave that label out.
    Units hold for what stands under the file's own keys; formats that fix their units are read by those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy_key: str | None = Field(None, description="Key of the energy; found by itself if not given, 'none' to leave it out")
    forces_key: str | None = Field(None, description="Key of the forces; found by itself if not given, 'none' to leave them out")
    stress_key: str | None = Field(None, description="Key of stress or virial; found if not given, 'none' to leave it out")
    energy_unit: str = Field("eV", description="Unit of the energy")
    length_unit: str = Field("Å", description="Unit of positions and cell")
    forces_unit: str = Field("", description="Unit of the forces, energy/length; that of energy and positions if not given")
    stress_unit: str = Field("eV/Å³", description="Unit of the stress; a virial has the unit of the energy")
    energy_is: Literal["total", "per_atom"] = Field("total", description="Whether the energy is of the whole structure")
    stress_kind: Literal["", "stress", "pressure", "virial"] = Field(
        "", description="stress: positive under tension; pressure: positive under compression; virial: −stress × volume"
    )
    voigt_order: Literal["xx yy zz yz xz xy", "xx yy zz xy yz xz", "xx yy zz xy xz yz"] = Field(
        "xx yy zz yz xz xy", description="Order of six stress components"
    )
    group_key: str | None = Field(None, description="Key that names the group of a frame; found by itself if not given")
    level_of_theory: str = Field("", max_length=200, description="What computed the labels, e.g. 'PBE, VASP 6.4, 520 eV'")
    closest: float = Field(0.3, ge=0, le=2, description="Two atoms nearer than this are a fault, Å")

    @field_validator("energy_unit")
    @classmethod
    def _energy_unit(cls, value: str) -> str:
        return _known(value, ENERGY_UNITS)

    @field_validator("length_unit")
    @classmethod
    def _length_unit(cls, value: str) -> str:
        return _known(value, LENGTH_UNITS)

    @field_validator("stress_unit")
    @classmethod
    def _stress_unit(cls, value: str) -> str:
        return _known(value, STRESS_UNITS)

    @field_validator("forces_unit")
    @classmethod
    def _forces_unit(cls, value: str) -> str:
        if not value:
            return ""
        energy, _, length = value.rpartition("/")
        return f"{_known(energy, ENERGY_UNITS)}/{_known(length, LENGTH_UNITS)}"

    @property
    def force_factor(self) -> float:
        """eV/Å in one unit of the file's forces."""
        energy, _, length = (self.forces_unit or f"{self.energy_unit}/{self.length_unit}").rpartition("/")
        return factor(energy, ENERGY_UNITS) / factor(length, LENGTH_UNITS)


def _known(unit: str, table: dict[str, float]) -> str:
    name = unit if unit in table else SPELLINGS.get(unit.strip().lower(), unit)
    try:
        factor(name, table)
    except InvalidInput as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return name


def stress_kind(key: str, contract: Contract) -> str:
    """What a stress key holds: as the contract says, else by its name."""
    return contract.stress_kind or ("virial" if "virial" in key.lower() else "stress")


def numbers_of(value: object) -> np.ndarray | None:
    """A value as float64 of any shape, text with numbers included; None for what is no number."""
    if isinstance(value, (bool, np.bool_)) or value is None:
        return None
    try:
        values = np.array(value.replace(",", " ").strip("[](){} ").split() if isinstance(value, str) else value, dtype=float)
    except (ValueError, TypeError):
        return None
    return values if values.size else None


def place(raw: RawFrame, contract: Contract) -> Structure:
    """The atoms of a frame in Å."""
    scale = 1.0 if raw.house_units else LENGTH_UNITS[contract.length_unit]
    if scale == 1.0:
        return Structure(raw.numbers, raw.positions, raw.cell, raw.pbc)
    return Structure(raw.numbers, raw.positions * scale, raw.cell * scale, raw.pbc)


def read_energy(raw: RawFrame, key: str, contract: Contract) -> float | str | None:
    """Total energy in eV; None where the frame has none; or what is wrong with it."""
    in_house = key in raw.results
    value = raw.results[key] if in_house else raw.info.get(key)
    if value is None:
        return None
    numbers = numbers_of(value)
    if numbers is None or numbers.size != 1:
        return f"'{str(value)[:60]}' is not a number"
    energy = float(numbers.reshape(-1)[0])
    if not np.isfinite(energy):
        return f"'{str(value)[:60]}' is not finite"
    if in_house:
        return energy
    unit = ENERGY_UNITS[contract.energy_unit]
    energy = energy if unit == 1.0 else energy * unit
    return energy * len(raw) if contract.energy_is == "per_atom" else energy


def read_forces(raw: RawFrame, key: str, contract: Contract) -> np.ndarray | tuple[str, int | None] | None:
    """(atoms, 3) in eV/Å; None where the frame has none; or (what is wrong, atom)."""
    in_house = key in raw.results
    value = raw.results[key] if in_house else raw.arrays.get(key)
    if value is None and len(raw) == 1 and key in raw.info:
        value = raw.info[key]
    if value is None:
        return None
    forces = numbers_of(value)
    if forces is None or forces.size != 3 * len(raw):
        shape = "not numbers" if forces is None else f"of shape {forces.shape}"
        return f"({len(raw)}, 3) numbers are expected, they are {shape}", None
    forces = forces.reshape(-1, 3)
    if not np.isfinite(forces).all():
        return "not finite", int(np.flatnonzero(~np.isfinite(forces).all(axis=1))[0])
    scale = 1.0 if in_house else contract.force_factor
    return forces if scale == 1.0 else forces * scale


def read_stress(raw: RawFrame, key: str, contract: Contract) -> np.ndarray | str | None:
    """(6,) Voigt xx yy zz yz xz xy in eV/Å³, positive under tension; None where there is none; or what is wrong.

    A virial W is read as σ = −W / V.
    """
    in_house = key in raw.results
    value = raw.results[key] if in_house else raw.info.get(key)
    if value is None:
        return None
    values = numbers_of(value)
    if values is None or values.size not in (6, 9):
        return f"'{str(value)[:60]}' is not six or nine numbers"
    values = values.reshape(-1)
    if not np.isfinite(values).all():
        return "not finite"
    if len(values) == 9:
        tensor = values.reshape(3, 3)
        if np.abs(tensor - tensor.T).max() > 1e-2 * max(np.abs(tensor).max(), 1e-6):
            return "the nine numbers are not a symmetric tensor"
        voigt = ((tensor + tensor.T) / 2)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    else:
        voigt = values[list(VOIGT_ORDERS["xx yy zz yz xz xy" if in_house else contract.voigt_order])]
    if in_house:
        return voigt
    kind = stress_kind(key, contract)
    if kind == "virial":
        volume = place(raw, contract).volume
        if volume == 0:
            return "a virial needs a cell with a volume"
        return -voigt * (ENERGY_UNITS[contract.energy_unit] / volume)
    return voigt * (STRESS_UNITS[contract.stress_unit] * (-1.0 if kind == "pressure" else 1.0))


def interpret(raw: RawFrame, contract: Contract) -> Frame | list[tuple[str, str, int | None]]:
    """The frame as the contract reads it, or every (field, message, atom) that cannot be read.

    What the frame does not have stays None. Its own `level_of_theory` and `split` hold where the contract names none.
    """
    wrong: list[tuple[str, str, int | None]] = []
    energy = forces = stress = None
    if contract.energy_key not in (None, NONE):
        energy = read_energy(raw, contract.energy_key, contract)
        if isinstance(energy, str):
            wrong.append((contract.energy_key, energy, None))
    if contract.forces_key not in (None, NONE):
        forces = read_forces(raw, contract.forces_key, contract)
        if isinstance(forces, tuple):
            wrong.append((contract.forces_key, *forces))
    if contract.stress_key not in (None, NONE):
        stress = read_stress(raw, contract.stress_key, contract)
        if isinstance(stress, str):
            wrong.append((contract.stress_key, stress, None))
    if wrong:
        return wrong
    theory = contract.level_of_theory or raw.text("level_of_theory")[:200] or "unspecified"
    group = raw.text(contract.group_key)[:120] if contract.group_key not in (None, NONE) else ""
    split = SPLITS.get(str(raw.info.get("split", "")).lower(), "")
    return Frame(place(raw, contract), Label(theory, energy, forces, stress), group, raw.index, split=split)
