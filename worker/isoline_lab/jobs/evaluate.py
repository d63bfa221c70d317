"""A model's predictions, spreads and errors on a dataset version."""

from __future__ import annotations

import numpy as np

from isoline.domain.artifact import ArtifactKind
from isoline.domain.job import Job
from isoline.domain.recipe import Evaluate
from isoline.errors import InvalidInput
from isoline.services import accuracy, guests, leaks, library, work
from isoline.store import artifacts
from isoline.workbench import Workbench

from ..journal import Journal
from ..potentials.files import load_potential
from ..training.evaluate import evaluate as predict


def evaluate(bench: Workbench, job: Job, recipe: Evaluate, journal: Journal) -> dict:
    """Predict every structure with the whole committee, and record what of them it had learned from, also in twins."""
    model_id = recipe.model or work.job(bench, job.after).result["model"]
    version = library.version(bench, recipe.version)
    with bench.read() as connection:
        model = artifacts.get(connection, model_id, ArtifactKind.MODEL)
        key = recipe.model_copy(update={"model": model.id}).key(version.key, model.key)
        known = artifacts.find(connection, key)
        files = artifacts.files(connection, model.id)
        learned = dict(
            zip(
                artifacts.column(connection, model.id, "structure_id").tolist(),
                artifacts.column(connection, model.id, "role").tolist(),
                strict=True,
            )
        )
    if known is not None:
        journal.log(f"evaluated before: evaluation {known.id}")
        return {"model": model.id, "evaluation": known.id, **known.summary}

    # A fault in guests.toml is no concern of the models that were trained here.
    potential = load_potential(files, guests.known(bench) if model.summary.get("family") == "guest" else ())
    unknown = set(version.elements) - set(potential.elements)
    if unknown:
        raise InvalidInput(
            f"{model.name} knows the elements {sorted(potential.elements)}, {version.dataset} v{version.version} "
            f"also has {sorted(unknown)} (atomic numbers)",
            hint="Train on a dataset that contains every element, or evaluate on a selection without these.",
        )
    columns = library.columns(bench, recipe.version)
    collected = _Collected(columns.n_atoms)
    for done, result in enumerate(predict(potential, library.frames(bench, recipe.version)), start=1):
        collected.add(result)
        if done % 16 == 0 or done == version.n_structures:
            journal.progress(done / version.n_structures, f"{done} of {version.n_structures} structures")

    roles = np.array([learned.get(id, 0) for id in columns.structure_id.tolist()], dtype=np.uint8)
    journal.progress(1.0, "looking for twins in training")
    leaked = leaks.of_model(bench, model.id, recipe.version)
    predicted = collected.columns() | {"role": roles} | leaked.columns()
    seen = int(np.isin(roles, (1, 2)).sum())
    with journal.write() as connection:
        id = artifacts.add(
            connection,
            ArtifactKind.EVALUATION,
            key,
            f"{model.name} on {version.dataset} v{version.version}",
            recipe.model_dump(mode="json") | {"model": model.id},
            {
                "n_structures": version.n_structures,
                "n_atoms": version.n_atoms,
                "n_seen": seen,
                "leaks": leaked.counts(),
            },
            version.id,
            job.created_by,
            parent=model.id,
            job=job.id,
            columns=predicted,
        )
    overall = accuracy.metrics(bench, id, "overall")[0]
    journal.log(f"{seen} of {version.n_structures} structures were used in training or validation")
    twins = {kind: n for kind, n in leaked.counts().items() if kind != "exact"}
    if any(twins.values()):
        journal.log(f"warning: {sum(twins.values())} others are twins of such: {leaks.in_words(twins)}")
    return {"model": model.id, "evaluation": id, "energy_rmse": overall.energy_rmse, "force_rmse": overall.force_rmse}


class _Collected:
    """Columns of an evaluation, filled structure by structure in the version's order."""

    def __init__(self, n_atoms: np.ndarray):
        n, atoms = len(n_atoms), int(n_atoms.sum())
        self.ends = np.cumsum(n_atoms)
        self.row = 0
        self.energy = np.full(n, np.nan)
        self.energy_spread = np.full(n, np.nan)
        self.force_rmse = np.full(n, np.nan, dtype="<f4")
        self.force_max_error = np.full(n, np.nan, dtype="<f4")
        self.force_spread = np.full(n, np.nan, dtype="<f4")
        self.stress = np.full((n, 6), np.nan, dtype="<f4")
        self.forces = np.full((atoms, 3), np.nan, dtype="<f4")
        self.atom_force_spread = np.full(atoms, np.nan, dtype="<f4")

    def add(self, result) -> None:
        """Take the prediction of the next structure."""
        row = self.row
        atoms = slice(int(self.ends[row]) - len(result.forces), int(self.ends[row]))
        self.energy[row] = result.energy
        self.energy_spread[row] = result.energy_spread
        self.forces[atoms] = result.forces
        self.atom_force_spread[atoms] = result.force_spread
        self.force_spread[row] = result.force_spread.max(initial=0.0)
        if result.stress is not None:
            self.stress[row] = result.stress
        reference = result.frame.label.forces
        if reference is not None:
            error = result.forces - reference
            self.force_rmse[row] = np.sqrt((error**2).mean())
            self.force_max_error[row] = np.linalg.norm(error, axis=1).max()
        self.row += 1

    def columns(self) -> dict[str, np.ndarray]:
        return {
            name: getattr(self, name)
            for name in (
                "energy",
                "energy_spread",
                "force_rmse",
                "force_max_error",
                "force_spread",
                "stress",
                "forces",
                "atom_force_spread",
            )
        }
