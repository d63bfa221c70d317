"""What the numbers themselves say about their units: total or per atom, Hartree or eV, which sign of the stress."""

from __future__ import annotations

import numpy as np

from ..domain.structure import Structure
from ..units import ENERGY_UNITS, GPA, HARTREE, KBAR
from .checks import Box
from .contract import VOIGT_ORDERS

HEAVIEST_TOLD = 10  # beyond neon, pseudopotential energies can fall on all-electron energies in another unit
SMALLEST_OFFSET = 1.0  # eV/atom; hot and molten structures of one set lie up to 0.7 above the rest
MOST_PAIRS = 500
MOST_TRIED = 3000
LARGEST_STRAIN = 0.05
FARTHEST_STEP = 0.5  # Å; beyond it the trapezoidal rule says too little
UNIT_RATIOS = {
    "Hartree beside eV": HARTREE,
    "Rydberg beside eV": HARTREE / 2,
    "kcal/mol beside eV": 1 / ENERGY_UNITS["kcal/mol"],
    "kJ/mol beside eV": 1 / ENERGY_UNITS["kJ/mol"],
    "meV beside eV": 1000.0,
}


def atom_energy(numbers: np.ndarray) -> np.ndarray:
    """Total energy of neutral atoms in Hartree, within about 8 % for hydrogen and 1 % beyond boron.

    E(Z) = −0.768745 Z^(7/3) + Z²/2 − 0.269900 Z^(5/3)    (Schwinger, Phys. Rev. A 24, 2353, 1981, eq. 1)
    """
    z = numbers.astype(float)
    return -0.768745 * z ** (7 / 3) + 0.5 * z**2 - 0.2699 * z ** (5 / 3)


def all_electron_unit(energies: np.ndarray, counts: np.ndarray, numbers: np.ndarray) -> str:
    """The unit in which total energies are all-electron energies of light elements, "" when they are not.

    energies  (frames,)            in the file's unit
    counts    (frames, elements)   atoms of each element
    """
    known = np.isfinite(energies)
    if known.sum() < 1 or numbers.max(initial=0) > HEAVIEST_TOLD:
        return ""
    ratio = np.median(energies[known] / (counts[known] @ atom_energy(numbers)))
    for unit in ("eV", "Hartree", "Rydberg", "kcal/mol", "kJ/mol"):
        if abs(ratio / (HARTREE / ENERGY_UNITS[unit]) - 1) < 0.06:
            return unit
    return ""


def energy_scaling(energies: np.ndarray, counts: np.ndarray) -> str:
    """ "total", "per_atom" or "unclear": whether energies grow with the number of atoms.

    Both readings are fitted with one energy per element; the one that leaves far less unexplained is meant.
    """
    atoms = counts.sum(axis=1)
    known = np.isfinite(energies) & (atoms > 1)
    if known.sum() < 3 or atoms[known].max() < 1.5 * atoms[known].min():
        return "unclear"
    fractions = counts[known] / atoms[known, None]

    def unexplained(values: np.ndarray) -> float:
        fit = np.linalg.lstsq(fractions, values, rcond=None)[0]
        return float(np.std(values - fractions @ fit) / max(np.abs(values).mean(), 1e-12))

    total, per_atom = unexplained(energies[known] / atoms[known]), unexplained(energies[known])
    if per_atom < 0.2 * total:
        return "per_atom"
    return "total" if total < 0.5 * per_atom else "unclear"


def mixed_units(per_atom: np.ndarray, formulas: np.ndarray) -> tuple[np.ndarray, str]:
    """Frames whose energy stands in a smaller unit than that of most frames of the same reduced formula, and which.

    per_atom  (frames,)  energy per atom as it stands, nan where missing
    formulas  (frames,)  number of the reduced formula; −1 leaves a frame out

    Within a formula, energies of one sign are cut at their widest gap; two tight sets whose medians stand in
    the ratio of two units are called mixed.
    """
    for formula in np.unique(formulas[formulas >= 0]):
        members = np.flatnonzero((formulas == formula) & np.isfinite(per_atom) & (np.abs(per_atom) > 1e-6))
        if len(members) < 2:
            continue
        values = per_atom[members]
        if not (np.all(values < 0) or np.all(values > 0)):
            continue
        order = np.argsort(np.abs(values))
        sizes = np.log(np.abs(values[order]))
        cut = int(np.argmax(np.diff(sizes))) + 1
        small, large = sizes[:cut], sizes[cut:]
        spread = max(np.ptp(small), np.ptp(large))
        jump = np.median(large) - np.median(small)
        if spread > 0.25:
            continue
        for name, ratio in UNIT_RATIOS.items():
            if abs(jump - np.log(ratio)) < max(0.01, spread):
                fewer = order[:cut] if cut <= len(order) - cut else order[cut:]
                return members[fewer], name
    return np.empty(0, dtype=int), ""


def two_offsets(energies: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """Frames of the smaller of two sets of energies, and how far apart the sets lie in eV/atom; none for one set.

    One energy per element is taken away by least squares first.
    """
    atoms = counts.sum(axis=1)
    known = np.flatnonzero(np.isfinite(energies) & (atoms > 1))
    if len(known) < 20:
        return np.empty(0, dtype=int), 0.0
    fractions = counts[known] / atoms[known, None]
    values = energies[known] / atoms[known]
    rest = values - fractions @ np.linalg.lstsq(fractions, values, rcond=None)[0]
    order = np.argsort(rest)
    gaps = np.diff(rest[order])
    cut = int(np.argmax(gaps)) + 1
    low, high = rest[order[:cut]], rest[order[cut:]]
    if min(len(low), len(high)) < 3 or gaps[cut - 1] < max(SMALLEST_OFFSET, 4 * max(low.std(), high.std())):
        return np.empty(0, dtype=int), 0.0
    fewer = order[:cut] if len(low) <= len(high) else order[cut:]
    return known[fewer], float(high.mean() - low.mean())


class Steps:
    """Pairs of neighbouring frames that differ a little: their energies must follow their forces and stresses.

    E₂ − E₁ ≈ −½(F₁ + F₂)·Δr + ½(σ₁ + σ₂):ε V, with Δr taken at fixed strain and ε the strain between the cells.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[float, float, float]] = []  # ΔE, work of forces, work of stress
        self.strained: list[tuple[float, np.ndarray, np.ndarray]] = []  # ΔE − work of forces, V ε (6,), σ (6,)
        self._before: tuple | None = None
        self._tried = 0

    def add(self, structure: Structure, energy, forces, stress) -> None:
        """Take the next frame; labels in eV, eV/Å, eV/Å³ under the contract tried, None where missing."""
        before, self._before = self._before, (structure, energy, forces, stress)
        if len(self.rows) >= MOST_PAIRS or self._tried >= MOST_TRIED:
            return
        if before is None or energy is None or before[1] is None:
            return
        other = before[0]
        self._tried += 1
        if other.numbers.tobytes() != structure.numbers.tobytes():
            return
        step, strain, volume = _step(other, structure)
        if step is None or np.abs(step).max(initial=0) > FARTHEST_STEP:
            return
        moved, strained = np.abs(step).max(initial=0) > 1e-6, np.abs(strain).max() > 1e-6
        if (moved and (forces is None or before[2] is None)) or (strained and (stress is None or before[3] is None)):
            return
        force_work = -0.5 * float(np.sum((forces + before[2]) * step)) if moved else 0.0
        stress_work = 0.0
        if strained:
            mean = (stress + before[3]) / 2
            stress_work = volume * float(mean @ strain)
            self.strained.append((energy - before[1] - force_work, volume * strain, mean))
        self.rows.append((energy - before[1], force_work, stress_work))

    def slope(self, work: str) -> tuple[float, int] | None:
        """ΔE per unit of work of "forces" or "stress", and of how many pairs; None where that work does not decide."""
        change, force_work, stress_work = np.array(self.rows).reshape(-1, 3).T
        if work == "forces":
            chosen = (np.abs(force_work) > 1e-7) & (np.abs(stress_work) < 0.1 * np.abs(force_work))
            done, change = force_work[chosen], (change - stress_work)[chosen]
        else:
            chosen = np.abs(stress_work) > 1e-7
            done, change = stress_work[chosen], (change - force_work)[chosen]
        if len(done) < 5 or done.std() == 0 or change.std() == 0:
            return None
        if abs(np.corrcoef(change, done)[0, 1]) < 0.95:
            return None
        return float(change @ done / (done @ done)), len(done)

    def better_order(self, read_as: str) -> str | None:
        """The Voigt order under which stresses explain the energies of sheared cells far better than as read now."""
        if len(self.strained) < 5:
            return None
        change = np.array([row[0] for row in self.strained])
        strain, stress = (np.array([row[k] for row in self.strained]) for k in (1, 2))
        as_written = np.empty_like(stress)
        as_written[:, VOIGT_ORDERS[read_as]] = stress
        unexplained = {
            order: float(np.sum((change - np.einsum("ij,ij->i", as_written[:, places], strain)) ** 2))
            for order, places in VOIGT_ORDERS.items()
        }
        best = min(unexplained, key=unexplained.__getitem__)
        if unexplained[best] < 0.2 * unexplained[read_as] and unexplained[best] < 0.1 * float(change @ change):
            return best
        return None


def _step(first: Structure, second: Structure) -> tuple[np.ndarray | None, np.ndarray, float]:
    """Δr (atoms, 3) at fixed strain, strain (6,) Voigt with doubled shears, mean volume."""
    if not first.pbc.any():
        return second.positions - first.positions, np.zeros(6), 0.0
    if not (first.pbc.all() and second.pbc.all()):
        return None, np.zeros(6), 0.0
    one, two = Box.of(first), Box.of(second)
    moved = second.positions @ two.inverse - first.positions @ one.inverse
    moved -= np.rint(moved)
    if one is two:
        return moved @ first.cell, np.zeros(6), 0.0
    middle = (first.cell + second.cell) / 2
    gradient = np.linalg.inv(middle) @ (second.cell - first.cell)
    if np.abs(gradient).max() > LARGEST_STRAIN:
        return None, np.zeros(6), 0.0
    strain = (gradient + gradient.T) / 2
    voigt = np.array([strain[0, 0], strain[1, 1], strain[2, 2], 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]])
    return moved @ middle, voigt, (first.volume + second.volume) / 2


SLOPES = {  # what a slope that is not 1 most likely means
    "forces": {
        "forces with the wrong sign (a gradient?)": -1.0,
        "energy in Hartree beside forces in eV/Å": 1 / HARTREE,
        "forces in Hartree/Bohr beside energy in eV": ENERGY_UNITS["Hartree"] / 0.529177,
        "energy and forces in Hartree and Hartree/Bohr beside positions in Å": 1 / 0.529177,
    },
    "stress": {
        "the opposite sign (a pressure)": -1.0,
        "GPa": GPA,
        "kbar": KBAR,
        "GPa with the opposite sign (a pressure)": -GPA,
        "kbar with the opposite sign (a pressure)": -KBAR,
    },
}


def explain(work: str, slope: float) -> str | None:
    """What a slope of energy against work means: "" when unit and sign agree, None when it means nothing known."""
    if abs(slope - 1) < 0.15:
        return ""
    return next((meaning for meaning, expected in SLOPES[work].items() if abs(slope / expected - 1) < 0.15), None)
