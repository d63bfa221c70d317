"""Learning from a potential of others: what it leaves over, or what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import tee

import numpy as np

from isoline.domain.structure import Frame, Label, Structure
from isoline.errors import InvalidInput
from isoline_lab.potentials.potential import Potential
from isoline_lab.potentials.prediction import Prediction

FAMILY = "delta"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class DeltaPotential(Potential):
    """A committee on top of another potential, from whose answers it has learned to differ.

    known    one that is not trained here, a guest; where it has members, their mean is taken
    learned  trained on `left_over` by `known`
    """

    known: Potential
    learned: Potential
    family: str = FAMILY

    @property
    def elements(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.known.elements) & set(self.learned.elements)))

    @property
    def cutoff(self) -> float:
        return self.learned.cutoff

    @property
    def receptive_field(self) -> float:
        return max(self.known.receptive_field, self.learned.receptive_field)

    @property
    def members(self) -> int:
        return self.learned.members

    @property
    def n_parameters(self) -> int:
        return self.learned.n_parameters

    @property
    def recipe(self) -> dict:
        return self.learned.recipe

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.known.warnings, *self.learned.warnings)

    def predict(self, structures: Iterable[Structure], batch_atoms: int = 512) -> Iterator[Prediction]:
        first, second = tee(structures)
        pairs = zip(self.known.predict(first, batch_atoms), self.learned.predict(second, batch_atoms), strict=True)
        for known, learned in pairs:
            both = known.stress is not None and learned.stress is not None
            yield Prediction(
                learned.energy + known.mean_energy,
                learned.atom_energies + known.atom_energies.mean(0),
                learned.forces + known.mean_forces,
                learned.stress + known.mean_stress if both else None,
            )

    def save(self) -> dict[str, bytes]:
        """`model.json` with both descriptions, and the weights of what was learned.

        Raises InvalidInput where what is known has weights of its own: it must be a guest.
        """
        known, learned = self.known.save(), self.learned.save()
        if set(known) != {"model.json"}:
            raise InvalidInput(
                f"a {self.known.family} potential cannot be saved inside another", hint="Learn on top of a guest."
            )
        about = {
            "format": FORMAT,
            "family": FAMILY,
            "known": json.loads(known["model.json"]),
            "learned": json.loads(learned["model.json"]),
        }
        return learned | {"model.json": json.dumps(about, indent=1, ensure_ascii=False).encode()}


def left_over(frames: Iterable[Frame], known: Potential) -> Iterator[Frame]:
    """Frames whose labels are what a potential does not explain; a label that it says nothing of is dropped."""
    for frame, prediction in _asked(frames, known):
        label = frame.label
        stress = None if label.stress is None or prediction.stress is None else label.stress - prediction.mean_stress
        rest = Label(
            label.level_of_theory,
            None if label.energy is None else label.energy - prediction.mean_energy,
            None if label.forces is None else label.forces - prediction.mean_forces,
            stress,
        )
        yield replace(frame, label=rest)


def taught(frames: Iterable[Frame], teacher: Potential, level_of_theory: str) -> Iterator[Frame]:
    """Frames labelled by a potential; `level_of_theory` names it, so that these labels never pass for others."""
    for frame, said in _asked(frames, teacher):
        stress = None if said.stress is None else np.asarray(said.mean_stress)
        yield replace(frame, label=Label(level_of_theory, said.mean_energy, said.mean_forces, stress))


def _asked(frames: Iterable[Frame], potential: Potential) -> Iterator[tuple[Frame, Prediction]]:
    first, second = tee(frames)
    return zip(second, potential.predict(frame.structure for frame in first), strict=True)
