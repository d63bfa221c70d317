"""The potential of a model's files, whatever family it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from isoline.domain.guest import BUILT_IN, Guest
from isoline.errors import InvalidInput
from isoline_lab.potentials import committee, guest
from isoline_lab.potentials.potential import Potential

FAMILIES = {committee.FAMILY: committee.Committee.load, guest.FAMILY: guest.GuestPotential.load}


def load_potential(files: Mapping[str, bytes], guests: Sequence[Guest] = BUILT_IN) -> Potential:
    """The potential that `model.json` names the family of; never runs code from the files.

    guests  that a guest's files may name: of a workbench, `isoline.services.guests.known`

    Raises InvalidInput for files that cannot be read or a family that is not known.
    """
    try:
        family = json.loads(files["model.json"])["family"]
    except Exception as error:
        raise InvalidInput(
            f"model.json names no family ({type(error).__name__}: {error})", hint="Export the model again."
        ) from None
    if family not in FAMILIES:
        raise InvalidInput(
            f"the model is a {family}; this program reads {', '.join(FAMILIES)}",
            hint="Use the version of Isoline that made it.",
        )
    if family == guest.FAMILY:
        return guest.GuestPotential.load(files, guests)
    return FAMILIES[family](files)
