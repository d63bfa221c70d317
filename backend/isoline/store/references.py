"""Reference values of every atom of a dataset version, as columns beside an evaluation's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, select

from .tables import dataset_member, label_array, structure_array

MEMBERS_PER_READ = 10_000
NOTHING = np.array([np.nan], dtype="<f8").tobytes()


@dataclass(frozen=True, eq=False)
class References:
    """Labels of a version's members, one after the other; nan where missing.

    numbers  (atoms,)         uint8    atomic numbers
    forces   (atoms, 3)       float32  eV/Å
    stress   (structures, 6)  float64  eV/Å³, Voigt xx yy zz yz xz xy
    """

    numbers: np.ndarray
    forces: np.ndarray
    stress: np.ndarray


def references(connection: Connection, version_id: int, n_structures: int) -> References:
    """Read them in bulk, without making structures."""
    numbers, forces, stress = [], [], []
    query = (
        select(structure_array.c.numbers, label_array.c.forces, label_array.c.stress)
        .select_from(dataset_member)
        .join(structure_array, structure_array.c.structure_id == dataset_member.c.structure_id)
        .outerjoin(label_array, label_array.c.label_id == dataset_member.c.label_id)
        .where(dataset_member.c.version_id == version_id)
        .order_by(dataset_member.c.position)
    )
    for start in range(0, n_structures, MEMBERS_PER_READ):
        part = dataset_member.c.position.between(start, start + MEMBERS_PER_READ - 1)
        rows = connection.execute(query.where(part)).all()
        numbers.append(b"".join(row.numbers for row in rows))
        label = b"".join(NOTHING * (3 * len(row.numbers)) if row.forces is None else row.forces for row in rows)
        forces.append(np.frombuffer(label, dtype="<f8").astype("<f4"))
        stress.append(b"".join(NOTHING * 6 if row.stress is None else row.stress for row in rows))
    return References(
        np.frombuffer(b"".join(numbers), dtype=np.uint8),
        np.concatenate([np.empty(0, "<f4"), *forces]).reshape(-1, 3),
        np.frombuffer(b"".join(stress), dtype="<f8").reshape(-1, 6),
    )
