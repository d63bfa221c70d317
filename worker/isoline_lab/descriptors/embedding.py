"""Maps of a dataset: many features of many structures as points in a plane."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from isoline.errors import InvalidInput

# A map is fitted to this many structures at most; the others are placed on it.
FITTED = 50_000
# UMAP sees this many principal scores: distances in hundreds of correlated features say no more.
SCORES = 50
# Structures whose scores are computed together, so that memory does not grow with the dataset.
CHUNK = 8192


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """The directions in which features vary most, after Pareto scaling.

    mean       (features,)
    scale      (features,)        1/√(standard deviation); 0 where a feature is constant
    axes       (axes, features)   orthonormal rows, the largest loading of each positive
    explained  (axes,)            fraction of the scaled variance

    Pareto scaling (van den Berg et al., BMC Genomics 7, 142, 2006) stands between raw features, where the
    largest hide all others, and equal variances, where noise counts as much as signal.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    explained: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Coordinates along the axes: (structures, axes) float32.

        Raises InvalidInput for another number of features, and for values that are not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise InvalidInput(
                f"this map takes {len(self.mean)} features per structure, got an array of shape {features.shape}",
                hint="Describe the structures with the recipe and the elements of the map.",
            )
        scores = np.empty((len(features), len(self.axes)), dtype=np.float32)
        for rows in _chunks(len(features)):
            _require_finite(features[rows], rows.start)
            scores[rows] = ((features[rows] - self.mean) * self.scale) @ self.axes.T
        return scores


@dataclass(frozen=True, eq=False)
class Map:
    """A plane with structures on it, and what is needed to place later ones: arrays only, no fitted objects.

    xy          (structures, 2)  float32
    axes        from features to principal scores
    anchors     (anchors, axes)  float32  scores of the structures that fix a UMAP; none for PCA
    anchor_xy   (anchors, 2)     float32
    neighbours  anchors that decide where a later structure is placed
    message     why a UMAP was asked for and this is a PCA, for people; "" otherwise
    """

    xy: np.ndarray
    axes: PrincipalAxes
    anchors: np.ndarray
    anchor_xy: np.ndarray
    neighbours: int
    message: str = ""

    @property
    def method(self) -> Literal["pca", "umap"]:
        return "umap" if len(self.anchors) else "pca"

    @property
    def explained(self) -> np.ndarray:
        """(2,) fractions of the scaled variance along the first two principal axes."""
        return self.axes.explained[:2]

    def transform(self, features: np.ndarray) -> np.ndarray:
        """Places of further structures: (structures, 2) float32.

        On a PCA the projection; on a UMAP the mean of the nearest anchors' places, weighted by inverse squared
        distance (Shepard, Proc. 23rd ACM conf., 517, 1968), so an anchor falls on itself and nothing else moves.
        umap-learn starts its own `transform` from such a mean, but needs the fitted object, which only
        unpickling could bring back.
        """
        scores = self.axes.scores(features)
        if self.method == "pca":
            return scores[:, :2]
        return _place(scores, self.anchors, self.anchor_xy, self.neighbours)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the message as named arrays of numbers, for npz or safetensors."""
        own = {name: np.asarray(getattr(self, name)) for name in ("xy", "anchors", "anchor_xy", "neighbours")}
        return own | {f"axes.{field.name}": getattr(self.axes, field.name) for field in fields(self.axes)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], message: str = "") -> Map:
        """The map that `arrays` described."""
        axes = PrincipalAxes(**{field.name: arrays[f"axes.{field.name}"] for field in fields(PrincipalAxes)})
        return cls(arrays["xy"], axes, arrays["anchors"], arrays["anchor_xy"], int(arrays["neighbours"]), message)


def pca(features: np.ndarray, seed: int = 0, fitted: int = FITTED) -> Map:
    """The map along the two directions of largest variance.

    features  (structures, features)
    fitted    with more structures than this, the directions are those of a sample

    Raises InvalidInput for values that are not finite.
    """
    axes = principal_axes(features, 2, seed, fitted)
    return _pca_map(axes, axes.scores(features), "")


def umap(features: np.ndarray, neighbours: int = 15, min_dist: float = 0.1, seed: int = 0, fitted: int = FITTED) -> Map:
    """The map that keeps neighbours together (McInnes, Healy, Melville, arXiv:1802.03426).

    features    (structures, features)  reduced to 50 principal scores first
    neighbours  how many define closeness
    min_dist    how tightly points may pack
    fitted      with more structures than this, a sample is laid out and `Map.transform` places the others

    Starts from PCA and is the same for the same seed. Fewer than neighbours + 2, or all alike: PCA, with a message.
    Blocks until it is done: seconds for 2 000 structures, minutes for 50 000 (one thread); a fresh process compiles
    for 10 s before.

    Raises InvalidInput for values that are not finite.
    """
    axes = principal_axes(features, SCORES, seed, fitted)
    scores = axes.scores(features)
    if len(scores) < neighbours + 2:
        return _pca_map(
            axes,
            scores,
            f"UMAP with {neighbours} neighbours needs at least {neighbours + 2} structures, there are {len(scores)}",
        )
    if not axes.explained[0] > 0:
        return _pca_map(axes, scores, "UMAP needs structures that differ; these are all alike")
    chosen = _sample(len(scores), seed, fitted)
    xy = np.empty((len(scores), 2), dtype=np.float32)
    xy[chosen] = _lay_out(scores[chosen], neighbours, min_dist, seed)
    others = np.setdiff1d(np.arange(len(scores)), chosen)
    if len(others):
        xy[others] = _place(scores[others], scores[chosen], xy[chosen], neighbours)
    return Map(xy, axes, scores[chosen], xy[chosen], neighbours)


def principal_axes(features: np.ndarray, n_axes: int, seed: int = 0, fitted: int = FITTED) -> PrincipalAxes:
    """Up to n_axes principal axes of at most `fitted` of the structures; always at least two.

    features  (structures, features)

    Raises InvalidInput for values that are not finite.
    """
    sample = features[_sample(len(features), seed, fitted)].astype(np.float32)
    _require_finite(sample, 0)
    n_features = sample.shape[1]
    deviation = sample.std(axis=0, dtype=np.float64) if len(sample) else np.zeros(n_features)
    mean = sample.mean(axis=0, dtype=np.float64) if len(sample) else np.zeros(n_features)
    # Below this a feature varies by rounding only.
    varies = deviation > 1e-6 * max(deviation.max(initial=0.0), np.abs(mean).max(initial=0.0))
    scale = np.where(varies, np.where(varies, deviation, 1.0) ** -0.5, 0.0)
    axes, explained = np.zeros((max(2, min(n_axes, n_features)), n_features)), np.zeros(max(2, min(n_axes, n_features)))
    n_found = min(len(axes), len(sample) - 1, int(varies.sum()))
    if n_found > 0:
        sample -= mean.astype(np.float32)
        sample *= scale.astype(np.float32)
        found = PCA(n_components=n_found, random_state=seed, copy=False).fit(sample)
        axes[:n_found], explained[:n_found] = found.components_, found.explained_variance_ratio_
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1))
    axes *= np.where(signs == 0, 1.0, signs)
    return PrincipalAxes(*(np.asarray(array, dtype=np.float32) for array in (mean, scale, axes, explained)))


def _pca_map(axes: PrincipalAxes, scores: np.ndarray, message: str) -> Map:
    nothing = np.zeros((0, scores.shape[1]), dtype=np.float32)
    return Map(np.ascontiguousarray(scores[:, :2]), axes, nothing, nothing[:, :2], 0, message)


def _lay_out(scores: np.ndarray, neighbours: int, min_dist: float, seed: int) -> np.ndarray:
    """UMAP of (structures, axes) in one thread, which the seed needs: (structures, 2)."""
    # Exact neighbours by matrix products: umap's approximate search would compile for half a minute first.
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(scores)
    distances, nearest = search.kneighbors(scores)
    with warnings.catch_warnings():
        # That TensorFlow is missing, which only its parametric variant needs, and that it cannot `transform`.
        warnings.simplefilter("ignore", ImportWarning)
        warnings.filterwarnings("ignore", "precomputed_knn", UserWarning)
        from umap import UMAP

        layout = UMAP(
            n_neighbors=neighbours,
            min_dist=min_dist,
            init="pca",
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(nearest, distances.astype(np.float32)),
        )
        return layout.fit_transform(scores)


def _place(scores: np.ndarray, anchors: np.ndarray, anchor_xy: np.ndarray, neighbours: int) -> np.ndarray:
    """Mean of the nearest anchors' places, weighted by inverse squared distance: (structures, 2) float32."""
    search = NearestNeighbors(n_neighbors=min(neighbours, len(anchors)), algorithm="brute").fit(anchors)
    xy = np.empty((len(scores), 2), dtype=np.float32)
    for rows in _chunks(len(scores)):
        _, nearest = search.kneighbors(scores[rows])
        # Distances anew: the search's matrix products leave rounding where two points coincide.
        squared = ((scores[rows, None] - anchors[nearest]).astype(np.float64) ** 2).sum(axis=2)
        weights = 1 / np.maximum(squared, 1e-12 * squared.max(axis=1, keepdims=True) + 1e-300)
        xy[rows] = np.einsum("sn,snk->sk", weights / weights.sum(axis=1, keepdims=True), anchor_xy[nearest])
    return xy


def _chunks(n: int) -> Iterator[slice]:
    for first in range(0, n, CHUNK):
        yield slice(first, min(first + CHUNK, n))


def _sample(n: int, seed: int, largest: int) -> np.ndarray:
    """At most `largest` of n places, ascending."""
    if n <= largest:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, largest, replace=False))


def _require_finite(features: np.ndarray, first: int) -> None:
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise InvalidInput(
            f"features of structure {first + bad[0]} are not finite ({len(bad)} such here)",
            hint="Look at that structure for atoms on top of each other or a collapsed cell.",
        )
