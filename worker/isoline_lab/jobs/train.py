"""Train a committee on a dataset version and keep it as a model."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from itertools import count

import numpy as np
from ase.data import chemical_symbols
from sqlalchemy import Connection

from isoline.domain.artifact import ArtifactKind
from isoline.domain.job import Job
from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline.services import leaks, library
from isoline.store import artifacts
from isoline.workbench import Workbench

from ..journal import Journal
from ..potentials.dimer import attractive_pairs
from ..training.calibrate import calibrate, with_calibration
from ..training.cost import measure_cost
from ..training.fit import fit, read_checkpoint
from ..training.partition import TRAIN, VALIDATION, partition, strongest

CHECKPOINT_S = 5.0


def train(bench: Workbench, job: Job, recipe: Train, journal: Journal) -> dict:
    """Fit K members with live curves and checkpoints; a run that was killed goes on from its last one."""
    version = library.version(bench, recipe.version)
    with bench.read() as connection:
        begun = artifacts.get(connection, recipe.start, ArtifactKind.MODEL) if recipe.start else None
        key = recipe.key(version.key, begun.key if begun else "")
        known = artifacts.find(connection, key)
        weights = artifacts.file(connection, begun.id, "checkpoint") if begun else None
        known_ids, known_roles = _learned_before(connection, begun.id if begun else None)
    if known is not None:
        journal.log(f"the same recipe on the same data has been trained before: model {known.id}")
        return {"model": known.id, **known.summary}

    journal.progress(0.0, "reading structures")
    frames = list(library.frames(bench, recipe.version))
    ids = np.array([frame.id for frame in frames], dtype="<i8")
    learned = np.isin(ids, known_ids[known_roles == TRAIN])
    splits = [frame.split for frame in frames]
    alone = np.array([len(frame) == 1 for frame in frames], dtype=bool)
    roles = partition(splits, recipe.validation_fraction, recipe.seed, structures=ids, learned=learned, needed=alone)
    if (learned & (roles == VALIDATION)).any():
        journal.log("warning: the model it starts from was trained on structures of the validation set")
    training = _labelled(frames, roles, TRAIN)
    validation = _labelled(frames, roles, VALIDATION)
    if not training or not validation:
        raise InvalidInput(
            f"{len(training)} labelled structures to train on and {len(validation)} to validate with; both need some",
            hint="Import more labelled structures, or change the splits or the validation fraction.",
        )
    unlabelled = sum(frame.label.empty for frame in frames)
    journal.log(
        f"{len(training)} structures to train on, {len(validation)} to validate with"
        + (f", {unlabelled} without labels left out" if unlabelled else "")
    )

    labelled = np.where([frame.label.empty for frame in frames], 0, roles).astype(np.uint8)
    leaked = leaks.check_training(bench, ids, labelled)
    for warning in leaked.warnings():
        journal.log(f"warning: {warning}")

    saved = journal.last_checkpoint()
    start = read_checkpoint(saved or weights) if saved or weights else None
    if saved:
        journal.log(f"going on from the checkpoint of epoch {start.epoch}")
    began, written = time.monotonic(), time.monotonic()
    state = start
    for epoch in fit(recipe, training, validation, start=start, warm=saved is None and weights is not None):
        if epoch.number == 0:
            journal.progress(epoch.progress, epoch.stage)
            continue
        state = epoch.checkpoint()
        journal.record(epoch.number, **_curves(epoch))
        journal.progress(
            epoch.progress,
            f"epoch {epoch.number} of {epoch.total} · best {epoch.best_energy_rmse * 1000:.2f} meV/atom, "
            f"{epoch.best_force_rmse:.3f} eV/Å in validation",
        )
        if time.monotonic() - written > CHECKPOINT_S:
            journal.checkpoint(epoch.number, state.to_bytes())
            written = time.monotonic()

    committee = state.committee()
    for warning in committee.warnings:
        journal.log(f"warning: {warning}")
    took = time.monotonic() - began
    noise = getattr(state, "noise", None)
    journal.progress(1.0, "calibrating spreads")
    calibration = calibrate(committee, validation)
    journal.progress(1.0, "measuring the cost")
    cost = measure_cost(committee, [frame.structure for frame in training])
    # Nothing is learned from a structure without labels; what the model started from had learned stays learned.
    all_ids, all_roles = strongest(np.concatenate([ids, known_ids]), np.concatenate([labelled, known_roles]))
    summary = {
        "n_train": len(training),
        "n_validation": len(validation),
        "n_parameters": committee.n_parameters,
        "members": recipe.members,
        "elements": list(version.elements),
        "epochs": state.epoch,
        "best_epoch": state.best.epoch,
        "validation_energy_rmse": _number(state.best.energy_rmse),
        "validation_force_rmse": _number(state.best.force_rmse),
        "seconds": round(took, 1),
        "family": committee.family,
        "receptive_field": committee.receptive_field,
        "cost": asdict(cost),
        "calibration": calibration.as_dict(),
        "leaks": leaked.summary(),
        "noise": {kind: _number(value) for kind, value in asdict(noise).items()} if noise else None,
        "attractive_pairs": [[chemical_symbols[z] for z in curve.numbers] for curve in attractive_pairs(committee)],
        "used": {
            "energy": sum(frame.label.energy is not None for frame in training),
            "forces": sum(frame.label.forces is not None for frame in training),
            "stress": sum(frame.label.stress is not None for frame in training),
        },
        "warnings": [*committee.warnings, *leaked.warnings()],
    }
    with journal.write() as connection:
        id = artifacts.add(
            connection,
            ArtifactKind.MODEL,
            key,
            recipe.name or _unused_name(connection, f"{version.dataset} v{version.version}"),
            recipe.model_dump(mode="json"),
            summary,
            version.id,
            job.created_by,
            parent=begun.id if begun else None,
            job=job.id,
            columns={"structure_id": all_ids, "role": all_roles},
            files=with_calibration(committee.save(), calibration) | {"checkpoint": state.to_bytes()},
        )
    return {"model": id, **summary}


def _learned_before(connection: Connection, model: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Structure ids and roles of a model's training, and of all that it started from."""
    if model is None:
        return np.empty(0, dtype="<i8"), np.empty(0, dtype=np.uint8)
    return artifacts.column(connection, model, "structure_id"), artifacts.column(connection, model, "role")


def _labelled(frames: list[Frame], roles: np.ndarray, role: int) -> list[Frame]:
    return [frame for frame, assigned in zip(frames, roles, strict=True) if assigned == role and not frame.label.empty]


def _unused_name(connection: Connection, name: str) -> str:
    """The name, numbered when models have it already, so that lists tell a retrained model from its forebear."""
    taken = {model.name for model in artifacts.listing(connection, ArtifactKind.MODEL)}
    return name if name not in taken else next(new for k in count(2) if (new := f"{name} · {k}") not in taken)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _curves(epoch) -> dict[str, float]:
    curves = {f"train_{k}": float(value) for k, value in enumerate(epoch.train_loss)}
    curves |= {f"validation_{k}": float(value) for k, value in enumerate(epoch.validation_loss)}
    curves["energy_rmse"] = float(epoch.energy_rmse.mean())
    curves["force_rmse"] = float(epoch.force_rmse.mean())
    return curves
