"""The potential of a model's files, whatever family it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from isoline.domain.guest import BUILT_IN, Guest
from isoline.errors import InvalidInput
from isoline_lab.potentials import delta, guest, message_passing
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.delta import DeltaPotential
from isoline_lab.potentials.guest import GuestPotential
from isoline_lab.potentials.message_passing import MessagePassing
from isoline_lab.potentials.potential import Potential

TRAINED = {
    "behler-parrinello": Committee.load,
    "body-ordered": Committee.load,
    message_passing.FAMILY: MessagePassing.load,
}
"""How a family that is trained here is read."""


def load_potential(files: Mapping[str, bytes], guests: Sequence[Guest] = BUILT_IN) -> Potential:
    """The potential that `model.json` names the family of; never runs code from the files.

    guests  that a guest's files may name: of a workbench, `isoline.services.guests.known`

    Raises InvalidInput for files that cannot be read or a family that is not known, NotFound for an unknown guest.
    """
    about = _described(files)
    family = about["family"]
    if family == guest.FAMILY:
        return GuestPotential.load(files, guests)
    if family == delta.FAMILY and {"known", "learned"} <= set(about):
        known, learned = (json.dumps(about[part]).encode() for part in ("known", "learned"))
        return DeltaPotential(
            load_potential({"model.json": known}, guests), load_potential({**files, "model.json": learned}, guests)
        )
    if family not in TRAINED:
        raise InvalidInput(
            f"the model is a {family}; this program reads {', '.join((*TRAINED, guest.FAMILY, delta.FAMILY))}",
            hint="Use the version of Isoline that made it.",
        )
    return TRAINED[family](files)


def _described(files: Mapping[str, bytes]) -> dict:
    try:
        about = json.loads(files["model.json"])
        return about | {"family": str(about["family"])}
    except Exception as error:
        raise InvalidInput(
            f"model.json names no family ({type(error).__name__}: {error})", hint="Export the model again."
        ) from None
