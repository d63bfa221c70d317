"""A small dataset with everything in it: missing labels, groups, splits, several elements, an evaluation, a map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.dataset import SourceRecord, VersionCard
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library
from isoline.store import artifacts

SOURCE = SourceRecord("file", "zoo.extxyz", "cd" * 32, 1, {})


@dataclass(frozen=True)
class Population:
    """`frames[i]` is row i of `version`."""

    version: VersionCard
    frames: list[Frame]

    @property
    def n(self) -> int:
        return len(self.frames)


def frame(index: int, *, seed: int = 0) -> Frame:
    """Every fifth frame has no energy, every seventh no forces, every third a stress, every fourth no cell."""
    random = np.random.default_rng([seed, index])
    n = 1 + index % 6
    numbers = random.choice([1, 8, 14], size=n)
    cell = np.zeros((3, 3)) if index % 4 == 0 else 4.0 * np.eye(3) + random.normal(scale=0.1, size=(3, 3))
    label = Label(
        "PBE",
        None if index % 5 == 0 else -5.0 * n + float(random.normal()),
        None if index % 7 == 0 else random.normal(size=(n, 3)),
        random.normal(scale=0.01, size=6) if index % 3 == 0 else None,
    )
    structure = Structure(numbers, random.normal(size=(n, 3)), cell, np.full(3, index % 4 != 0))
    group = ("", "bulk", "surface", "cluster")[index % 4]
    return Frame(
        structure, label, group, index, split=("train", "validation", "test", "")[index % 4 if index > 8 else 3]
    )


def populate(bench, n: int = 60, name: str = "zoo", seed: int = 0) -> Population:
    """Add frames as the next version of a dataset."""
    before = {card.dataset: card for card in library.datasets(bench)}.get(name)
    members = list(library.frames(bench, before.id)) if before else []
    given = [frame(len(members) + index, seed=seed) for index in range(n)]
    outcome = list(library.add(bench, OWNER, name, given, SOURCE))[-1]
    return Population(outcome.version, members + given)


def embed(bench, version: VersionCard, xy: np.ndarray, key: str = "map") -> int:
    """Keep a map of a version."""
    return _keep(bench, ArtifactKind.EMBEDDING, key, version, {"method": "pca", "descriptor": "soap"}, {"xy": xy})


def evaluate(
    bench, population: Population, error: float = 0.1, *, key: str = "model", unpredicted: tuple[int, ...] = ()
) -> int:
    """Keep an evaluation whose predictions miss the labels by random errors of this size; nan for some rows."""
    random = np.random.default_rng([7, int(error * 1e6)])
    frames, n = population.frames, population.n
    n_atoms = np.array([len(one) for one in frames])
    energy = np.array([one.label.energy if one.label.energy is not None else -5.0 * len(one) for one in frames])
    forces = [one.label.forces if one.label.forces is not None else np.zeros((len(one), 3)) for one in frames]
    stress = np.stack([one.label.stress if one.label.stress is not None else np.zeros(6) for one in frames])
    predicted = [one + random.normal(scale=error, size=one.shape) for one in forces]
    lost = np.isin(np.arange(n), unpredicted)
    for row in unpredicted:
        predicted[row] = np.full_like(predicted[row], np.nan)
    columns = {
        "energy": np.where(lost, np.nan, energy + n_atoms * random.normal(scale=error, size=n)),
        "energy_spread": np.where(lost, np.nan, np.abs(random.normal(scale=error, size=n))),
        "force_rmse": np.array(
            [
                np.nan if one.label.forces is None else np.sqrt(np.mean((p - one.label.forces) ** 2))
                for one, p in zip(frames, predicted, strict=True)
            ],
            dtype="<f4",
        ),
        "force_spread": np.where(lost, np.nan, random.uniform(0, error, size=n)).astype("<f4"),
        "stress": np.where(lost[:, None], np.nan, stress + random.normal(scale=0.1 * error, size=(n, 6))).astype("<f4"),
        "role": (np.arange(n) % 3).astype("u1"),
        "forces": np.concatenate(predicted).astype("<f4"),
        "atom_force_spread": random.uniform(0, error, size=int(n_atoms.sum())).astype("<f4"),
    }
    return _keep(bench, ArtifactKind.EVALUATION, key, population.version, {}, columns)


def _keep(bench, kind: ArtifactKind, key: str, version: VersionCard, summary: dict, columns: dict) -> int:
    with bench.write() as connection:
        return artifacts.add(
            connection, kind, f"{kind}-{key}-{version.id}", key, {}, summary, version.id, "owner", columns=columns
        )
