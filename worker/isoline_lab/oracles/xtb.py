"""Labels from extended tight binding (GFN2-xTB), the reference calculation that comes with Isoline.

Method: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019); program: tblite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, InputError, all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from tblite.ase import TBLite
from threadpoolctl import ThreadpoolController

from isoline.errors import Diverged, InvalidInput

HEAVIEST = 86
# xTB keeps the 4f electrons of these in the core, which moves the parity of the electron count.
LANTHANOIDS = range(58, 72)


@dataclass(frozen=True)
class TightBinding:
    """One charge state and spin of one method, ready to label structures.

    charge          elementary charges, of the whole structure
    multiplicity    2S + 1; None takes the lowest that the number of electrons allows
    max_iterations  of the self-consistent cycle, after which a structure counts as diverged
    """

    method: Literal["GFN2-xTB", "GFN1-xTB"] = "GFN2-xTB"
    charge: int = 0
    multiplicity: int | None = None
    max_iterations: int = 250

    @property
    def level_of_theory(self) -> str:
        return self.method

    def label(self, structure: Atoms) -> Atoms:
        """A copy of the structure with energy (eV), forces (eV/Å) and, in a crystal, stress (eV/Å³).

        Every label starts from a fresh density, so it depends on the structure alone and not on
        what was labelled before it. Crystals are sampled at Γ only.

        Raises InvalidInput for what the method cannot describe, Diverged when the cycle does not
        converge or gives numbers that are not finite; never returns an unconverged label.
        """
        labelled = structure.copy()
        calculator = self.calculator(structure)
        results = {
            "energy": calculator.get_potential_energy(structure),
            "forces": calculator.get_forces(structure),
        }
        if structure.pbc.all():
            results["stress"] = calculator.get_stress(structure)
        labelled.calc = SinglePointCalculator(labelled, **results)
        labelled.info |= {
            "level_of_theory": self.level_of_theory,
            "charge": self.charge,
            "multiplicity": self._multiplicity_of(structure),
        }
        return labelled

    def calculator(self, structure: Atoms) -> TBLite:
        """An ASE calculator for dynamics of this structure; it refuses and diverges as `label` does."""
        _check_describable(structure)
        return _SingleThreaded(
            method=self.method,
            charge=self.charge,
            multiplicity=self._multiplicity_of(structure),
            max_iterations=self.max_iterations,
            # Ten times tighter than the default: forces then agree with differences of energies to 1e-5 eV/Å.
            accuracy=0.1,
            verbosity=0,
        )

    def _multiplicity_of(self, structure: Atoms) -> int:
        electrons = int(structure.numbers.sum()) - self.charge
        countable = not any(number in LANTHANOIDS for number in structure.numbers)
        lowest = 1 + electrons % 2 if countable else 1
        if self.multiplicity is None:
            return lowest
        if self.multiplicity < 1 or (countable and (self.multiplicity - lowest) % 2):
            raise InvalidInput(
                f"multiplicity {self.multiplicity} is impossible for {structure.get_chemical_formula()} "
                f"with charge {self.charge:+d}: it has {electrons} electrons",
                hint="An even number of electrons has odd multiplicity (1, 3, …), an odd number even (2, 4, …).",
            )
        return self.multiplicity


class _SingleThreaded(TBLite):
    """tblite's calculator on one thread, with our kinds of failure.

    Two threads on one small molecule wait for each other more than they compute: eighty times
    slower on a busy machine of two cores.
    """

    def __init__(self, **parameters) -> None:
        super().__init__(**parameters)
        self._threads = ThreadpoolController()

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        with self._threads.limit(limits=1):
            try:
                super().calculate(atoms, properties, system_changes)
            except CalculationFailed as failure:
                self.results = {}
                raise Diverged(
                    f"{self.parameters.method}: {failure}",
                    hint="Leave this structure without a label, or give its charge and multiplicity.",
                ) from failure
            except InputError as failure:
                raise InvalidInput(f"{self.parameters.method}: {failure}") from failure
        if not (np.isfinite(self.results["energy"]) and np.isfinite(self.results["forces"]).all()):
            self.results = {}
            raise Diverged(
                f"{self.parameters.method} gave an energy or forces that are not finite",
                hint="Look for atoms that nearly coincide.",
            )


def _check_describable(structure: Atoms) -> None:
    if len(structure) == 0:
        raise InvalidInput("a structure without atoms has no label")
    if structure.numbers.max() > HEAVIEST or structure.numbers.min() < 1:
        raise InvalidInput(
            f"xTB knows the elements up to radon, found atomic number {structure.numbers.max()}",
            hint="Choose another reference calculation for this structure.",
        )
    if structure.pbc.any() and not structure.pbc.all():
        raise InvalidInput(
            "xTB is periodic in all three directions or in none, "
            f"found pbc {' '.join('T' if periodic else 'F' for periodic in structure.pbc)}",
            hint="Make a slab or a wire periodic in all directions, with enough vacuum between its images.",
        )
    if structure.pbc.all() and structure.cell.rank < 3:
        raise InvalidInput("the structure is periodic but its cell has no volume")
