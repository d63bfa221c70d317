"""A rough pair potential, fitted to a dataset, for a learned part to start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import block_diag, cholesky, solve_triangular
from scipy.optimize import lsq_linear
from torch import Tensor

from isoline.domain.structure import Frame
from isoline_lab.descriptors.acsf import element_index
from isoline_lab.graph import Graph, build_graph

# Å between knots: as fine as a pair potential has features, as coarse as some hundred structures can determine.
SPACING = 0.25

# Relative to the mean curvature of the fit: how strongly a change of slope is resisted, and a value as such.
STIFFNESS = 1e-5
RIDGE = 1e-9

# Structures a rough potential is fitted to; more do not change it.
ENOUGH = 400


# The four cubic B-splines over one interval, by powers of the place t within it.
CUBIC = np.array([[1.0, -3.0, 3.0, -1.0], [4.0, 0.0, -6.0, 3.0], [1.0, 3.0, 3.0, -3.0], [0.0, 0.0, 0.0, 1.0]]) / 6.0


@dataclass(frozen=True, eq=False)
class PairBaseline:
    """Uniform cubic B-splines of the distance, one curve for each pair of elements.

    coefficients  (elements, elements, splines)  eV, symmetric; spline k is centred at (k − 1) · spacing
    spacing       Å

    Ends at `reach` with value, slope and curvature. Below the distances it was fitted to, it repels, more when closer.
    """

    coefficients: np.ndarray
    spacing: float

    @property
    def reach(self) -> float:
        """Å, where every curve has ended."""
        return self.coefficients.shape[2] * self.spacing

    def of_pairs(self, first: Tensor, second: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Energy (pairs,) eV of each pair and its slope with distance, eV/Å.

        first, second  (pairs,)  places of the elements
        distance       (pairs,)  Å, float64
        """
        rows = torch.from_numpy(self._cubics()).to(distance.device)  # (elements · elements · intervals, 4)
        n_elements, _, n_splines = self.coefficients.shape
        scaled = distance / self.spacing
        interval = scaled.floor().clamp(max=n_splines)  # beyond the last one all is zero
        t = scaled - interval
        chosen = (first * n_elements + second) * (n_splines + 1) + interval.to(torch.int64)
        c0, c1, c2, c3 = rows.index_select(0, chosen).unbind(1)
        energy = ((c3 * t + c2) * t + c1) * t + c0
        return energy, ((3.0 * c3 * t + 2.0 * c2) * t + c1) / self.spacing

    def _cubics(self) -> np.ndarray:
        """Coefficients of powers of the place within an interval, for every pair of elements and every interval."""
        padded = np.pad(self.coefficients, ((0, 0), (0, 0), (0, 4)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=2)  # (elements, elements, intervals, 4)
        return (windows @ CUBIC).reshape(-1, 4)

    def as_dict(self) -> dict:
        """JSON."""
        return {"spacing": self.spacing, "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_dict(cls, about: dict) -> PairBaseline:
        """The inverse of `as_dict`."""
        return cls(np.array(about["coefficients"], dtype=np.float64), float(about["spacing"]))


def spline_weights(distance: Tensor, spacing: float) -> tuple[Tensor, Tensor, Tensor]:
    """The four cubic B-splines that are not zero at a distance.

    returns  interval (pairs,) int64: splines `interval` … `interval` + 3; values (pairs, 4); slopes (pairs, 4) 1/Å
    """
    scaled = distance / spacing
    interval = scaled.floor().to(torch.int64)
    t = scaled - interval
    cubic = torch.from_numpy(CUBIC).to(distance.device).T
    values = torch.stack([torch.ones_like(t), t, t**2, t**3], 1) @ cubic
    slopes = torch.stack([torch.zeros_like(t), torch.ones_like(t), 2 * t, 3 * t**2], 1) @ cubic / spacing
    return interval, values, slopes


def fit_pairs(
    frames: Sequence[Frame], elements: Sequence[int], reference: np.ndarray, shortest: np.ndarray, cutoff: float
) -> tuple[PairBaseline, np.ndarray]:
    """The pair potential, and the energies (elements,) of the atoms it leaves behind, eV.

    reference (elements,)           eV, energies of atoms where there is no pair potential
    shortest  (elements, elements)  Å, shortest distance of each pair in the frames; infinite where there is none

    Regularised least squares on energies per atom and forces, each over its own variance. Coefficients below the
    shortest distance are bound to a curve that falls and bends upwards, so that the unknown is repulsive.
    """
    elements = tuple(elements)
    n_splines = int(cutoff / SPACING)
    firsts, seconds = np.triu_indices(len(elements))
    curves = np.zeros((len(elements), len(elements)), dtype=np.int64)
    curves[firsts, seconds] = curves[seconds, firsts] = np.arange(len(firsts))
    normal, right = _normal_equations(_some(frames), elements, reference, torch.from_numpy(curves), n_splines)
    n_energies = len(elements)
    shapes = [_shape(shortest[pair], n_splines) for pair in zip(firsts, seconds, strict=True)]
    to_coefficients = block_diag(np.eye(n_energies), *(matrix for matrix, _ in shapes))
    lowest = np.concatenate([np.full(n_energies, -np.inf), *(bounds for _, bounds in shapes)])
    level = np.trace(normal[n_energies:, n_energies:]) / (len(firsts) * n_splines)
    bend = np.diff(np.eye(n_splines), 2, axis=0)
    resisted = level * (STIFFNESS * bend.T @ bend + RIDGE * np.eye(n_splines))
    normal = normal + block_diag(1e-12 * np.trace(normal) * np.eye(n_energies), *[resisted] * len(firsts))
    lower = cholesky(normal, lower=True)
    # ‖Lᵀx − L⁻¹b‖² is the same sum of squares as that of all rows, in as many rows as unknowns.
    target = solve_triangular(lower, right, lower=True)
    found = to_coefficients @ lsq_linear(lower.T @ to_coefficients, target, (lowest, np.inf)).x
    coefficients = found[n_energies:].reshape(len(firsts), n_splines)[curves]
    coefficients[~np.isfinite(shortest)] = 0.0
    return PairBaseline(coefficients, SPACING), reference + found[:n_energies]


def _some(frames: Sequence[Frame]) -> Sequence[Frame]:
    labelled = [frame for frame in frames if len(frame) and not frame.label.empty]
    return labelled[:: max(1, -(-len(labelled) // ENOUGH))]


def _shape(shortest: float, n_splines: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of a curve that must fall up to `shortest`: matrix to its coefficients, lower bounds."""
    matrix = np.zeros((n_splines + 2, n_splines))
    lowest = np.full(n_splines, -np.inf)
    first = int(shortest / SPACING) if np.isfinite(shortest) else -3
    for k in reversed(range(n_splines)):
        if k <= first:
            matrix[k] = 2 * matrix[k + 1] - matrix[k + 2]
        elif k <= first + 2:
            matrix[k] = matrix[k + 1]
        if k <= first + 2:
            lowest[k] = 0.0
        matrix[k, k] = 1.0
    return matrix[:n_splines], lowest


def _normal_equations(
    frames: Sequence[Frame], elements: tuple[int, ...], reference: np.ndarray, curves: Tensor, n_splines: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of products of the unknowns' columns, and with the labels: energies of elements, then splines by pair."""
    energies = np.array([f.label.energy / len(f) for f in frames if f.label.energy is not None])
    forces = [f.label.forces for f in frames if f.label.forces is not None]
    energy_weight = 1.0 / (max(energies.var(), 1e-12) * len(energies)) if len(energies) else 0.0
    squares = sum(float((f**2).sum()) for f in forces)
    force_weight = 1.0 / max(squares, 1e-12) if forces else 0.0
    size = len(elements) + (int(curves.max()) + 1) * n_splines
    normal, right = np.zeros((size, size)), np.zeros(size)
    for frame in frames:
        counts, sums, slopes = _columns(
            build_graph([frame.structure], n_splines * SPACING), elements, curves, n_splines
        )
        if frame.label.energy is not None:
            row = np.concatenate([counts, sums]) / len(frame)
            normal += energy_weight * np.outer(row, row)
            right += energy_weight * (frame.label.energy - counts @ reference) / len(frame) * row
        if frame.label.forces is not None:
            normal[len(elements) :, len(elements) :] += force_weight * slopes.T @ slopes
            right[len(elements) :] += force_weight * slopes.T @ frame.label.forces.ravel()
    return normal, right


def _columns(
    graph: Graph, elements: tuple[int, ...], curves: Tensor, n_splines: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one structure: atoms of each element; sums of all splines; forces (3 · atoms, splines) of all splines."""
    place = element_index(elements, graph.numbers)
    n_columns = (int(curves.max()) + 1) * n_splines
    displacement = graph.displacements()
    distance = displacement.norm(dim=1)
    interval, values, slopes = spline_weights(distance, SPACING)
    spline = interval[:, None] + torch.arange(4)  # (edges, 4)
    there = spline < n_splines
    column = curves[place[graph.centre], place[graph.neighbour]][:, None] * n_splines + spline
    sums = torch.zeros(n_columns, dtype=torch.float64).index_add_(0, column[there], 0.5 * values[there])
    pull = (slopes / distance[:, None])[..., None] * displacement[:, None]  # (edges, 4, 3)
    row = (3 * graph.centre)[:, None, None] + torch.arange(3)  # (edges, 1, 3)
    flat = row * n_columns + column[..., None]  # (edges, 4, 3)
    forces = torch.zeros(3 * graph.n_atoms * n_columns, dtype=torch.float64)
    forces.index_add_(0, flat[there].flatten(), pull[there].flatten())
    counts = torch.bincount(place, minlength=len(elements)).double()
    return counts.numpy(), sums.numpy(), forces.reshape(-1, n_columns).numpy()
