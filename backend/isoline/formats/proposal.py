"""The contract proposed after a survey, with its reasons, and what a person should look at."""

from __future__ import annotations

from math import gcd

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..domain.contract import NONE, Contract
from ..units import ENERGY_UNITS
from . import evidence
from .candidates import GROUP_KEYS, KINDS, likeliest, says_per_atom
from .contract import stress_kind
from .fault import Fault, FaultList
from .tally import CONTRACT_FIELD, KeyCount, Tally

NET_FORCE = 0.01  # eV/Å per atom
HIGH_STRESS = 3.0  # eV/Å³ = 480 GPa; a larger median is most likely another unit


class Candidate(BaseModel):
    """A key that may hold a label.

    low, high  energy: eV per atom; forces: largest |F| of a frame, eV/Å; stress: components, eV/Å³; as read now
    remarks    what its numbers say about units and conventions
    chosen     whether the contract reads it
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    key: str
    n_frames: int
    low: float | None
    high: float | None
    remarks: tuple[str, ...] = ()
    chosen: bool = False


class Proposal:
    """Concludes a tally: `contract`, `why`, `candidates`. Faults of the chosen labels go to `faults`."""

    def __init__(self, tally: Tally, faults: FaultList, warnings: FaultList):
        self.tally = tally
        self.faults = faults
        self.warnings = warnings
        self.why: list[str] = []
        self.remarks: dict[str, list[str]] = {}
        self.counts = _composition_counts(tally)  # (frames, elements)
        self.elements = np.flatnonzero(self.counts.any(axis=0)) if tally.n_frames else np.empty(0, dtype=int)
        self.counts = self.counts[:, self.elements].astype(float)
        self.contract = self._choose(tally.contract)
        self._look_at_energy()
        self._look_at_forces()
        self._look_at_stress()
        self._look_at_steps()
        self._look_at_frames()

    # What is chosen ------------------------------------------------------------------------------------------

    def _choose(self, contract: Contract) -> Contract:
        changes: dict[str, object] = {}
        for kind, field in CONTRACT_FIELD.items():
            found = {key: count.frames for key, count in self.tally.keys[kind].items() if count.frames}
            wanted = getattr(contract, field)
            if wanted is None:
                key, reason = likeliest(found)
                changes[field] = key
                if reason:
                    self.why.append(reason)
            elif wanted != NONE and wanted not in found and self.tally.n_frames:
                there = ", ".join(found) or "none that looks like one; all keys: " + (
                    ", ".join(self._other_keys()) or "none"
                )
                message = f"no frame has the key '{wanted}' wanted for the {kind}; found for it: {there}"
                self.faults.add(Fault(file="", field=field, message=message))
        if contract.group_key is None:
            counts = {key: sum(groups.values()) for key, groups in self.tally.groups.items()}
            order = sorted(counts, key=lambda key: (-counts[key], GROUP_KEYS.index(key)))
            changes["group_key"] = order[0] if order else None
        chosen = contract.model_copy(update=changes)
        for kind, field in CONTRACT_FIELD.items():
            count = self.tally.keys[kind].get(getattr(chosen, field) or "")
            for fault in count.faults.faults if count else ():
                self.faults.add(fault)
            if count:
                self.faults.total += count.faults.total - len(count.faults.faults)
        return chosen

    def _other_keys(self) -> list[str]:
        return [key for key, _ in self.tally.other.most_common(12)]

    def _count(self, kind: str) -> KeyCount | None:
        return self.tally.keys[kind].get(getattr(self.contract, CONTRACT_FIELD[kind]) or "")

    def chosen_frames(self, kind: str) -> int:
        count = self._count(kind)
        return len(count.values) if count else 0

    def candidates(self) -> tuple[Candidate, ...]:
        """Every candidate, the chosen ones first, then by frames."""
        cards = [
            Candidate(
                kind=kind,
                key=key,
                n_frames=count.frames,
                low=count.low if count.values else None,
                high=count.high if count.values else None,
                remarks=tuple(self.remarks.get(f"{kind}:{key}", ())),
                chosen=key == getattr(self.contract, CONTRACT_FIELD[kind]),
            )
            for kind in KINDS
            for key, count in self.tally.keys[kind].items()
            if count.frames
        ]
        return tuple(
            sorted(cards, key=lambda card: (KINDS.index(card.kind), not card.chosen, -card.n_frames, card.key))
        )

    # What a person should look at ----------------------------------------------------------------------------

    def _warn(self, field: str, message: str, frame: int | None = None) -> None:
        file, place = self.tally.where(frame) if frame is not None else ("", None)
        self.warnings.add(Fault(file=file, frame=place, field=field, message=message, fatal=False))

    def _remark(self, kind: str, key: str, message: str, *, warn: bool = True) -> None:
        self.remarks.setdefault(f"{kind}:{key}", []).append(message)
        if warn:
            self._warn(key, message)

    def _look_at_energy(self) -> None:
        tally, contract, key = self.tally, self.contract, self.contract.energy_key
        count = self._count("energy")
        for declared, frames in tally.declared_units.most_common(4):
            self._warn("units", f"{frames} frames declare {declared}; the contract reads {contract.energy_unit}")
        if count is None or not count.values:
            if tally.n_frames and key != NONE:
                others = ", ".join(self._other_keys()) or "none"
                self._warn("energy", f"no energy was found; keys that are not read: {others}")
            return
        energies = self._spread_out(count)
        if says_per_atom(key) and contract.energy_is == "total":
            self._remark(
                "energy",
                key,
                "the key's name says per atom; the contract reads it as total (energy_is = per_atom changes that)",
            )
        scaling = evidence.energy_scaling(energies, self.counts)
        if scaling == "per_atom":
            self._remark(
                "energy",
                key,
                "does not grow with the number of atoms: it looks like an energy per atom (energy_is = per_atom)",
            )
        elif scaling == "total":
            self._remark("energy", key, "grows with the number of atoms: a total energy", warn=False)
        unit = evidence.all_electron_unit(energies / ENERGY_UNITS[contract.energy_unit], self.counts, self.elements)
        if unit and unit != contract.energy_unit and key not in self.tally.fixed_units:
            self._remark(
                "energy", key, f"agrees with all-electron energies in {unit}, but is read as {contract.energy_unit}"
            )
        elif unit:
            self._remark("energy", key, f"agrees with all-electron energies in {unit}", warn=False)
        self._look_for_mixed_units(energies, key)
        apart, distance = evidence.two_offsets(energies, self.counts)
        if len(apart):
            groups = sorted(
                {name for name, number in tally.group_numbers.items() if name and number in self._groups_of(apart)}
            )
            named = f" (groups {', '.join(groups[:5])})" if groups else ""
            apart_by = f"{len(apart)} energies lie {distance:.2f} eV/atom apart from the rest"
            told = f"{apart_by}{named}: another reference or setting?"
            self._warn(key, told, int(apart[0]))
        for other, second in tally.keys["energy"].items():
            if other != key and second.values:
                self._compare(key, energies, other, self._spread_out(second))

    def _look_for_mixed_units(self, energies: np.ndarray, key: str) -> None:
        per_atom = energies / np.maximum(self.counts.sum(axis=1), 1)
        formulas = _reduced_formulas(self.counts)
        grouped = np.unique(np.stack([formulas, np.array(self.tally.group_of_frame)]), axis=1, return_inverse=True)[
            1
        ].reshape(-1)
        for labels in (formulas, np.where(formulas < 0, -1, grouped)):
            frames, what = evidence.mixed_units(per_atom, labels)
            if len(frames):
                break
        for frame in frames:
            file, index = self.tally.where(int(frame))
            told = f"mixed units: {per_atom[frame]:.6g} per atom"
            message = f"{told} against the other frames of this composition looks like {what}"
            self.faults.add(Fault(file=file, frame=index, field=key, message=message))

    def _compare(self, key: str, energies: np.ndarray, other: str, values: np.ndarray) -> None:
        both = np.isfinite(energies) & np.isfinite(values)
        only = int((np.isfinite(values) & ~np.isfinite(energies)).sum())
        if both.any():
            difference = np.abs(energies - values)[both].max()
            same = f"equals {key}" if difference < 1e-9 else f"differs from {key} by up to {difference:.6g} eV"
            self._remark("energy", other, f"{same} on {int(both.sum())} frames with both", warn=False)
        if only:
            self._remark("energy", other, f"{only} frames have {other} but not {key}; they stay without an energy")

    def _look_at_forces(self) -> None:
        count, key = self._count("forces"), self.contract.forces_key
        if count is None or not count.values:
            return
        net, frames = np.array(count.values), np.array(count.where)
        large = np.flatnonzero(net > NET_FORCE)
        if len(large):
            worst = int(np.argmax(net))
            frames_told = "1 frame has" if len(large) == 1 else f"{len(large)} frames have"
            limit, most = 1000 * NET_FORCE, 1000 * net[worst]
            told = f"{frames_told} a net force above {limit:.0f} meV/Å per atom, up to {most:.1f}"
            self._warn(key, told, int(frames[worst]))
        if count.zero:
            told = f"{count.zero} of {count.frames} frames have forces that are all exactly zero"
            self._remark("forces", key, f"{told} (ideal crystals, or placeholders)", warn=count.zero > count.frames / 2)
        self._tell_left_out("forces", key)

    def _look_at_stress(self) -> None:
        count, key = self._count("stress"), self.contract.stress_key
        if count is None or not count.values:
            return
        if count.zero > 1:
            told = f"{count.zero} of {count.frames} frames have a stress that is exactly zero: placeholders?"
            self._remark("stress", key, told)
        median = float(np.median(np.abs(count.values)))
        if (
            median > HIGH_STRESS
            and stress_kind(key, self.contract) != "virial"
            and self.contract.stress_unit == "eV/Å³"
        ):
            unit = "kbar" if median > 50 else "GPa or kbar (or is it a virial)"
            self._remark(
                "stress",
                key,
                f"the median of its largest component is {median:.3g} eV/Å³, beyond 480 GPa: looks like {unit}",
            )
        if stress_kind(key, self.contract) == "virial":
            self.why.append(f"{key} is read as a virial: stress = −virial / volume")
        self._tell_left_out("stress", key)

    def _tell_left_out(self, kind: str, key: str) -> None:
        mine = set(self._count(kind).where)
        for other, second in self.tally.keys[kind].items():
            only = len(set(second.where) - mine) if other != key else 0
            if only:
                self._remark(kind, other, f"{only} frames have {other} but not {key}; they stay without {kind}")

    def _look_at_steps(self) -> None:
        for kind in ("forces", "stress"):
            key = getattr(self.contract, CONTRACT_FIELD[kind])
            slope = self.tally.steps.slope(kind) if key not in (None, NONE) else None
            if slope is None:
                continue
            value, pairs = slope
            problem = evidence.explain(kind, value)
            told = f"energies follow the work of the {kind} with slope {value:.4g} over {pairs} neighbouring frames"
            if problem is not None:
                self._remark(kind, key, f"{told}: {problem or 'unit and sign agree'}", warn=bool(problem))

        order = self.tally.steps.better_order(self.contract.voigt_order) if self._count("stress") else None
        if order:
            told = f"sheared cells say that its components stand in the order {order}"
            self._remark("stress", self.contract.stress_key, f"{told}, not {self.contract.voigt_order}")

    def _look_at_frames(self) -> None:
        duplicates = self.duplicates()
        if duplicates:
            self._warn("structure", f"{duplicates} frames repeat the atoms and cell of an earlier frame exactly")

    def duplicates(self) -> int:
        return self.tally.n_frames - len(np.unique(np.frombuffer(bytes(self.tally.identities), dtype="V16")))

    def _spread_out(self, count: KeyCount) -> np.ndarray:
        """(frames,) the values of a key, nan where it is missing."""
        values = np.full(self.tally.n_frames, np.nan)
        values[np.array(count.where)] = np.array(count.values)
        return values

    def _groups_of(self, frames: np.ndarray) -> set[int]:
        return set(np.array(self.tally.group_of_frame)[frames].tolist())


def _composition_counts(tally: Tally) -> np.ndarray:
    """(frames, 256) atoms of each element."""
    table = np.array([np.frombuffer(text, dtype="<u4") for text in tally.compositions]).reshape(-1, 256)
    return table[np.array(tally.composition_of_frame, dtype=int)] if tally.n_frames else np.zeros((0, 256))


def _reduced_formulas(counts: np.ndarray) -> np.ndarray:
    """(frames,) a number per reduced formula; −1 for single atoms, whose energies stand for themselves."""
    divisors = np.array([gcd(*(int(n) for n in row)) or 1 for row in counts])
    reduced = counts / divisors[:, None]
    numbers = np.unique(reduced, axis=0, return_inverse=True)[1].reshape(-1)
    return np.where(counts.sum(axis=1) > 1, numbers, -1)
