"""Asking for descriptors, committees and evaluations; the models that came of it."""

from __future__ import annotations

from ..domain.actor import Actor
from ..domain.artifact import Artifact, ArtifactKind
from ..domain.job import Job
from ..domain.recipe import Describe, Evaluate, Sample, Train
from ..errors import InvalidInput, NotFound
from ..jobs.submit import submit
from ..store import artifacts
from ..workbench import Workbench
from . import accounts, atlas, library

MODEL_FILES = ("model.safetensors", "model.json")


def describe(bench: Workbench, actor: Actor, recipe: Describe) -> Job:
    """Queue descriptors, PCA and UMAP of a dataset version."""
    accounts.permit(actor, "describe")
    version = library.version(bench, recipe.version)
    title = f"Describe {version.dataset} v{version.version} by {recipe.descriptor.kind.upper()}"
    return submit(bench, actor, recipe, title=title, version_id=recipe.version)


def train(bench: Workbench, actor: Actor, recipe: Train, *, test: int | None = None) -> list[Job]:
    """Queue the training of a committee, then its evaluation on its own version and on `test`.

    Raises InvalidInput where the version has no labels to learn from.
    """
    accounts.permit(actor, "train")
    version = library.version(bench, recipe.version)
    if version.n_energy + version.n_forces == 0:
        raise InvalidInput(
            f"{version.dataset} v{version.version} has neither energies nor forces: there is nothing to learn",
            hint="Import the labels, or choose another energy and forces key in the label contract.",
        )
    named = [level for level in version.levels_of_theory if level != "unspecified"]
    if len(named) > 1 and recipe.levels_of_theory == "one":
        raise InvalidInput(
            f"{version.dataset} v{version.version} holds labels of {len(named)} levels of theory: {', '.join(named)}",
            hint='Their energies have different zeros: train on one of them, or set levels_of_theory to "mixed".',
        )
    if recipe.start:
        model(bench, recipe.start)
    name = recipe.name or f"{version.dataset} v{version.version}"
    first = submit(bench, actor, recipe, title=f"Train {recipe.members} × {name}", version_id=recipe.version)
    return [first, *(_evaluate_after(bench, actor, first, tested) for tested in _distinct(recipe.version, test))]


def evaluate(bench: Workbench, actor: Actor, recipe: Evaluate) -> Job:
    """Queue a model's predictions and errors on a dataset version."""
    accounts.permit(actor, "evaluate")
    version = library.version(bench, recipe.version)
    evaluated = model(bench, recipe.model)
    title = f"Evaluate {evaluated.name} on {version.dataset} v{version.version}"
    return submit(bench, actor, recipe, title=title, version_id=recipe.version)


def retrain(bench: Workbench, actor: Actor, version_id: int, selection: str | None = None) -> list[Job]:
    """Freeze the selection, train with the last recipe from the last model, evaluate both on the same test set.

    Without a selection the version is trained on as it is. Without an earlier model the default recipe is used.
    """
    accounts.permit(actor, "train")
    version = library.version(bench, version_id)
    if selection is not None:
        rows = atlas.positions(bench, selection, version_id)
        if len(rows) < version.n_structures:
            version = library.freeze(bench, actor, version_id, rows, note="frozen for retraining")
    previous = last_model(bench, version.dataset)
    if previous is None:
        return train(bench, actor, Train(version=version.id))
    # A model cannot go on to elements that it has no network for.
    start = previous.id if set(version.elements) <= set(previous.summary["elements"]) else 0
    recipe = Train.model_validate(previous.recipe).model_copy(
        update={"version": version.id, "start": start, "name": ""}
    )
    with bench.read() as connection:
        evaluations = artifacts.listing(connection, ArtifactKind.EVALUATION, parent=previous.id)
    tested = {evaluation.version for evaluation in evaluations} or {previous.version}
    jobs = train(bench, actor, recipe)
    jobs += [_evaluate_after(bench, actor, jobs[0], test) for test in sorted(tested - {version.id})]
    missing = tested - {evaluation.version for evaluation in evaluations}
    jobs += [evaluate(bench, actor, Evaluate(model=previous.id, version=test)) for test in sorted(missing)]
    return jobs


def sample(bench: Workbench, actor: Actor, name: str) -> Job:
    """Queue one of the sample projects that need no download: "silicon" or "ethanol"."""
    accounts.permit(actor, "import")
    return submit(bench, actor, Sample(name=name), title=f"Sample project: {name}")


def last_model(bench: Workbench, dataset: str) -> Artifact | None:
    """The newest model trained on any version of a dataset; guests were trained elsewhere."""
    ids = {version.id for version in library.versions(bench, dataset)}
    trained = (found for found in models(bench) if found.recipe.get("kind") != "adopt")
    return next((found for found in trained if found.version in ids), None)


def models(bench: Workbench, version_id: int | None = None) -> list[Artifact]:
    """All committees, newest first."""
    with bench.read() as connection:
        return artifacts.listing(connection, ArtifactKind.MODEL, version=version_id)


def model(bench: Workbench, id: int) -> Artifact:
    """One committee. Raises NotFound."""
    with bench.read() as connection:
        return artifacts.get(connection, id, ArtifactKind.MODEL)


def model_file(bench: Workbench, id: int, name: str) -> bytes:
    """One of a committee's MODEL_FILES. Raises NotFound for another."""
    if name not in MODEL_FILES:
        raise NotFound(f"a model has no file '{name}'", hint=f"Its files are {', '.join(MODEL_FILES)}.")
    with bench.read() as connection:
        artifacts.get(connection, id, ArtifactKind.MODEL)
        return artifacts.file(connection, id, name)


def _distinct(*versions: int | None) -> list[int]:
    return list(dict.fromkeys(version for version in versions if version is not None))


def _evaluate_after(bench: Workbench, actor: Actor, training: Job, version_id: int) -> Job:
    version = library.version(bench, version_id)
    return submit(
        bench,
        actor,
        Evaluate(model=0, version=version_id),
        title=f"Evaluate on {version.dataset} v{version.version}",
        version_id=version_id,
        after=training.id,
    )
