"""Any ASE calculator as a potential of one member."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from isoline.domain.guest import BUILT_IN, Guest
from isoline.domain.structure import Structure
from isoline.errors import Diverged, InvalidInput, IsolineError, NotFound, Unavailable
from isoline_lab.potentials import guest_server
from isoline_lab.potentials.guest_process import GuestProcess
from isoline_lab.potentials.potential import Potential
from isoline_lab.potentials.prediction import Prediction

FAMILY = "guest"
FORMAT = 1


@dataclass(eq=False)
class GuestPotential(Potential):
    """A potential of somebody else, asked structure by structure.

    guest     how to make its calculator
    settings  arguments that were chosen when it was added
    shifts    (atomic number → eV) added for each atom, so that its zero of energy is that of a dataset

    Saved by name: a model's files can never say what is run, only which of the guests that are known here.
    """

    guest: Guest
    settings: dict = field(default_factory=dict)
    shifts: dict[int, float] = field(default_factory=dict)
    recipe: dict = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    family: str = FAMILY
    members: int = 1
    n_parameters: int = 0
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        self._asked = self.guest.with_settings(self.settings)
        self._maker: GuestProcess | _Here | None = None

    @property
    def elements(self) -> tuple[int, ...]:
        return self.guest.knows

    @property
    def receptive_field(self) -> float:
        """Unknown: what is inside a guest is its own affair."""
        return inf

    def predict(self, structures: Iterable[Structure], batch_atoms: int = 512) -> Iterator[Prediction]:
        """Predictions in order; energies of atoms are the guest's own where it has any that sum up, else equal shares.

        Raises InvalidInput for structures that the guest cannot compute, Diverged for numbers that are not finite,
        Unavailable when it is not installed, does not answer or ends.
        """
        for index, structure in enumerate(structures):
            yield self._predict(index, structure)

    def close(self) -> None:
        """End the guest's process; the next prediction starts it again."""
        if isinstance(self._maker, GuestProcess):
            self._maker.close()
        self._maker = None

    def _predict(self, index: int, structure: Structure) -> Prediction:
        unknown = sorted(set(structure.numbers.tolist()) - set(self.elements))
        if unknown:
            raise InvalidInput(
                f"guest {self.guest.name} does not know the elements {unknown} (atomic numbers) of structure {index}",
                hint="Leave these structures out, or ask another model.",
            )
        if self._maker is None:
            self._maker = GuestProcess(self._asked) if self._asked.out_of_process else _Here(self._asked)
        arrays = {name: getattr(structure, name) for name in ("numbers", "positions", "cell", "pbc")}
        try:
            found = self._maker.answer(arrays)
        except Unavailable:
            self._maker = None
            raise
        except InvalidInput as error:
            raise InvalidInput(f"{error.message}, at structure {index}", hint="Leave this structure out.") from None
        if not all(np.isfinite(value).all() for value in found.values()):
            raise Diverged(
                f"guest {self.guest.name} gave numbers that are not finite for structure {index}",
                hint="Look for atoms that nearly coincide.",
            )
        shift = np.array([self.shifts.get(int(z), 0.0) for z in structure.numbers])
        shares = np.full(len(structure), float(found["energy"]) / max(len(structure), 1))
        energies = found.get("energies", shares) + shift
        stress = found.get("stress")
        return Prediction(
            np.array([float(found["energy"]) + shift.sum()]),
            energies[None],
            found["forces"].reshape(1, -1, 3),
            None if stress is None else stress[None],
        )

    def save(self) -> dict[str, bytes]:
        """`model.json` alone: a name, settings and shifts."""
        about = {
            "format": FORMAT,
            "family": FAMILY,
            "guest": self.guest.name,
            "what": self.guest.what,
            "licence": self.guest.licence,
            "settings": self.settings,
            "elements": list(self.elements),
            "shifts": {str(z): shift for z, shift in sorted(self.shifts.items())},
            "units": {"energy": "eV", "length": "Å", "forces": "eV/Å", "stress": "eV/Å³"},
            "recipe": self.recipe,
            "warnings": list(self.warnings),
        }
        return {"model.json": json.dumps(about, indent=1, ensure_ascii=False).encode()}

    @classmethod
    def load(cls, files: Mapping[str, bytes], guests: Sequence[Guest] = BUILT_IN) -> GuestPotential:
        """The guest of saved files, from among the guests that are known here.

        guests  those that come with Isoline, or all of a workbench (`isoline.services.guests.known`)

        Raises InvalidInput for other files, NotFound for a guest that is not known here.
        """
        try:
            about = json.loads(files["model.json"])
            if about["family"] != FAMILY or about["format"] != FORMAT:
                raise InvalidInput(
                    f"the model is a {about['family']}, format {about['format']}; this reads {FAMILY}, format {FORMAT}",
                    hint="Use the version of Isoline that made it.",
                )
            guest = find(str(about["guest"]), guests)
            shifts = {int(z): float(shift) for z, shift in about["shifts"].items()}
            return cls(guest, dict(about["settings"]), shifts, about["recipe"], tuple(about["warnings"]))
        except IsolineError:
            raise
        except Exception as error:
            raise InvalidInput(
                f"model.json does not describe a guest ({type(error).__name__}: {error})", hint="Add the guest again."
            ) from None

    def with_shifts(self, shifts: dict[int, float], warnings: tuple[str, ...] = ()) -> GuestPotential:
        """The same guest with another zero of energy."""
        return replace(self, shifts=shifts, warnings=warnings)


def find(name: str, guests: Sequence[Guest]) -> Guest:
    """The guest of this name. Raises NotFound."""
    for guest in guests:
        if guest.name == name:
            return guest
    raise NotFound(
        f"guest {name} is not known here",
        hint=f"Known are {', '.join(guest.name for guest in guests)}; others are described in guests.toml.",
    )


class _Here:
    """A guest within this process."""

    def __init__(self, guest: Guest):
        self.guest = guest
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._calculator = guest_server.make(guest.calculator, guest.arguments)
        except ImportError as error:
            raise Unavailable(
                f"guest {guest.name} is not installed: {error}",
                hint="Install it beside Isoline, or in an interpreter of its own that guests.toml names.",
            ) from None
        except Exception as error:
            raise InvalidInput(
                f"guest {guest.name} cannot be made with {guest.arguments}: {error}", hint="Choose other settings."
            ) from None

    def answer(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return guest_server.answer(self._calculator, arrays, self.guest.vacuum)
        except Exception as error:
            raise InvalidInput(f"guest {self.guest.name}: {type(error).__name__}: {error}") from None
