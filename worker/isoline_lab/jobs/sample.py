"""The sample projects: a dataset that needs no download, imported, mapped and ready to train."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ase import Atoms

from isoline.domain.actor import Actor
from isoline.domain.job import Job
from isoline.domain.recipe import Describe, Sample
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import library, training
from isoline.workbench import Workbench

from ..journal import Journal
from ..samples import molecule, silicon

N_ETHANOL = 300
TEST_EVERY = 5  # every fifth structure of a group is kept for testing


def make_sample(bench: Workbench, job: Job, recipe: Sample, journal: Journal) -> dict:
    """Make or read the structures, store them with a test split, and queue their map."""
    actor = Actor(job.created_by)
    atoms = list(_watched(_structures(recipe.name), journal, _count(recipe.name)))
    title = {"silicon": "Sample silicon", "ethanol": "Sample ethanol"}[recipe.name]
    frames = list(_frames(atoms))
    digest = hashlib.sha256(b"".join(frame.structure.identity + frame.label.identity for frame in frames)).hexdigest()
    source = library.SourceRecord(
        kind="sample",
        name=f"isoline sample {recipe.name}",
        sha256=digest,
        size=0,
        contract={"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³"},
    )
    *_, outcome = library.add(bench, actor, title, frames, source)
    version = outcome.version
    training.describe(bench, actor, Describe(version=version.id))
    return {
        "dataset": title,
        "version": version.version,
        "version_id": version.id,
        "n_structures": version.n_structures,
    }


def _structures(name: str) -> Iterator[Atoms]:
    return molecule.ethanol_frames(N_ETHANOL) if name == "ethanol" else silicon.frames()


def _count(name: str) -> int:
    return N_ETHANOL if name == "ethanol" else 200


def _watched(structures: Iterator[Atoms], journal: Journal, count: int) -> Iterator[Atoms]:
    for done, atoms in enumerate(structures, start=1):
        journal.progress(min(0.9, 0.9 * done / count), f"{done} structures labelled")
        yield atoms


def _frames(structures: list[Atoms]) -> Iterator[Frame]:
    seen: dict[str, int] = {}
    for index, atoms in enumerate(structures):
        group = atoms.info.get("config_type", "")
        seen[group] = seen.get(group, 0) + 1
        results = atoms.calc.results
        yield Frame(
            Structure(atoms.numbers, atoms.positions, atoms.cell[:], atoms.pbc),
            Label(
                atoms.info.get("level_of_theory", "unspecified"),
                float(results["energy"]),
                results["forces"],
                results.get("stress"),
            ),
            group=group,
            index=index,
            split="test" if seen[group] % TEST_EVERY == 0 else "",
        )
