"""Frames read by a label contract: values under its keys, in its units, with its signs."""

from __future__ import annotations

from math import isfinite

import numpy as np

from ..domain.contract import NONE, Contract
from ..domain.structure import Frame, Label, Structure
from ..units import ENERGY_UNITS, LENGTH_UNITS, STRESS_UNITS
from .raw_frame import RawFrame

VOIGT_ORDERS: dict[str, tuple[int, ...]] = {  # where xx yy zz yz xz xy stand
    "xx yy zz yz xz xy": (0, 1, 2, 3, 4, 5),
    "xx yy zz xy yz xz": (0, 1, 2, 4, 5, 3),
    "xx yy zz xy xz yz": (0, 1, 2, 5, 4, 3),
}
SPLITS = {
    "train": "train", "training": "train",
    "valid": "validation", "validation": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def stress_kind(key: str, contract: Contract) -> str:
    """What a stress key holds: as the contract says, else by its name."""
    return contract.stress_kind or ("virial" if "virial" in key.lower() else "stress")


def numbers_of(value: object) -> np.ndarray | None:
    """A value as float64 of any shape, text with numbers included; None for what is no number."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64:
        return value
    if isinstance(value, (bool, np.bool_)) or value is None:
        return None
    try:
        values = np.array(
            value.replace(",", " ").strip("[](){} ").split() if isinstance(value, str) else value, dtype=float
        )
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
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        energy = float(value)
    else:
        numbers = numbers_of(value)
        if numbers is None or numbers.size != 1:
            return f"'{str(value)[:60]}' is not a number"
        energy = float(numbers.reshape(-1)[0])
    if not isfinite(energy):
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
