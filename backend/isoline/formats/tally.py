"""Counting while a survey reads: per key how many frames, which range, what is wrong; some bytes per frame, no more."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator

import numpy as np

from ..domain.contract import Contract
from .candidates import GROUP_KEYS, KINDS, label_kind
from .checks import check_structure
from .contract import SPLITS, numbers_of, place, read_energy, read_forces, read_stress
from .evidence import Steps
from .fault import Fault, FaultList
from .raw_frame import RawFrame

MOST_GROUPS = 1000
OUR_KEYS = frozenset({"level_of_theory", "split", *GROUP_KEYS})
CONTRACT_FIELD = {"energy": "energy_key", "forces": "forces_key", "stress": "stress_key"}


class KeyCount:
    """One key that may hold a label, while its frames go by.

    values  energy: eV, total; forces: |ΣF| per atom, eV/Å; stress: largest component, eV/Å³
    where   the survey's number of the frame of each value
    """

    def __init__(self) -> None:
        self.frames = 0
        self.zero = 0
        self.low, self.high = np.inf, -np.inf
        self.values = array("d")
        self.where = array("q")
        self.faults = FaultList()

    def take(self, low: float, high: float, value: float, frame: int, zero: bool) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.values.append(value)
        self.where.append(frame)
        self.zero += zero


class Tally:
    """What a survey has met so far. Faults of structures go to `faults`, those of labels wait with their key."""

    def __init__(self, contract: Contract, faults: FaultList):
        self.contract = contract
        self.faults = faults
        self.n_frames = 0
        self.n_atoms = 0
        self.keys: dict[str, dict[str, KeyCount]] = {kind: {} for kind in KINDS}
        self.other: Counter[str] = Counter()
        self.declared_units: Counter[str] = Counter()
        self.fixed_units: set[str] = set()  # keys that came from formats whose units are fixed
        self.groups: dict[str, Counter[str]] = {}
        self.splits: Counter[str] = Counter()
        self.theories: Counter[str] = Counter()
        self.files: dict[str, int] = {}
        self.file_of_frame = array("l")
        self.index_of_frame = array("l")
        self.atoms_of_frame = array("l")
        self.composition_of_frame = array("l")
        self.group_of_frame = array("l")
        self.compositions: dict[bytes, int] = {}
        self.group_numbers: dict[str, int] = {}
        self.identities = bytearray()
        self.steps = Steps()

    def add(self, raw: RawFrame, file: str) -> None:
        """Count one frame and check it."""
        self.file_of_frame.append(self.files.setdefault(file, len(self.files)))
        self.index_of_frame.append(raw.index)
        structure = place(raw, self.contract)
        wrong = check_structure(structure, self.contract.closest)
        for field, message, atom in wrong:
            self.faults.add(Fault(file=file, frame=raw.index, atom=atom, field=field, message=message))
        counts = np.bincount(structure.numbers, minlength=256).astype("<u4").tobytes()
        self.composition_of_frame.append(self.compositions.setdefault(counts, len(self.compositions)))
        self.atoms_of_frame.append(len(raw))
        self.identities += structure.identity
        self._count_names(raw)
        likeliest: dict[str, tuple[int, object]] = {}
        for kind, key in self._label_keys(raw):
            value = self._read(raw, kind, key, file)
            rank = -1 if key == getattr(self.contract, CONTRACT_FIELD[kind]) else label_kind(key)[1]
            if value is not None and (kind not in likeliest or rank < likeliest[kind][0]):
                likeliest[kind] = (rank, value)
        if not wrong:
            self.steps.add(structure, *(likeliest.get(kind, (0, None))[1] for kind in KINDS))
        self.n_frames += 1
        self.n_atoms += len(raw)

    def where(self, frame: int) -> tuple[str, int]:
        """(file, frame in it) of a frame of the survey."""
        return list(self.files)[self.file_of_frame[frame]], self.index_of_frame[frame]

    def _label_keys(self, raw: RawFrame) -> Iterator[tuple[str, str]]:
        """(kind, key) of everything in a frame that may be a label; the rest is counted as not read."""
        chosen = {getattr(self.contract, field): kind for kind, field in CONTRACT_FIELD.items()}
        for key, value in (*raw.info.items(), *raw.arrays.items(), *raw.results.items()):
            kind = chosen.get(key) or label_kind(key)[0]
            if kind and (key in chosen or _fits(kind, key, value, len(raw))):
                if key in raw.results:
                    self.fixed_units.add(key)
                if key not in raw.results or value is raw.results[key]:
                    yield kind, key
            elif key not in OUR_KEYS:
                self.other[key] += 1
                if "unit" in key.lower():
                    self.declared_units[f"{key} = {str(value)[:40]}"] += 1

    def _read(self, raw: RawFrame, kind: str, key: str, file: str) -> object | None:
        """The label under a key, counted; None where it is missing or wrong."""
        count = self.keys[kind].get(key)
        if count is None:
            count = self.keys[kind][key] = KeyCount()
        value = {"energy": read_energy, "forces": read_forces, "stress": read_stress}[kind](raw, key, self.contract)
        if value is None:
            return None
        count.frames += 1
        if isinstance(value, (str, tuple)):
            message, atom = (value, None) if isinstance(value, str) else value
            count.faults.add(Fault(file=file, frame=raw.index, atom=atom, field=key, message=message))
            return None
        if kind == "energy":
            count.take(value / len(raw), value / len(raw), value, self.n_frames, value == 0)
        elif kind == "forces":
            with np.errstate(over="ignore"):
                largest = float(np.sqrt(np.einsum("ij,ij->i", value, value).max()))
                net = float(np.linalg.norm(value.sum(axis=0))) / len(raw)
            count.take(largest, largest, net, self.n_frames, largest == 0 and len(raw) > 1)
        else:
            count.take(
                float(value.min()), float(value.max()), float(np.abs(value).max()), self.n_frames, not value.any()
            )
        return value

    def _count_names(self, raw: RawFrame) -> None:
        wanted = self.contract.group_key
        first = ""
        for key in (wanted,) if wanted else GROUP_KEYS:
            if key in raw.info:
                name = raw.text(key)
                first = first or name
                counter = self.groups.setdefault(key, Counter())
                counter[name if name in counter or len(counter) < MOST_GROUPS else "(further groups)"] += 1
        self.group_of_frame.append(self.group_numbers.setdefault(first, len(self.group_numbers)))
        if split := SPLITS.get(str(raw.info.get("split", "")).lower()):
            self.splits[split] += 1
        if theory := raw.text("level_of_theory"):
            self.theories[theory] += 1


def _fits(kind: str, key: str, value: object, atoms: int) -> bool:
    """Whether a value can be a label of a kind. A plain name is believed whatever its value: a wrong one is a fault."""
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, (int, float)):
        return kind == "energy" or (kind == "stress" and label_kind(key)[1] < 3)
    if kind == "forces":
        shape = np.shape(value)
        return shape == (atoms, 3) or (label_kind(key)[1] < 3 and shape[:1] == (atoms,))
    if label_kind(key)[1] < 3:
        return True
    numbers = numbers_of(value)
    return numbers is not None and numbers.size in ((1,) if kind == "energy" else (6, 9))
