"""Laws of the coupling of real spherical tensors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from isoline.errors import InvalidInput
from isoline_lab.descriptors.coupling import real_clebsch_gordan
from isoline_lab.descriptors.harmonics import SolidHarmonics

TRIANGLES = [
    (l1, l2, l3)
    for l1, l2, l3 in itertools.product(range(5), repeat=3)
    if abs(l1 - l2) <= l3 <= l1 + l2  # the others couple to nothing
]


def harmonics(vectors: np.ndarray, l_max: int = 4) -> list[np.ndarray]:
    """For each l: (2l + 1, vectors)."""
    unit = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return [y.numpy() for y in SolidHarmonics(l_max)(unit, torch.ones(len(vectors), dtype=torch.float64))]


def wigner(rotation: np.ndarray, l_max: int = 4) -> list[np.ndarray]:
    """How harmonics of each l turn with their vectors, from their values at many random places."""
    places = np.random.default_rng(3).normal(size=(60, 3))
    return [
        turned @ np.linalg.pinv(before)
        for before, turned in zip(harmonics(places, l_max), harmonics(places @ rotation.T, l_max), strict=True)
    ]


@pytest.mark.parametrize("sides", TRIANGLES)
def test_coefficients_are_orthonormal(sides):
    table = real_clebsch_gordan(*sides)
    assert table.shape == tuple(2 * side + 1 for side in sides)
    np.testing.assert_allclose(np.einsum("abc,abd->cd", table, table), np.eye(2 * sides[2] + 1), atol=1e-13)


@pytest.mark.parametrize("sides", TRIANGLES)
def test_coupling_two_rotated_tensors_gives_the_rotated_tensor(sides):
    turn = wigner(Rotation.from_euler("xyz", [0.4, 1.1, -2.0]).as_matrix())
    table = real_clebsch_gordan(*sides)
    turned = np.einsum("abc,ad,be->dec", table, turn[sides[0]], turn[sides[1]])
    np.testing.assert_allclose(turned, np.einsum("def,cf->dec", table, turn[sides[2]]), atol=1e-12)


@pytest.mark.parametrize("sides", TRIANGLES)
def test_two_harmonics_of_a_direction_couple_to_the_third(sides):
    l1, l2, l3 = sides
    values = harmonics(np.random.default_rng(1).normal(size=(7, 3)))
    coupled = np.einsum("abc,ai,bi->ci", real_clebsch_gordan(*sides), values[l1], values[l2])
    # The factor from the pole, where harmonics with m ≠ 0 vanish: ⟨l1 0 l2 0|l3 0⟩ is the first coefficient.
    factor = real_clebsch_gordan(*sides)[0, 0, 0] * np.sqrt((2 * l1 + 1) * (2 * l2 + 1) / (4 * np.pi * (2 * l3 + 1)))
    np.testing.assert_allclose(coupled, factor * values[l3], atol=1e-13)


def test_known_coefficients():
    # ⟨1 0 1 0|2 0⟩ = √(2/3), ⟨2 0 2 0|2 0⟩ = −√(2/7), ⟨1 0 1 0|0 0⟩ = −√(1/3) (Varshalovich et al. 1988, 8.5)
    for sides, value in (((1, 1, 2), (2 / 3) ** 0.5), ((2, 2, 2), -((2 / 7) ** 0.5)), ((1, 1, 0), -((1 / 3) ** 0.5))):
        assert real_clebsch_gordan(*sides)[0, 0, 0] == pytest.approx(value, abs=1e-14)


def test_vectors_couple_to_their_cross_product():
    v, w = np.random.default_rng(2).normal(size=(2, 3))
    order = [2, 0, 1]  # z, x, y
    coupled = np.einsum("abc,a,b->c", real_clebsch_gordan(1, 1, 1), v[order], w[order])
    np.testing.assert_allclose(coupled, np.cross(v, w)[order] / 2**0.5, atol=1e-14)


def test_angular_momenta_that_make_no_triangle_are_refused():
    with pytest.raises(InvalidInput, match="do not couple to 3"):
        real_clebsch_gordan(1, 1, 3)
