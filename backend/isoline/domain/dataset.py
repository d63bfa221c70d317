"""Datasets: a version's card, its aligned columns, and where its members came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Names:
    """A column in which few different names occur often.

    codes  (n,) int32, indices into `names`
    """

    codes: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str]) -> Names:
        code: dict[str, int] = {}
        codes = np.fromiter((code.setdefault(value, len(code)) for value in values), dtype=np.int32)
        return cls(codes, tuple(code))

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray) -> Names:
        return Names(self.codes[rows], self.names)

    def values(self) -> np.ndarray:
        """(n,) object array of str."""
        return np.array(self.names, dtype=object)[self.codes] if self.names else np.empty(0, dtype=object)

    def counts(self) -> dict[str, int]:
        """How often each name occurs, in the order of names; those that do not occur are left out."""
        counted = np.bincount(self.codes, minlength=len(self.names))
        return {name: int(n) for name, n in zip(self.names, counted, strict=True) if n}

    @classmethod
    def joined(cls, parts: Sequence[Names]) -> Names:
        """All parts, one after the other."""
        code: dict[str, int] = {}
        maps = [np.array([code.setdefault(name, len(code)) for name in part.names], dtype=np.int32) for part in parts]
        codes = [table[part.codes] for table, part in zip(maps, parts, strict=True) if len(part)]
        return cls(np.concatenate(codes) if codes else np.empty(0, np.int32), tuple(code))


@dataclass(frozen=True, eq=False)
class Columns:
    """What is asked about every member of a version, row = position in the version.

    structure_id  (n,)     int64
    label_id      (n,)     int64
    identity      (n, 32)  uint8    content hash of the structure, then of the label
    n_atoms       (n,)     int32
    energy        (n,)     float64  eV, total; nan without
    max_force     (n,)     float64  eV/Å, largest |F| of an atom; nan without
    volume        (n,)     float64  Å³; 0 without a cell
    has_stress    (n,)     bool
    """

    structure_id: np.ndarray
    label_id: np.ndarray
    identity: np.ndarray
    n_atoms: np.ndarray
    energy: np.ndarray
    max_force: np.ndarray
    volume: np.ndarray
    has_stress: np.ndarray
    composition: Names
    group: Names
    split: Names
    level_of_theory: Names

    def __len__(self) -> int:
        return len(self.structure_id)

    def take(self, rows: np.ndarray) -> Columns:
        """The rows asked for, in that order; `rows` are indices or a mask."""
        picked = {
            field.name: value.take(rows) if isinstance(value := getattr(self, field.name), Names) else value[rows]
            for field in fields(self)
        }
        return Columns(**picked)

    @property
    def labelled(self) -> np.ndarray:
        """(n,) bool: rows with an energy, forces or a stress."""
        return ~np.isnan(self.energy) | ~np.isnan(self.max_force) | self.has_stress

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """All parts, one after the other; at least one."""
        return cls(
            **{
                field.name: (Names.joined if isinstance(getattr(parts[0], field.name), Names) else np.concatenate)(
                    [getattr(part, field.name) for part in parts]
                )
                for field in fields(cls)
            }
        )


@dataclass(frozen=True)
class VersionCard:
    """A frozen dataset version as lists and headings show it.

    key     content hash of its members, in order
    groups, splits  how many structures have each name; "" is none
    """

    id: int
    dataset: str
    dataset_id: int
    version: int
    parent: int | None
    key: str
    n_structures: int
    n_atoms: int
    n_energy: int
    n_forces: int
    n_stress: int
    elements: tuple[int, ...]
    groups: dict[str, int]
    splits: dict[str, int]
    levels_of_theory: tuple[str, ...]
    note: str
    created_by: str
    created: datetime

    @property
    def title(self) -> str:
        """How a person writes it, and what `find_version` reads."""
        return f"{self.dataset}@{self.version}"


@dataclass(frozen=True)
class SourceRecord:
    """Where frames come from; `contract` holds the keys, units and conventions they were read with."""

    kind: str
    name: str
    sha256: str = ""
    size: int = 0
    contract: dict | None = None


@dataclass(frozen=True)
class Origin:
    """Where one label of a structure came from; `frame` is its 0-based place in the source."""

    label_id: int
    level_of_theory: str
    kind: str
    source: str
    sha256: str
    frame: int
    added_by: str
    added: datetime


@dataclass(frozen=True)
class AddProgress:
    """How far an import is: frames taken, structures that were new to the store."""

    frames: int
    new_structures: int


@dataclass(frozen=True)
class AddOutcome:
    """What an import made.

    added       members the version has more than the one before
    duplicates  frames left out because the same structure with the same label is a member already
    conflicts   members whose structure has another label of the same level of theory; kept
    """

    version: VersionCard
    added: int
    duplicates: int
    conflicts: int


@dataclass(frozen=True)
class ExportOutcome:
    """A written file."""

    n_structures: int
    path: Path
    sha256: str
