"""Descriptors of a dataset version and its maps: PCA at once, UMAP when ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from isoline.domain.artifact import ArtifactKind
from isoline.domain.job import Job
from isoline.domain.recipe import Describe
from isoline.services import library
from isoline.services.library import VersionCard
from isoline.store import artifacts
from isoline.workbench import Workbench

from ..descriptors.describe import describe as describe_structures
from ..descriptors.embedding import Map, pca, umap
from ..journal import Journal

PLACED_AT_MOST = 0.3  # share of later arrivals above which a new UMAP is laid out
MAP_COLUMNS = ("xy", "anchors", "anchor_xy", "axes.mean", "axes.scale", "axes.axes", "axes.explained")


def describe(bench: Workbench, job: Job, recipe: Describe, journal: Journal) -> dict:
    """Compute what is not known yet.

    Structures described in an earlier version are not described again, and where few are new they are placed on the
    earlier map, so that a map one has learned to read stays as it is.
    """
    version = library.version(bench, recipe.version)
    descriptor_id, features = _features(bench, job, recipe, version, journal)

    def keep(method: str, lay_out: Callable[[], Map]) -> int:
        return _keep_map(bench, job, recipe, version, descriptor_id, journal, method, lay_out)

    def lay_out_umap() -> Map:
        return _later_arrivals(bench, recipe, version, features) or umap(
            features, neighbours=recipe.neighbours, min_dist=recipe.min_dist, seed=recipe.seed
        )

    journal.progress(0.75, "principal components")
    result = {"descriptor": descriptor_id, "pca": keep("pca", lambda: pca(features))}
    journal.progress(0.80, "UMAP")
    return result | {"umap": keep("umap", lay_out_umap)}


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
    with journal.write() as connection:
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


def _keep_map(
    bench: Workbench,
    job: Job,
    recipe: Describe,
    version: VersionCard,
    descriptor_id: int,
    journal: Journal,
    method: str,
    lay_out: Callable[[], Map],
) -> int:
    key = recipe.key(version.key, method)
    with bench.read() as connection:
        known = artifacts.find(connection, key)
    if known is not None:
        return known.id
    laid = lay_out()
    if laid.message:
        journal.log(laid.message)
    arrays = laid.arrays()
    with journal.write() as connection:
        return artifacts.add(
            connection,
            ArtifactKind.EMBEDDING,
            key,
            f"{method.upper()} of {recipe.descriptor.kind.upper()}",
            recipe.model_dump(mode="json"),
            {
                "method": laid.method,
                "asked": method,
                "descriptor": recipe.descriptor.kind,
                "message": laid.message,
                "neighbours": laid.neighbours,
            },
            version.id,
            job.created_by,
            parent=descriptor_id,
            job=job.id,
            columns={name: values for name, values in arrays.items() if values.ndim},
        )


def _later_arrivals(bench: Workbench, recipe: Describe, version: VersionCard, features: np.ndarray) -> Map | None:
    """The newest UMAP of an earlier version with the later arrivals placed on it, where these are few."""
    ids = library.columns(bench, version.id).structure_id
    with bench.read() as connection:
        for earlier in artifacts.listing(connection, ArtifactKind.EMBEDDING):
            asked = Describe.model_validate(earlier.recipe)
            if earlier.summary["method"] != "umap" or asked.model_copy(update={"version": recipe.version}) != recipe:
                continue
            if library.version(bench, earlier.version).elements != version.elements:
                continue
            known = library.columns(bench, earlier.version).structure_id
            new = ~np.isin(ids, known)
            if new.mean() > PLACED_AT_MOST:
                continue
            arrays = {name: artifacts.column(connection, earlier.id, name) for name in MAP_COLUMNS}
            fitted = Map.from_arrays(arrays | {"neighbours": earlier.summary["neighbours"]})
            xy = np.empty((len(ids), 2), dtype=np.float32)
            order = np.argsort(known)
            xy[~new] = fitted.xy[order[np.searchsorted(known[order], ids[~new])]]
            xy[new] = fitted.transform(features[new])
            message = f"{int(new.sum())} later arrivals placed on the map of an earlier version" if new.any() else ""
            return replace(fitted, xy=xy, message=message)
    return None
