"""Structures and labels: kept once, found by content, written and read in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from sqlalchemy import Connection, func, insert, select

from ..domain.dataset import Columns, Names, Origin
from ..domain.structure import Frame, Label, Structure
from . import bulk, engines
from .tables import (
    composition,
    composition_element,
    dataset_member,
    label,
    label_array,
    level_of_theory,
    source,
    structure,
    structure_array,
)

PBC_BITS = np.array([1, 2, 4])


@lru_cache(maxsize=65_536)
def formula(numbers: bytes) -> str:
    """Hill formula of atomic numbers."""
    return Formula.from_list([chemical_symbols[z] for z in numbers]).format("hill")


def add(connection: Connection, frames: Sequence[Frame], source_id: int) -> tuple[Columns, int]:
    """Keep the structures and labels of a batch; those already known are found, not written again.

    Returns the batch's columns, aligned with `frames`, and how many structures were new.
    """
    engines.lock_bulk(connection)
    structures = [frame.structure for frame in frames]
    labels = [frame.label for frame in frames]
    n_atoms = np.fromiter(map(len, structures), dtype=np.int32, count=len(frames))
    volume = np.abs(np.linalg.det(np.stack([s.cell for s in structures])))
    pbc = np.stack([s.pbc for s in structures]) @ PBC_BITS
    # Sorted bytes are the same for every order of the same atoms.
    formulas = Names.of(formula(bytes(sorted(s.numbers.tobytes()))) for s in structures)
    levels = Names.of(label.level_of_theory for label in labels)

    structure_hashes = [s.identity for s in structures]
    known = _known_structures(connection, structure_hashes)
    structure_ids, new = _numbered(structure_hashes, known, _next_id(connection, structure))
    composition_ids = _composition_ids(connection, formulas)
    bulk.insert(
        connection,
        structure,
        [
            (id, structure_hashes[i], c, n, p, v)
            for id, i, c, n, p, v in zip(
                structure_ids[new].tolist(),
                new.tolist(),
                composition_ids[new].tolist(),
                n_atoms[new].tolist(),
                pbc[new].tolist(),
                volume[new].tolist(),
                strict=True,
            )
        ],
    )
    bulk.insert(
        connection,
        structure_array,
        [
            (id, s.numbers.tobytes(), s.positions.tobytes(), s.cell.tobytes())
            for id, s in zip(structure_ids[new].tolist(), map(structures.__getitem__, new.tolist()), strict=True)
        ],
    )

    level_ids = _level_ids(connection, levels)
    label_hashes = [label.identity for label in labels]
    label_keys = list(zip(structure_ids.tolist(), level_ids.tolist(), label_hashes, strict=True))
    known_labels = _known_labels(connection, sorted(set(known.values())))
    label_ids, new_labels = _numbered(label_keys, known_labels, _next_id(connection, label))
    energy = np.array([np.nan if one.energy is None else one.energy for one in labels])
    max_force = _max_force(labels)
    has_stress = np.array([one.stress is not None for one in labels])
    rows, arrays = [], []
    for id, i in zip(label_ids[new_labels].tolist(), new_labels.tolist(), strict=True):
        one = labels[i]
        force = None if one.forces is None else float(max_force[i])
        rows.append((id, *label_keys[i], one.energy, force, bool(has_stress[i]), source_id, frames[i].index))
        if one.forces is not None or one.stress is not None:
            arrays.append(
                (
                    id,
                    None if one.forces is None else one.forces.tobytes(),
                    None if one.stress is None else one.stress.tobytes(),
                )
            )
    bulk.insert(connection, label, rows)
    bulk.insert(connection, label_array, arrays)

    columns = Columns(
        structure_id=structure_ids,
        label_id=label_ids,
        identity=np.hstack([_bytes(structure_hashes), _bytes(label_hashes)]),
        n_atoms=n_atoms,
        energy=energy,
        max_force=max_force,
        volume=volume,
        has_stress=has_stress,
        composition=formulas,
        group=Names.of(frame.group for frame in frames),
        split=Names.of(frame.split for frame in frames),
        level_of_theory=levels,
    )
    return columns, len(new)


def frames(connection: Connection, version_id: int, positions: np.ndarray) -> list[Frame]:
    """Members of a version at ascending positions, with their arrays (read-only)."""
    query = (
        select(
            structure.c.id,
            structure.c.pbc,
            structure_array.c.numbers,
            structure_array.c.positions,
            structure_array.c.cell,
            label.c.energy,
            label_array.c.forces,
            label_array.c.stress,
            level_of_theory.c.name,
            dataset_member.c.group,
            dataset_member.c.split,
            label.c.source_frame,
        )
        .select_from(dataset_member)
        .join(structure, structure.c.id == dataset_member.c.structure_id)
        .join(structure_array, structure_array.c.structure_id == structure.c.id)
        .join(label, label.c.id == dataset_member.c.label_id)
        .join(level_of_theory, level_of_theory.c.id == label.c.level_of_theory_id)
        .outerjoin(label_array, label_array.c.label_id == label.c.id)
        .where(dataset_member.c.version_id == version_id)
        .order_by(dataset_member.c.position)
    )
    first, last = int(positions[0]), int(positions[-1])
    if last - first + 1 == len(positions):
        query = query.where(dataset_member.c.position.between(first, last))
    else:
        query = query.where(bulk.among(connection, dataset_member.c.position, positions.tolist()))
    return [_frame(row) for row in connection.execute(query)]


def origins(connection: Connection, structure_id: int) -> list[Origin]:
    """Where each label of a structure came from, oldest first."""
    query = (
        select(
            label.c.id,
            level_of_theory.c.name,
            source.c.kind,
            source.c.name,
            source.c.sha256,
            label.c.source_frame,
            source.c.added_by,
            source.c.added,
        )
        .select_from(label)
        .join(source, source.c.id == label.c.source_id)
        .join(level_of_theory, level_of_theory.c.id == label.c.level_of_theory_id)
        .where(label.c.structure_id == structure_id)
        .order_by(label.c.id)
    )
    return [Origin(*row) for row in connection.execute(query)]


def _frame(row) -> Frame:
    id, pbc, numbers, positions, cell, energy, forces, stress, level, group, split, index = row
    return Frame(
        structure=Structure(
            np.frombuffer(numbers, np.uint8),
            np.frombuffer(positions, "<f8"),
            np.frombuffer(cell, "<f8"),
            np.array([pbc & 1, pbc & 2, pbc & 4], dtype=bool),
        ),
        label=Label(
            level,
            energy,
            None if forces is None else np.frombuffer(forces, "<f8"),
            None if stress is None else np.frombuffer(stress, "<f8"),
        ),
        group=group,
        index=index,
        id=id,
        split=split,
    )


def _bytes(hashes: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16)


def _next_id(connection: Connection, table) -> int:
    return (connection.execute(select(func.max(table.c.id))).scalar() or 0) + 1


def _numbered(keys: Sequence, known: dict, next_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of all keys, and the rows at which a new one occurs first."""
    ids, new = np.empty(len(keys), np.int64), []
    for i, key in enumerate(keys):
        id = known.get(key)
        if id is None:
            known[key] = id = next_id + len(new)
            new.append(i)
        ids[i] = id
    return ids, np.array(new, dtype=np.int64)


def _known_structures(connection: Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    return dict(bulk.find(connection, (structure.c.hash, structure.c.id), structure.c.hash, hashes))


def _known_labels(connection: Connection, structure_ids: Sequence[int]) -> dict[tuple[int, int, bytes], int]:
    wanted = (label.c.structure_id, label.c.level_of_theory_id, label.c.hash, label.c.id)
    return {tuple(key): id for *key, id in bulk.find(connection, wanted, label.c.structure_id, structure_ids)}


def _max_force(labels: Sequence[Label]) -> np.ndarray:
    """(labels,) eV/Å: the largest |F| of an atom, nan without forces."""
    values = np.full(len(labels), np.nan)
    rows = [i for i, one in enumerate(labels) if one.forces is not None and len(one.forces)]
    if rows:
        sizes = [len(labels[i].forces) for i in rows]
        x, y, z = np.concatenate([labels[i].forces for i in rows]).T
        values[rows] = np.maximum.reduceat(np.hypot(np.hypot(x, y), z), np.cumsum([0, *sizes[:-1]]))
    return values


def _composition_ids(connection: Connection, formulas: Names) -> np.ndarray:
    """(n,) ids of formulas; unknown ones are added with their elements."""
    ids = dict(bulk.find(connection, (composition.c.formula, composition.c.id), composition.c.formula, formulas.names))
    elements = {name: Formula(name).count() for name in formulas.names if name not in ids}
    if elements:
        adding = insert(composition).returning(composition.c.formula, composition.c.id)
        rows = [{"formula": name, "n_elements": len(counts)} for name, counts in elements.items()]
        ids |= dict(connection.execute(adding, rows).all())
        bulk.insert(
            connection,
            composition_element,
            [(atomic_numbers[x], ids[name], n) for name, counts in elements.items() for x, n in counts.items()],
        )
    return np.array([ids[name] for name in formulas.names], dtype=np.int64)[formulas.codes]


def _level_ids(connection: Connection, levels: Names) -> np.ndarray:
    """(n,) ids of levels of theory; unknown ones are added."""
    names = level_of_theory.c.name
    ids = dict(bulk.find(connection, (names, level_of_theory.c.id), names, levels.names))
    for name in levels.names:
        if name not in ids:
            ids[name] = connection.execute(insert(level_of_theory).values(name=name)).inserted_primary_key[0]
    return np.array([ids[name] for name in levels.names], dtype=np.int64)[levels.codes]
