"""Files out: extended XYZ with every bit of every number, and ASE's own formats."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import ase
import ase.db
import ase.db.core
import ase.io.trajectory
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols

from ..domain.structure import Frame
from ..errors import InvalidInput, Unavailable

SUFFIXES = (".extxyz", ".xyz", ".extxyz.gz", ".xyz.gz", ".extxyz.xz", ".xyz.xz", ".db", ".traj")
FULL = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # Voigt component at each place of the 3 × 3 stress


def write(path: Path, frames: Iterable[Frame]) -> tuple[int, str]:
    """Write frames to a file whose suffix names the format; how many, and the file's SHA-256.

    The file appears under its name only when it is whole.

    Raises InvalidInput for a suffix that is none of `SUFFIXES`, Unavailable when the folder cannot be written to.
    """
    suffix = _suffix(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial{suffix}")
    try:
        if suffix == ".db":
            n = _write_database(partial, frames)
        elif suffix == ".traj":
            n = _write_trajectory(partial, frames)
        else:
            with partial.open("wb") as file, _compressed(file, suffix) as stream:
                n = write_extended_xyz(stream, frames)
        with partial.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(partial, path)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be written: {error.strerror or error}", hint="Choose another folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return n, digest


def write_extended_xyz(stream: BinaryIO, frames: Iterable[Frame]) -> int:
    """Write frames as extended XYZ and count them; each number is the shortest text that reads back as itself."""
    n = 0
    for frame in frames:
        structure, forces = frame.structure, frame.label.forces
        columns = structure.positions if forces is None else np.hstack([structure.positions, forces])
        rows = [
            f"{chemical_symbols[z]} {' '.join(map(repr, row))}"
            for z, row in zip(structure.numbers.tolist(), columns.tolist(), strict=True)
        ]
        stream.write("\n".join([str(len(frame)), _header(frame), *rows, ""]).encode())
        n += 1
    return n


def atoms(frame: Frame) -> ase.Atoms:
    """ASE's picture of a frame, its label as a calculator."""
    structure, label = frame.structure, frame.label
    made = ase.Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
    if not label.empty:
        results = {"energy": label.energy, "forces": label.forces, "stress": label.stress}
        made.calc = SinglePointCalculator(made, **{name: value for name, value in results.items() if value is not None})
    made.info.update(_names(frame))
    return made


def _suffix(path: Path) -> str:
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    raise InvalidInput(
        f"'{path.name}' does not say its format", hint=f"End the name with one of: {', '.join(SUFFIXES)}."
    )


def _compressed(file: BinaryIO, suffix: str) -> BinaryIO:
    if suffix.endswith(".gz"):
        # No name and no time inside: equal frames give equal files.
        return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
    if suffix.endswith(".xz"):
        return lzma.LZMAFile(file, "wb", preset=3)
    return file


def _names(frame: Frame) -> dict[str, str]:
    level = frame.label.level_of_theory
    names = {
        "config_type": frame.group,
        "level_of_theory": "" if level == "unspecified" else level,
        "split": frame.split,
    }
    return {key: name for key, name in names.items() if name}


def _header(frame: Frame) -> str:
    structure, label = frame.structure, frame.label
    fields = []
    if structure.cell.any():
        fields.append(f'Lattice="{_numbers(structure.cell)}"')
    fields.append(f"Properties=species:S:1:pos:R:3{'' if label.forces is None else ':forces:R:3'}")
    if label.energy is not None:
        fields.append(f"energy={label.energy!r}")
    if label.stress is not None:
        fields.append(f'stress="{_numbers(label.stress[FULL])}"')
    fields.append(f'pbc="{" ".join("FT"[periodic] for periodic in structure.pbc.tolist())}"')
    for key, name in _names(frame).items():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        fields.append(f'{key}="{escaped}"')
    return " ".join(fields)


def _numbers(values: np.ndarray) -> str:
    return " ".join(map(repr, values.ravel().tolist()))


def _write_trajectory(path: Path, frames: Iterable[Frame]) -> int:
    n = 0
    with ase.io.trajectory.TrajectoryWriter(path) as trajectory:
        for frame in frames:
            trajectory.write(atoms(frame))
            n += 1
    return n


def _write_database(path: Path, frames: Iterable[Frame]) -> int:
    n = 0
    with ase.db.connect(path, type="db", append=False) as database:
        for frame in frames:
            pairs, data = {}, {}
            for key, name in _names(frame).items():
                (pairs if _fits_pair(key, name) else data)[key] = name
            database.write(atoms(frame), key_value_pairs=pairs, data=data)
            n += 1
    return n


def _fits_pair(key: str, name: str) -> bool:
    """Whether ase.db takes a name as a key-value pair: it refuses texts that read as numbers."""
    try:
        ase.db.core.check({key: name})
    except ValueError:
        return False
    return True
