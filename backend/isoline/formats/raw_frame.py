"""One frame as its file has it: names, numbers and units still the file's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class RawFrame:
    """Atoms with everything a file says about them, not yet interpreted.

    numbers    (atoms,)    uint8    atomic numbers
    positions  (atoms, 3)  float64  the file's length unit
    cell       (3, 3)      float64  row vectors; zeros where there is none
    pbc        (3,)        bool
    info       one value per frame, by the file's own keys
    arrays     (atoms, …)  by the file's own keys
    results    energy, forces, stress, … whose units and signs the format fixes: eV, eV/Å, eV/Å³ (ASE sign)
    header     the text that `info` was read from, where there is one
    """

    index: int
    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    info: dict[str, object] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    header: bytes = b""
    house_units: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def text(self, key: str) -> str:
        """The value of `key` as it is written, "" without one.

        Read from the header itself, because parsers turn `F` into False and `007` into 7.
        """
        value = self.info.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) and self.header:
            match = re.search(
                rb"(?:^|\s)\"?" + re.escape(key.encode()) + rb"\"?\s*=\s*(\"[^\"]*\"|'[^']*'|\S+)", self.header
            )
            if match:
                return match.group(1).decode("utf-8", "replace").strip("\"'")
        return str(value)
