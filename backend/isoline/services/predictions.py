"""An evaluation's columns beside the labels they are compared with, row by row of one dataset version."""

from __future__ import annotations

import numpy as np

from ..domain.artifact import Artifact, ArtifactKind
from ..store import artifacts
from ..store.references import References, references
from ..workbench import Workbench
from . import library, members


def evaluation(bench: Workbench, id: int, version_id: int | None = None) -> Artifact:
    """The record of an evaluation.

    Raises NotFound, and InvalidInput when it is of other structures than those of `version_id`.
    """

    def read() -> Artifact:
        with bench.read() as connection:
            return artifacts.get(connection, id, ArtifactKind.EVALUATION)

    found = bench.remember(("evaluation", id), read)
    if version_id is not None:
        members.check_same(bench, version_id, found.version, f"evaluation {id}", "Evaluate the model on this version.")
    return found


def column(bench: Workbench, id: int, name: str, version_id: int | None = None) -> np.ndarray:
    """One column of an evaluation as it was stored, see `isoline.services.accuracy`."""
    evaluation(bench, id, version_id)

    def read() -> np.ndarray:
        with bench.read() as connection:
            return artifacts.column(connection, id, name)

    return bench.remember(("column", id, name), read)


def energy_error(bench: Workbench, version_id: int, id: int) -> np.ndarray:
    """(n,) float64 eV/atom: predicted − reference; nan where either is missing."""
    columns = library.columns(bench, version_id)
    return (column(bench, id, "energy", version_id) - columns.energy) / columns.n_atoms


def labels(bench: Workbench, version_id: int) -> References:
    """Reference forces and stresses of all members of a version."""

    def read() -> References:
        with bench.read() as connection:
            return references(connection, version_id, library.version(bench, version_id).n_structures)

    return bench.remember(("references", version_id), read)
