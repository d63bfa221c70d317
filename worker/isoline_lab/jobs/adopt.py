"""Take a guest in as a model: see that it works, and fit its zero of energy to a dataset."""

from __future__ import annotations

import time

import numpy as np

from isoline.domain.artifact import ArtifactKind
from isoline.domain.job import Job
from isoline.domain.recipe import Adopt
from isoline.domain.structure import Frame, Label
from isoline.errors import InvalidInput
from isoline.services import guests, library
from isoline.store import artifacts
from isoline.workbench import Workbench

from ..journal import Journal
from ..potentials.guest import FAMILY, GuestPotential
from ..potentials.prediction import Prediction
from ..potentials.reference import fit_reference
from ..training.partition import TRAIN


def adopt(bench: Workbench, job: Job, recipe: Adopt, journal: Journal) -> dict:
    """Ask the guest about some labelled structures that are not for testing, and keep it as a model."""
    guest = guests.find(bench, recipe.guest)
    version = library.version(bench, recipe.version)
    key = recipe.key(version.key, guest.key)
    with bench.read() as connection:
        known = artifacts.find(connection, key)
    if known is not None:
        journal.log(f"this guest has been added for the same data before: model {known.id}")
        return {"model": known.id, **known.summary}

    potential = GuestPotential(guest, recipe.settings, recipe=recipe.model_dump(mode="json"))
    frames = _some(bench, recipe)
    began = time.monotonic()
    predictions = []
    journal.progress(0.0, f"starting {guest.name}")
    try:
        for done, prediction in enumerate(potential.predict(frame.structure for frame in frames), start=1):
            predictions.append(prediction)
            journal.progress(done / len(frames), f"{done} of {len(frames)} structures asked")
    finally:
        potential.close()
    seconds = time.monotonic() - began
    elements = tuple(version.elements)
    before = _energy_differences(frames, predictions)
    if recipe.shift:
        differences = [
            Frame(frame.structure, Label(energy=float(difference)))
            for frame, difference in zip(frames, before, strict=True)
        ]
        fitted = fit_reference(differences, elements)
        shifts = dict(zip(elements, fitted.energies.tolist(), strict=True))
        potential = potential.with_shifts(shifts, fitted.warnings)
        for warning in fitted.warnings:
            journal.log(f"warning: {warning}")
    sizes = np.array([len(frame) for frame in frames])
    shift = [sum(potential.shifts.get(int(z), 0.0) for z in frame.structure.numbers) for frame in frames]
    summary = {
        "family": FAMILY,
        "guest": guest.name,
        "what": guest.what,
        "licence": guest.licence,
        "members": 1,
        "n_parameters": 0,
        "n_train": len(frames) if recipe.shift else 0,
        "n_validation": 0,
        "elements": list(guest.knows),
        "shifts": {str(z): value for z, value in potential.shifts.items()},
        "energy_rmse_unshifted": _rms(before / sizes),
        "energy_rmse": _rms((before - shift) / sizes),
        "force_rmse": _rms(_force_differences(frames, predictions)),
        "seconds": round(seconds, 2),
        "seconds_per_atom": seconds / int(sizes.sum()),
        "used": {"energy": len(frames) if recipe.shift else 0},
        "warnings": list(potential.warnings),
    }
    journal.log(
        f"energies differ by {1000 * summary['energy_rmse_unshifted']:.1f} meV/atom, by "
        f"{1000 * summary['energy_rmse']:.1f} once energies of atoms are fitted to {len(frames)} structures"
        if recipe.shift
        else f"energies differ by {1000 * summary['energy_rmse_unshifted']:.1f} meV/atom in {len(frames)} structures"
    )
    # Its zero of energy was learned from these structures: evaluations must not take them for unseen.
    learned = np.array([frame.id for frame in frames] if recipe.shift else [], dtype="<i8")
    with journal.write() as connection:
        id = artifacts.add(
            connection,
            ArtifactKind.MODEL,
            key,
            recipe.name or guest.name,
            recipe.model_dump(mode="json"),
            summary,
            version.id,
            job.created_by,
            job=job.id,
            columns={"structure_id": learned, "role": np.full(len(learned), TRAIN, dtype=np.uint8)},
            files=potential.save(),
        )
    return {"model": id, **summary}


def _some(bench: Workbench, recipe: Adopt) -> list[Frame]:
    """Structures with an energy that are not kept for testing, evenly chosen over the version."""
    columns = library.columns(bench, recipe.version)
    rows = np.flatnonzero(np.isfinite(columns.energy) & (columns.split.values() != "test") & (columns.n_atoms > 0))
    if not len(rows):
        raise InvalidInput(
            "no structure with an energy to compare the guest with",
            hint="Choose a dataset with energies that are not all kept for testing.",
        )
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(recipe.structures, len(rows))).round().astype(int))]
    return list(library.frames(bench, recipe.version, chosen))


def _energy_differences(frames: list[Frame], predictions: list[Prediction]) -> np.ndarray:
    """(structures,) eV: label less guest."""
    return np.array([f.label.energy - p.mean_energy for f, p in zip(frames, predictions, strict=True)])


def _force_differences(frames: list[Frame], predictions: list[Prediction]) -> np.ndarray:
    """(components,) eV/Å of the structures that have forces."""
    pairs = zip(frames, predictions, strict=True)
    return np.concatenate(
        [np.empty(0), *((f.label.forces - p.mean_forces).ravel() for f, p in pairs if f.label.forces is not None)]
    )


def _rms(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else None
