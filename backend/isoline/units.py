"""House units (eV, Å, amu, e) and the conversions used at the edges, by name.

All constants come from one table, CODATA 2018, through `ase.units`.
"""

from __future__ import annotations

from ase.units import create_units

from .errors import InvalidInput

CODATA = create_units("2018")

HARTREE = float(CODATA["Hartree"])  # eV
RYDBERG = float(CODATA["Rydberg"])  # eV
BOHR = float(CODATA["Bohr"])  # Å
KCAL_PER_MOL = float(CODATA["kcal"] / CODATA["mol"])  # eV
KJ_PER_MOL = float(CODATA["kJ"] / CODATA["mol"])  # eV
GPA = float(CODATA["GPa"])  # eV/Å³
KBAR = 0.1 * GPA  # eV/Å³

ENERGY_UNITS: dict[str, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": HARTREE,
    "Rydberg": RYDBERG,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
}
LENGTH_UNITS: dict[str, float] = {"Å": 1.0, "Bohr": BOHR, "nm": 10.0}
STRESS_UNITS: dict[str, float] = {"eV/Å³": 1.0, "GPa": GPA, "kbar": KBAR, "Hartree/Bohr³": HARTREE / BOHR**3}


def factor(unit: str, table: dict[str, float]) -> float:
    """How many house units one `unit` is.

    Raises InvalidInput for a name that is not in `table`.
    """
    try:
        return table[unit]
    except KeyError:
        raise InvalidInput(f"unknown unit '{unit}'", hint=f"Use one of: {', '.join(table)}.") from None
