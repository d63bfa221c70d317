"""The label contract: which key of a file holds what, in which unit, with which sign."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..errors import InvalidInput
from ..units import ENERGY_UNITS, LENGTH_UNITS, STRESS_UNITS, factor

SPELLINGS: dict[str, tuple[str, ...]] = {  # what else a unit is called, in lower case
    "eV": ("ev",),
    "meV": ("mev",),
    "Hartree": ("ha", "hartree", "a.u."),
    "Rydberg": ("ry", "rydberg"),
    "kcal/mol": ("kcal/mol",),
    "kJ/mol": ("kj/mol",),
    "Å": ("a", "å", "ang", "angstrom"),
    "Bohr": ("bohr",),
    "eV/Å³": ("ev/å³", "ev/å^3", "ev/a^3", "ev/a3", "ev/ang^3", "ev/angstrom^3"),
    "GPa": ("gpa",),
    "kbar": ("kbar", "kb"),
    "Hartree/Bohr³": ("hartree/bohr³", "hartree/bohr^3", "ha/bohr^3"),
}
NONE = "none"  # as a key: leave this label out


class Contract(BaseModel):
    """How the labels of a file are to be read.

    A key is None while nothing is chosen (the survey proposes one), and "none" to leave that label out.
    Units hold for what stands under the file's own keys; formats that fix their units are read by those.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    energy_key: str | None = Field(
        None, description="Key of the energy; found by itself if not given, 'none' to leave it out"
    )
    forces_key: str | None = Field(
        None, description="Key of the forces; found by itself if not given, 'none' to leave them out"
    )
    stress_key: str | None = Field(
        None, description="Key of stress or virial; found if not given, 'none' to leave it out"
    )
    energy_unit: str = Field("eV", description="Unit of the energy")
    length_unit: str = Field("Å", description="Unit of positions and cell")
    forces_unit: str = Field(
        "", description="Unit of the forces, energy/length; that of energy and positions if not given"
    )
    stress_unit: str = Field("eV/Å³", description="Unit of the stress; a virial has the unit of the energy")
    energy_is: Literal["total", "per_atom"] = Field("total", description="Whether the energy is of the whole structure")
    stress_kind: Literal["", "stress", "pressure", "virial"] = Field(
        "", description="stress: positive under tension; pressure: positive under compression; virial: −stress × volume"
    )
    voigt_order: Literal["xx yy zz yz xz xy", "xx yy zz xy yz xz", "xx yy zz xy xz yz"] = Field(
        "xx yy zz yz xz xy", description="Order of six stress components"
    )
    group_key: str | None = Field(None, description="Key that names the group of a frame; found by itself if not given")
    level_of_theory: str = Field(
        "", max_length=200, description="What computed the labels, e.g. 'PBE, VASP 6.4, 520 eV'"
    )
    closest: float = Field(0.3, ge=0, le=2, description="Two atoms nearer than this are a fault, Å")

    @classmethod
    def chosen(cls, **choices: object) -> Contract:
        """A contract of what a person has chosen; choices that are None stay open. Raises InvalidInput."""
        try:
            return cls(**{name: value for name, value in choices.items() if value is not None})
        except ValidationError as error:
            told = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
            )
            raise InvalidInput(f"the label contract cannot be read so: {told}", hint="See the choices above.") from None

    @field_validator("energy_unit")
    @classmethod
    def _energy_unit(cls, value: str) -> str:
        return _known(value, ENERGY_UNITS)

    @field_validator("length_unit")
    @classmethod
    def _length_unit(cls, value: str) -> str:
        return _known(value, LENGTH_UNITS)

    @field_validator("stress_unit")
    @classmethod
    def _stress_unit(cls, value: str) -> str:
        return _known(value, STRESS_UNITS)

    @field_validator("forces_unit")
    @classmethod
    def _forces_unit(cls, value: str) -> str:
        if not value:
            return ""
        energy, _, length = value.rpartition("/")
        return f"{_known(energy, ENERGY_UNITS)}/{_known(length, LENGTH_UNITS)}"

    @property
    def force_factor(self) -> float:
        """eV/Å in one unit of the file's forces."""
        energy, _, length = (self.forces_unit or f"{self.energy_unit}/{self.length_unit}").rpartition("/")
        return factor(energy, ENERGY_UNITS) / factor(length, LENGTH_UNITS)


def _known(unit: str, table: dict[str, float]) -> str:
    spelt = unit.strip().lower()
    name = unit if unit in table else next((name for name in table if spelt in SPELLINGS.get(name, ())), unit)
    try:
        factor(name, table)
    except InvalidInput as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return name
