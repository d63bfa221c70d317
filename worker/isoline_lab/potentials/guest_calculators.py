"""Calculators of guests that need a word more than their own class says."""

from __future__ import annotations

from ase.calculators.calculator import all_changes
from tblite.ase import TBLite
from threadpoolctl import ThreadpoolController


class TightBinding(TBLite):
    """GFN-xTB of neutral structures in their lowest spin, silent and on one thread."""

    def __init__(self, method: str):
        super().__init__(method=method, charge=0, accuracy=0.1, verbosity=0, cache_api=False)
        self._threads = ThreadpoolController()

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        self.set(multiplicity=1 + int(atoms.numbers.sum()) % 2)
        with self._threads.limit(limits=1):
            super().calculate(atoms, properties, system_changes)
