"""CP2K output text: energy, forces, stress and cell of single points and of runs that print coordinates.

Written for the layouts of CP2K 7 to 2026 (`[a.u.]` until 2024, `[hartree]` and `FORCES|` since 2025).
CP2K prints the stress as a pressure tensor, positive under compression; ASE's own CP2K calculator turns the sign too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from ase.data import atomic_numbers

from ..units import BOHR, GPA, HARTREE, STRESS_UNITS
from .fault import Fault
from .raw_frame import RawFrame
from .stream import LINE_LIMIT, Lines, Unreadable

LENGTH = {"ANGSTROM": 1.0, "BOHR": BOHR}
STRESS = {"GPA": GPA, "BAR": STRESS_UNITS["kbar"] / 1000, "KBAR": STRESS_UNITS["kbar"], "ATM": 1.01325e-4 * GPA}

CELL = re.compile(r"\s*CELL(?:_TOP)?\| Vector ([abc]) \[(\w+)\]:?\s+(\S+)\s+(\S+)\s+(\S+)")
PERIODIC = re.compile(r"\s*CELL\| Periodic(?:ity)?:?\s+(NONE|X?Y?Z?)\s*$")
COORDINATES = re.compile(r"\s*MODULE \w+:\s+ATOMIC COORDINATES IN (\w+)", re.IGNORECASE)
ENERGY = re.compile(r"\s*ENERGY\| Total FORCE_EVAL .*?(?:\[(?:a\.u\.|hartree)\]|\(a\.u\.\)):?\s+(\S+)")
FORCES = re.compile(r"\s*(?:ATOMIC FORCES in \[a\.u\.\]|FORCES\| Atomic forces \[hartree/bohr\])")
STRESS_HEAD = re.compile(r"\s*(?:STRESS\| (?:Analytical|Numerical) stress tensor|STRESS TENSOR) \[(\w+)\]")


class Step:
    """What was printed for one geometry so far."""

    def __init__(self, numbers: np.ndarray, positions: np.ndarray):
        self.numbers = numbers
        self.positions = positions
        self.energy: float | None = None
        self.forces: np.ndarray | None = None
        self.stress: np.ndarray | None = None


def read_cp2k(stream: BinaryIO, file: str, line_limit: int = LINE_LIMIT) -> Iterator[RawFrame | Fault]:
    """Every geometry whose coordinates are printed, with what follows it; results in eV, eV/Å, eV/Å³ (ASE sign).

    A remark tells how many further energies came without coordinates (they stand in a trajectory file).
    """
    lines = Lines(stream, line_limit)
    cell, pbc = np.zeros((3, 3)), np.ones(3, dtype=bool)
    step: Step | None = None
    index = skipped = 0
    ended = False

    def frame() -> RawFrame:
        found = {"energy": step.energy, "forces": step.forces, "stress": step.stress}
        results = {key: value for key, value in found.items() if value is not None}
        return RawFrame(index, step.numbers, step.positions, cell.copy(), pbc.copy(), {}, {}, results, house_units=True)

    try:
        while taken := lines.take(1):
            line = taken[0].decode("utf-8", "replace")
            if match := CELL.match(line):
                scale = LENGTH.get(match.group(2).upper(), 1.0)
                cell["abc".index(match.group(1))] = [_float(text) * scale for text in match.groups()[2:]]
            elif match := PERIODIC.match(line):
                pbc[:] = [axis in match.group(1) and match.group(1) != "NONE" for axis in "XYZ"]
            elif match := COORDINATES.match(line):
                if step is not None:
                    yield frame()
                    index += 1
                step = Step(*_coordinates(lines, LENGTH.get(match.group(1).upper(), 1.0)))
            elif match := ENERGY.match(line):
                if step is None or step.energy is not None:
                    skipped += 1
                else:
                    step.energy = _float(match.group(1)) * HARTREE
            elif FORCES.match(line) and step is not None and step.forces is None:
                step.forces = _forces(lines, len(step.numbers)) * (HARTREE / BOHR)
            elif (match := STRESS_HEAD.match(line)) and step is not None and step.stress is None:
                unit = STRESS.get(match.group(1).upper())
                if unit is None:
                    raise Unreadable(f"stress in the unknown unit '{match.group(1)}'")
                step.stress = -_tensor(lines) * unit
            elif "PROGRAM ENDED" in line:
                ended = True
    except Unreadable as error:
        yield Fault(file=file, frame=index, field="file", message=str(error))
        return
    if step is not None:
        yield frame()
    if not ended:
        told = "the output ends before CP2K did ('PROGRAM ENDED' is missing)"
        yield Fault(file=file, frame=index, field="file", message=told, fatal=False)
    if skipped:
        told = f"{skipped} further energies have no coordinates in this output; import the trajectory for them"
        yield Fault(file=file, field="coordinates", fatal=False, message=told)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")  # a field of stars: met again by the check for finite numbers


def _coordinates(lines: Lines, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows `atom kind element Z x y z …` after a heading; numbers (atoms,) and positions (atoms, 3) in Å."""
    numbers, positions = [], []
    while taken := lines.take(1):
        words = taken[0].decode("utf-8", "replace").split()
        if len(words) >= 7 and words[0].isdigit():
            numbers.append(atomic_numbers.get(words[2], 0) or (int(words[3]) if words[3].isdigit() else 0))
            positions.append([_float(word) * scale for word in words[4:7]])
        elif positions:
            lines.give_back(taken)
            break
        elif words and words[0] != "Atom" and not taken[0].strip().startswith(b"#"):
            raise Unreadable(f"a table of coordinates is expected before line {lines.number}")
    if not positions:
        raise Unreadable("a table of coordinates has no rows")
    return np.array(numbers, dtype=np.uint8), np.array(positions)


def _forces(lines: Lines, atoms: int) -> np.ndarray:
    """(atoms, 3) in Hartree/Bohr, of either layout."""
    rows: list[list[float]] = []
    while len(rows) < atoms and (taken := lines.take(1)):
        words = taken[0].decode("utf-8", "replace").split()
        if words[:1] == ["FORCES|"] and len(words) >= 5 and words[1].isdigit():
            rows.append([_float(word) for word in words[2:5]])
        elif len(words) == 6 and words[0].isdigit():
            rows.append([_float(word) for word in words[3:6]])
        elif rows:
            break
    if len(rows) < atoms:
        raise Unreadable(f"forces of {atoms} atoms are expected, {len(rows)} found")
    return np.array(rows)


def _tensor(lines: Lines) -> np.ndarray:
    """(6,) Voigt xx yy zz yz xz xy of the three rows after a heading."""
    rows: list[list[float]] = []
    for _ in range(6):
        words = b" ".join(lines.take(1)).decode("utf-8", "replace").replace("STRESS|", "").split()
        if len(words) == 4 and words[0].lower() in ("x", "y", "z"):
            rows.append([_float(word) for word in words[1:]])
        if len(rows) == 3:
            tensor = np.array(rows)
            return ((tensor + tensor.T) / 2)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    raise Unreadable("a stress tensor of three rows is expected")
