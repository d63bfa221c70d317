"""Structures by their ids, without labels: what is asked when only geometry matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from ..domain.structure import Structure
from . import bulk
from .tables import structure, structure_array


def geometries(connection: Connection, ids: Sequence[int]) -> dict[int, Structure]:
    """Structures by id, their arrays read-only; unknown ids are left out."""
    kinds = dict(bulk.find(connection, (structure.c.id, structure.c.pbc), structure.c.id, ids))
    columns = structure_array.c
    wanted = (columns.structure_id, columns.numbers, columns.positions, columns.cell)
    return {
        id: Structure(
            np.frombuffer(numbers, np.uint8),
            np.frombuffer(positions, "<f8"),
            np.frombuffer(cell, "<f8"),
            np.array([kinds[id] & 1, kinds[id] & 2, kinds[id] & 4], dtype=bool),
        )
        for id, numbers, positions, cell in bulk.find(connection, wanted, columns.structure_id, ids)
    }
