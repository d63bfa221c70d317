"""Descriptors of a dataset version and its maps: PCA at once, UMAP when ready."""

from __future__ import annotations

import numpy as np
from isoline.domain.artifact import ArtifactKind
from isoline.domain.job import Job
from isoline.domain.recipe import Describe
from isoline.services import library
from isoline.services.library import VersionCard
from isoline.store import artifacts
from isoline.workbench import Workbench

from ..descriptors.describe import describe as describe_structures
from ..descriptors.projection import pca, umap
from ..journal import Journal


def describe(bench: Workbench, job: Job, recipe: Describe, journal: Journal) -> dict:
    """Compute what is not known yet; structures described in an earlier version are not described again."""
    version = library.version(bench, recipe.version)
    descriptor_id, features = _features(bench, job, recipe, version, journal)
    result = {"descriptor": descriptor_id}
    journal.progress(0.75, "principal components")
    result["pca"] = _keep_map(bench, job, recipe, version, descriptor_id, "pca", lambda: pca(features))
    journal.progress(0.80, "UMAP")
    result["umap"] = _keep_map(
        bench,
        job,
        recipe,
        version,
        descriptor_id,
        "umap",
        lambda: umap(features, neighbours=recipe.neighbours, min_dist=recipe.min_dist, seed=recipe.seed),
    )
    return result


def _features(
    bench: Workbench, job: Job, recipe: Describe, version: VersionCard, journal: Journal
) -> tuple[int, np.ndarray]:
    key = recipe.descriptor.key(version.key)
    with bench.read() as connection:
        known = artifacts.find(connection, key)
        if known is not None:
            return known.id, artifacts.column(connection, known.id, "pooled")
    ids = library.columns(bench, version.id).structure_id
    rows = _described_before(bench, recipe, version)
    missing = np.flatnonzero([id not in rows for id in ids.tolist()])
    if len(missing) < len(ids):
        journal.log(f"{len(ids) - len(missing)} of {len(ids)} structures are described already")
    done = 0
    structures = [frame.structure for frame in library.frames(bench, version.id, missing)]
    for batch in describe_structures(recipe.descriptor, structures, version.elements):
        for pooled in batch.pooled:
            rows[int(ids[missing[done]])] = pooled
            done += 1
        journal.progress(0.75 * done / len(missing), f"described {done} of {len(missing)} structures")
    features = np.stack([rows[id] for id in ids.tolist()]).astype("<f4")
    with bench.write() as connection:
        id = artifacts.add(
            connection,
            ArtifactKind.DESCRIPTOR,
            key,
            recipe.descriptor.kind.upper(),
            recipe.descriptor.model_dump(mode="json"),
            {"n_features": features.shape[1], "elements": list(version.elements)},
            version.id,
            job.created_by,
            job=job.id,
            columns={"pooled": features},
        )
    return id, features


def _described_before(bench: Workbench, recipe: Describe, version: VersionCard) -> dict[int, np.ndarray]:
    """Pooled features by structure id, from every descriptor made with the same recipe for the same elements."""
    wanted = recipe.descriptor.model_dump(mode="json")
    rows: dict[int, np.ndarray] = {}
    with bench.read() as connection:
        for earlier in artifacts.listing(connection, ArtifactKind.DESCRIPTOR):
            if earlier.recipe == wanted and earlier.summary["elements"] == list(version.elements):
                ids = library.columns(bench, earlier.version).structure_id.tolist()
                rows |= zip(ids, artifacts.column(connection, earlier.id, "pooled"), strict=True)
    return rows


def _keep_map(bench, job, recipe, version, descriptor_id, method, project) -> int:
    key = recipe.key(version.key, method)
    with bench.read() as connection:
        known = artifacts.find(connection, key)
    if known is not None:
        return known.id
    projection = project()
    with bench.write() as connection:
        return artifacts.add(
            connection,
            ArtifactKind.EMBEDDING,
            key,
            f"{method.upper()} of {recipe.descriptor.kind.upper()}",
            recipe.model_dump(mode="json"),
            {"method": projection.method, "descriptor": recipe.descriptor.kind, "note": projection.note},
            version.id,
            job.created_by,
            parent=descriptor_id,
            job=job.id,
            columns={"xy": projection.xy},
        )
