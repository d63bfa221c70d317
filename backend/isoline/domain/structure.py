"""Atoms in a cell, and what a reference calculation said about them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms, their positions and their cell; immutable and identified by content.

    numbers    (atoms,)    uint8    atomic numbers
    positions  (atoms, 3)  float64  Å
    cell       (3, 3)      float64  Å, row vectors; zeros where there is none
    pbc        (3,)        bool
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "numbers", np.ascontiguousarray(self.numbers, dtype=np.uint8))
        object.__setattr__(self, "positions", np.ascontiguousarray(self.positions, dtype="<f8").reshape(-1, 3))
        object.__setattr__(self, "cell", np.ascontiguousarray(self.cell, dtype="<f8").reshape(3, 3))
        object.__setattr__(self, "pbc", np.ascontiguousarray(self.pbc, dtype=bool).reshape(3))

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def volume(self) -> float:
        """Volume of the cell in Å³; 0 without one."""
        return float(abs(np.linalg.det(self.cell)))

    @cached_property
    def identity(self) -> bytes:
        """16-byte content hash: equal exactly when atoms, cell and boundary conditions are equal bit for bit."""
        digest = hashlib.blake2b(digest_size=16)
        # −0.0 and 0.0 are the same place; adding 0.0 makes them the same bytes.
        for array in (self.numbers, self.positions + 0.0, self.cell + 0.0, self.pbc):
            digest.update(array.tobytes())
        return digest.digest()


@dataclass(frozen=True, eq=False)
class Label:
    """What one level of theory says about one structure; what is missing is None, never zero.

    energy  eV, total
    forces  (atoms, 3)  eV/Å
    stress  (6,)        eV/Å³, Voigt order xx yy zz yz xz xy, positive under tension (ASE sign)
    """

    level_of_theory: str = "unspecified"
    energy: float | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.forces is not None:
            object.__setattr__(self, "forces", np.ascontiguousarray(self.forces, dtype="<f8").reshape(-1, 3))
        if self.stress is not None:
            object.__setattr__(self, "stress", np.ascontiguousarray(self.stress, dtype="<f8").reshape(6))

    @property
    def empty(self) -> bool:
        return self.energy is None and self.forces is None and self.stress is None

    @cached_property
    def identity(self) -> bytes:
        """16-byte content hash of the numbers in this label."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(b"none" if self.energy is None else np.float64(self.energy).tobytes())
        for array in (self.forces, self.stress):
            digest.update(b"none" if array is None else (array + 0.0).tobytes())
        return digest.digest()


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure with its label, as it stood in a file or in a dataset.

    group   the file's own name for where it came from (`config_type`), or ""
    index   0-based place in the file
    id      the store's number, 0 while it has none
    split   "train", "validation", "test" or "" (not assigned)
    """

    structure: Structure
    label: Label = field(default_factory=Label)
    group: str = ""
    index: int = 0
    id: int = 0
    split: str = ""

    def __len__(self) -> int:
        return len(self.structure)
