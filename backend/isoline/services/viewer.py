"""One structure as the 3D view draws it: atoms, cell, forces, per-atom colours, facts."""

from __future__ import annotations

import numpy as np

from ..domain.artifact import ArtifactKind
from ..store import artifacts
from ..workbench import Workbench
from . import atlas, library


def structure(bench: Workbench, version_id: int, position: int, evaluation: int | None = None) -> dict:
    """Everything the viewer shows of one row of a version; numbers in eV and Å, None where missing.

    Raises NotFound for a row that the version does not have.
    """
    frame = library.frame(bench, version_id, position)
    columns = library.columns(bench, version_id)
    label = frame.label
    scalars: dict[str, dict] = {}
    if label.forces is not None:
        scalars["force"] = _scalar("|F|", "eV/Å", np.linalg.norm(label.forces, axis=1))
    if evaluation is not None:
        scalars |= _evaluated(bench, evaluation, columns, position, label.forces)
    row = atlas.table(bench, version_id, evaluation=evaluation, start=position, stop=position + 1).rows[0]
    return {
        "version": version_id,
        "position": position,
        "id": frame.id,
        "numbers": frame.structure.numbers.tolist(),
        "positions": frame.structure.positions.round(6).tolist(),
        "cell": frame.structure.cell.round(6).tolist() if frame.structure.volume else None,
        "pbc": frame.structure.pbc.tolist(),
        "forces": None if label.forces is None else label.forces.round(6).tolist(),
        "stress": None if label.stress is None else label.stress.tolist(),
        "scalars": scalars,
        "facts": row,
        "level_of_theory": label.level_of_theory,
        "provenance": library.provenance(bench, version_id, position),
    }


def _evaluated(bench: Workbench, evaluation: int, columns, position: int, reference) -> dict[str, dict]:
    start = int(columns.n_atoms[:position].sum())
    atoms = slice(start, start + int(columns.n_atoms[position]))

    def read(name: str) -> np.ndarray:
        def column() -> np.ndarray:
            with bench.read() as connection:
                artifacts.get(connection, evaluation, ArtifactKind.EVALUATION)
                return artifacts.column(connection, evaluation, name)

        return bench.remember(("column", evaluation, name), column)[atoms]

    scalars = {"spread": _scalar("σ(F)", "eV/Å", read("atom_force_spread"))}
    if reference is not None:
        scalars["error"] = _scalar("|ΔF|", "eV/Å", np.linalg.norm(read("forces") - reference, axis=1))
    return scalars


def _scalar(title: str, unit: str, values: np.ndarray) -> dict:
    finite = values[np.isfinite(values)]
    return {
        "title": title,
        "unit": unit,
        "values": [None if not np.isfinite(value) else round(float(value), 6) for value in values],
        "low": float(finite.min()) if len(finite) else 0.0,
        "high": float(finite.max()) if len(finite) else 0.0,
    }
