"""A committee's spreads calibrated on labelled structures that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isoline.domain.structure import Frame
from isoline.statistics.calibration import Calibration
from isoline.statistics.calibration import calibrate as calibrate_quantity
from isoline_lab.potentials.potential import Potential


@dataclass(frozen=True, eq=False)
class SpreadsAndErrors:
    """What a committee doubted and what it got wrong; NaN where a label or a second member is missing.

    energy_spread  (structures,)  eV/atom, standard deviation over members
    energy_error   (structures,)  eV/atom, mean of the members − reference
    force_spread   (atoms,)       eV/Å, root of the summed variances of the three components
    force_error    (atoms, 3)     eV/Å
    structure      (atoms,)       place of the atom's structure
    numbers        (atoms,)       atomic numbers
    """

    energy_spread: np.ndarray
    energy_error: np.ndarray
    force_spread: np.ndarray
    force_error: np.ndarray
    structure: np.ndarray
    numbers: np.ndarray


def calibrate(potential: Potential, frames: Iterable[Frame]) -> Calibration:
    """The calibration of a committee's energies and forces on validation frames.

    Components of forces share the spread of their atom, divided by √3: a spread of x alone would depend on how the
    structure happens to be turned. Energies and forces of a potential alone have no spread and no calibration.

    Raises InvalidInput that names unknown elements.
    """
    found = spreads_and_errors(potential, list(frames))
    order = np.arange(len(found.energy_spread))
    return Calibration(
        energy=calibrate_quantity(found.energy_spread, found.energy_error, order),
        forces=calibrate_quantity(found.force_spread, found.force_error, found.structure, found.numbers),
    )


def with_calibration(files: Mapping[str, bytes], calibration: Calibration) -> dict[str, bytes]:
    """The files of a model of any family, `model.json` with its calibration in it."""
    about = json.loads(files["model.json"]) | {"calibration": calibration.as_dict()}
    return {**files, "model.json": json.dumps(about, indent=1, ensure_ascii=False).encode()}


def calibration_of(files: Mapping[str, bytes]) -> Calibration:
    """The calibration in a model's files; empty for models made without one. Raises InvalidInput for nonsense."""
    return Calibration.from_dict(json.loads(files["model.json"]).get("calibration", {}))


def spreads_and_errors(potential: Potential, frames: Sequence[Frame]) -> SpreadsAndErrors:
    """Spreads and errors of all frames, computed in one pass."""
    rows = list(_rows(potential, frames))
    sizes = [len(frame) for frame in frames]
    return SpreadsAndErrors(
        energy_spread=np.array([row[0] for row in rows]),
        energy_error=np.array([row[1] for row in rows]),
        force_spread=np.concatenate([row[2] for row in rows] or [np.empty(0)]),
        force_error=np.concatenate([row[3] for row in rows] or [np.empty((0, 3))]),
        structure=np.repeat(np.arange(len(frames)), sizes),
        numbers=np.concatenate([frame.structure.numbers for frame in frames] or [np.empty(0, dtype=np.uint8)]),
    )


def _rows(potential: Potential, frames: Sequence[Frame]) -> Iterator[tuple[float, float, np.ndarray, np.ndarray]]:
    predictions = potential.predict([frame.structure for frame in frames])
    for frame, prediction in zip(frames, predictions, strict=True):
        label, n = frame.label, max(len(frame), 1)
        energy_error = np.nan if label.energy is None else (prediction.mean_energy - label.energy) / n
        missing = np.full((len(frame), 3), np.nan)
        force_error = missing if label.forces is None else prediction.mean_forces - label.forces
        yield prediction.energy_spread, energy_error, prediction.force_spread, force_error
