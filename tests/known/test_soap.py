"""Our SOAP against two independent implementations."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.data import chemical_symbols

from isoline.domain.recipe import SoapDescriptor
from isoline.domain.structure import Structure
from isoline_lab.descriptors.density import SoapPowerSpectrum
from isoline_lab.graph import build_graph

featomic = pytest.importorskip("featomic", reason="featomic is in the test extra")
dscribe_descriptors = pytest.importorskip("dscribe.descriptors", reason="dscribe is in the test extra")

DESCRIPTOR = SoapDescriptor(cutoff=4.5, n_max=5, l_max=4, width=0.4)


def rattled(atoms: Atoms, amplitude: float = 0.15) -> Atoms:
    atoms.rattle(amplitude, seed=3)
    return atoms


SYSTEMS = {
    "salt": rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True)),
    "molecule": rattled(molecule("CH3CH2OH")),
    "cell thinner than the cutoff": rattled(bulk("SiC", "zincblende", a=4.35)),
    "one atom in a thin cell": bulk("Cu"),
    "two atoms": Atoms("CO", positions=[[0, 0, 0], [0.3, 0.4, 1.0]]),
    "one atom": Atoms("Ar", positions=[[1, 2, 3]]),
}


def as_structure(atoms: Atoms) -> Structure:
    return Structure(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc)


def squares(features: torch.Tensor, channels: int, n_max: int) -> torch.Tensor:
    """Our features as full products (atoms, l, channel, n, channel, n), mirror images included."""
    q = channels * n_max
    rows, columns = np.triu_indices(q)
    halves = features.unflatten(1, (-1, len(rows))) / torch.from_numpy(np.where(rows == columns, 1.0, 2**0.5))
    full = features.new_zeros(*halves.shape[:2], q, q)
    full[:, :, rows, columns] = halves
    full[:, :, columns, rows] = halves
    return full.unflatten(2, (channels, n_max)).unflatten(4, (channels, n_max))


def featomic_soap() -> object:
    return featomic.SoapPowerSpectrum(
        cutoff={"radius": DESCRIPTOR.cutoff, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        density={"type": "Gaussian", "width": DESCRIPTOR.width},
        basis={
            "type": "TensorProduct",
            "max_angular": DESCRIPTOR.l_max,
            "radial": {"type": "Gto", "max_radial": DESCRIPTOR.n_max - 1},
            "spline_accuracy": 1e-9,
        },
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_soap_is_that_of_featomic(name):
    atoms = SYSTEMS[name]
    elements = sorted(set(atoms.numbers.tolist()))
    soap = SoapPowerSpectrum(DESCRIPTOR, elements, normalise=False).double()
    graph = build_graph([as_structure(atoms)], DESCRIPTOR.cutoff)
    positions = graph.positions.requires_grad_()
    ours = squares(soap(graph), len(elements), DESCRIPTOR.n_max)

    weights = torch.randn(ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theirs = featomic_soap().compute(atoms, gradients=["positions"])
    scalar, gradient, compared = 0.0, torch.zeros_like(positions), 0
    for key, block in theirs.items():
        centre, first, second = (int(key[k]) for k in ("center_type", "neighbor_1_type", "neighbor_2_type"))
        rows = np.asarray(block.samples["atom"])
        l, n, m = (np.asarray(block.properties[k]) for k in ("l", "n_1", "n_2"))  # noqa: E741
        # featomic's Clebsch–Gordan convention carries (−1)ˡ, and √2 where it drops the mirrored pair of elements.
        factor = torch.from_numpy((-1.0) ** l * (1.0 if first == second else 2**-0.5))
        a, b = elements.index(first), elements.index(second)
        values = torch.from_numpy(np.array(block.values)) * factor
        assert set(atoms.numbers[rows]) == {centre}
        # Their radial integrals are splines good to 1e-9 each, products of order 1.
        torch.testing.assert_close(ours[rows][:, l, a, n, b, m].detach(), values, atol=1e-7, rtol=0)
        compared += values.numel()

        chosen = weights[rows][:, l, a, n, b, m]
        scalar = scalar + (ours[rows][:, l, a, n, b, m] * chosen).sum()
        slopes = block.gradient("positions")
        moved = torch.from_numpy(np.asarray(slopes.samples["atom"]).astype(np.int64))
        of = torch.from_numpy(np.asarray(slopes.samples["sample"]).astype(np.int64))
        jacobian = torch.from_numpy(np.array(slopes.values)) * factor
        gradient.index_add_(0, moved, torch.einsum("gxf,gf->gx", jacobian, chosen[of]))

    assert compared == len(atoms) * (len(elements) * (len(elements) + 1) // 2) * DESCRIPTOR.n_max**2 * 5
    # Their splines err by more in the slope than in the value; each number sums thousands of features.
    torch.testing.assert_close(torch.autograd.grad(scalar, positions)[0], gradient, atol=3e-6, rtol=0)


@pytest.mark.parametrize("name", ["molecule", "two atoms", "one atom"])
def test_soap_in_the_basis_of_dscribe_is_that_of_dscribe(name):
    atoms = SYSTEMS[name]
    elements = sorted(set(atoms.numbers.tolist()))
    theirs = dscribe_descriptors.SOAP(
        r_cut=6.0, n_max=5, l_max=4, sigma=0.4, rbf="gto", species=elements, periodic=False
    )
    exponents, mixing = theirs.get_basis_gto(6.0, 5, 4)

    def functions(distances: np.ndarray, angular: int) -> np.ndarray:
        return mixing[angular] @ (distances**angular * np.exp(-exponents[angular][:, None] * distances**2))

    recipe = SoapDescriptor(cutoff=6.0, n_max=5, l_max=4, width=0.4)
    soap = SoapPowerSpectrum(recipe, elements, normalise=False, functions=functions, smoothing=0).double()
    ours = squares(soap(build_graph([as_structure(atoms)], 6.0)), len(elements), 5).numpy()
    # Their Gaussians have height 1 instead of norm 1, and their sum over m the factor π √8 of their eq. for p.
    ours = ours * np.pi * 8**0.5 * (np.pi * 0.4**2) ** 1.5

    features = theirs.create(atoms)
    for a, b in combinations_with_replacement(range(len(elements)), 2):
        place = theirs.get_location((chemical_symbols[elements[a]], chemical_symbols[elements[b]]))
        n, m = np.triu_indices(5) if a == b else np.indices((5, 5)).reshape(2, -1)
        # Both are quadratures to about 1e-10 of values of order 1.
        np.testing.assert_allclose(ours[:, :, a, n, b, m].reshape(len(atoms), -1), features[:, place], atol=1e-8)
