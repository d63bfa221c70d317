"""The sample projects: a dataset that needs no download, imported, mapped and ready to train."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ase import Atoms

from isoline.domain.job import Job
from isoline.domain.recipe import Describe, Sample
from isoline.domain.structure import Frame, Label, Structure
from isoline.services import accounts, library, training
from isoline.workbench import Workbench

from ..journal import Journal
from ..samples import molecule, silicon

N_ETHANOL = 300
TEST_EVERY = 5  # every fifth structure of a group is kept for testing


def make_sample(bench: Workbench, job: Job, recipe: Sample, journal: Journal) -> dict:
    """Make or read the structures, store them with a test split, and queue their map."""
    actor = accounts.acting_for(bench, job.created_by)
    title, frames = (
        ("Sample silicon", silicon_frames())
        if recipe.name == "silicon"
        else ("Sample ethanol", ethanol_frames(journal))
    )
    digest = hashlib.sha256(b"".join(frame.structure.identity + frame.label.identity for frame in frames)).hexdigest()
    source = library.SourceRecord(
        kind="sample",
        name=f"isoline sample {recipe.name}",
        sha256=digest,
        size=0,
        contract={"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³"},
    )
    journal.progress(0.9, "storing")
    *_, outcome = library.add(bench, actor, title, frames, source, write=journal.write)
    version = outcome.version
    mapping = training.describe(bench, actor, Describe(version=version.id))
    return {
        "dataset": title,
        "version": version.version,
        "version_id": version.id,
        "n_structures": version.n_structures,
        "map_job": mapping.id,
    }


def silicon_frames() -> list[Frame]:
    """The shipped silicon cells, a test split marked."""
    return list(_frames(silicon.frames()))


def ethanol_frames(journal: Journal) -> list[Frame]:
    """Ethanol made and labelled now, a test split marked."""

    def watched() -> Iterator[Atoms]:
        for done, atoms in enumerate(molecule.ethanol_frames(N_ETHANOL), start=1):
            journal.progress(0.9 * done / N_ETHANOL, f"{done} of {N_ETHANOL} structures labelled")
            yield atoms

    return list(_frames(watched()))


def _frames(structures: Iterator[Atoms]) -> Iterator[Frame]:
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
