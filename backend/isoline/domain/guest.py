"""Guests: potentials of others that can be asked for energies and forces, but not trained here."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from ..errors import InvalidInput

Value = str | bool | int | float
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}$")]
Factory = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]


class Guest(BaseModel):
    """How to make one guest's ASE calculator, and what a person should know of it.

    Written by Isoline (BUILT_IN) or by whoever runs this workbench, in guests.toml; never by a user of the pages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    what: str = Field(max_length=200, description="One line: what it is and what it was made for")
    licence: str = Field(max_length=200, description="Of the program and its parameters")
    elements: tuple[Annotated[int, Field(ge=1, le=118)], ...] = Field(
        (), description="Atomic numbers it knows; all if empty"
    )
    calculator: Factory = Field(description="module:name of what makes an ASE calculator")
    arguments: dict[str, Value] = Field(default_factory=dict, description="Keyword arguments of the calculator")
    adjustable: tuple[str, ...] = Field((), description="Arguments that whoever adds the guest may choose")
    vacuum: float | None = Field(
        None, ge=0, le=100, description="Å of vacuum along open directions, for calculators that need a cell"
    )
    interpreter: str = Field("", description="Python of another environment; this one's if empty")
    environment: dict[str, str] = Field(default_factory=dict, description="Variables of its process, beside a bare set")
    threads: int = Field(1, ge=1, le=256)
    start_s: float = Field(300.0, gt=0, description="Longest wait until it has loaded")
    answer_s: float = Field(300.0, gt=0, description="Longest wait for one structure")

    @field_validator("elements")
    @classmethod
    def _ascending(cls, elements: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(elements)))

    @property
    def out_of_process(self) -> bool:
        return bool(self.interpreter)

    @property
    def knows(self) -> tuple[int, ...]:
        """Atomic numbers, ascending."""
        return self.elements or tuple(range(1, 119))

    @property
    def key(self) -> str:
        """32 hex digits that change whenever anything that can change its answers does."""
        text = self.model_dump_json(exclude={"what", "licence", "threads", "start_s", "answer_s", "adjustable"})
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def with_settings(self, settings: dict[str, Value]) -> Guest:
        """The guest with some of its adjustable arguments chosen. Raises InvalidInput for others."""
        unknown = sorted(set(settings) - set(self.adjustable))
        if unknown:
            allowed = ", ".join(self.adjustable) or "none"
            raise InvalidInput(
                f"guest {self.name} has no setting {', '.join(unknown)}", hint=f"Settings to choose: {allowed}."
            )
        return self.model_copy(update={"arguments": self.arguments | settings})


def _without(excluded: set[int], heaviest: int) -> tuple[int, ...]:
    return tuple(z for z in range(1, heaviest + 1) if z not in excluded)


BUILT_IN = (
    Guest(
        name="emt",
        what="Effective medium theory: quick and crude, for a few metals",
        licence="LGPL-2.1-or-later (ASE)",
        elements=(13, 28, 29, 46, 47, 78, 79),
        calculator="ase.calculators.emt:EMT",
    ),
    Guest(
        name="lennard-jones",
        what="Lennard-Jones pairs, the same for all elements; epsilon (eV), sigma and rc (Å) are yours",
        licence="LGPL-2.1-or-later (ASE)",
        calculator="ase.calculators.lj:LennardJones",
        arguments={"epsilon": 0.0104, "sigma": 3.4, "rc": 10.0, "smooth": True},
        adjustable=("epsilon", "sigma", "rc"),
    ),
    Guest(
        name="gfn2-xtb",
        what="GFN2-xTB tight binding, neutral, lowest spin, Γ point: molecules and large cells",
        licence="LGPL-3.0-or-later (tblite)",
        # the 4f electrons of lanthanoids are in the core, and with them the parity of the electrons
        elements=_without(set(range(58, 72)), 86),
        calculator="isoline_lab.potentials.guest_calculators:TightBinding",
        arguments={"method": "GFN2-xTB"},
    ),
    Guest(
        name="gfn1-xtb",
        what="GFN1-xTB tight binding, neutral, lowest spin, Γ point: molecules and large cells",
        licence="LGPL-3.0-or-later (tblite)",
        elements=_without(set(range(58, 72)), 86),
        calculator="isoline_lab.potentials.guest_calculators:TightBinding",
        arguments={"method": "GFN1-xTB"},
    ),
    Guest(
        name="chgnet",
        what="CHGNet: a universal graph network for crystals, PBE with Hubbard U where its data have it",
        licence="BSD-3-Clause (chgnet, weights in its wheel)",
        # Po, At, Rn, Fr and Ra are not in its training data
        elements=_without({84, 85, 86, 87, 88}, 94),
        calculator="chgnet.model.dynamics:CHGNetCalculator",
        arguments={"use_device": "cpu"},
        vacuum=12.0,
    ),
)
