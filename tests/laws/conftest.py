"""Structures and potentials for the laws that every potential must obey, all in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from isoline.domain.structure import Structure
from isoline_lab.descriptors import kernels
from isoline_lab.descriptors.acsf import SymmetryFunctions, radial_grid
from isoline_lab.descriptors.acsf_map import AcsfMap
from isoline_lab.descriptors.contraction import new_expansion
from isoline_lab.descriptors.expansion import ClusterExpansion
from isoline_lab.descriptors.feature_map import FeatureMap
from isoline_lab.descriptors.projection import Projection
from isoline_lab.graph import build_graph
from isoline_lab.potentials.baseline import Baseline
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.networks import MemberNetworks

ELEMENTS = (1, 6, 8, 11, 14, 17)


def structure_of(atoms: Atoms) -> Structure:
    """An ASE object as a structure."""
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


@contextmanager
def no_compiler(path: str = "") -> Iterator[None]:
    """A machine on which only `path` is searched for a compiler, and none was found or missed before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        for remembered in (kernels.load, kernels._say_once):
            remembered.cache_clear()
        yield
    for remembered in (kernels.load, kernels._say_once):
        remembered.cache_clear()


def symmetry_functions(elements: tuple[int, ...], cutoff: float) -> FeatureMap:
    """The features of a Behler–Parrinello potential."""
    radial, angular = radial_grid(5, 0.5, cutoff), radial_grid(3, 0.5, cutoff)
    return AcsfMap(SymmetryFunctions(elements, cutoff, radial, angular))


def expansion(elements: tuple[int, ...], cutoff: float) -> ClusterExpansion:
    """The features of a body-ordered potential."""
    return new_expansion(elements, cutoff, l_max=3, l_product=2, products=4)


def without_compiler(expansion: ClusterExpansion) -> ClusterExpansion:
    """The expansion as it is where there is no compiler: by automatic differentiation, from now on."""
    with no_compiler(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in (torch.float32, torch.float64):
            assert expansion._compiled(torch.zeros(1, dtype=dtype)) is None
    return expansion


FEATURES: dict[str, Callable[[tuple[int, ...], float], FeatureMap]] = {
    "behler-parrinello": symmetry_functions,
    "body-ordered": expansion,
    "body-ordered without a compiler": lambda *size: without_compiler(expansion(*size)),
}


def random_committee(
    kind: str, elements: tuple[int, ...] = ELEMENTS, cutoff: float = 4.0, members: int = 3
) -> Committee:
    """A committee with random weights: laws hold whether or not a potential has learned anything."""
    features = FEATURES[kind](elements, cutoff)
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = 12
    known = [structure_of(make()) for make in STRUCTURES.values()]
    values = features(build_graph([s for s in known if set(s.numbers) <= set(elements)], cutoff))
    # Features of four neighbours vary thousands of times more than those of one.
    scale = values.std(0).clamp(min=1e-3)
    projection = Projection(
        values.mean(0) + scale * normal(len(elements), features.n_features),
        normal(len(elements), features.n_features, inputs) / scale[:, None] / features.n_features**0.5,
    )
    networks = MemberNetworks(members, len(elements), inputs, (8, 8)).double()
    with torch.no_grad():
        for parameter in networks.parameters():
            # Forces of some eV/Å, for which the tolerances of differences are made.
            parameter.copy_(normal(*parameter.shape) * 0.3)
    return Committee(features, projection, networks, Baseline(elements, np.linspace(-5.0, -1.0, len(elements))))


def _thin() -> Atoms:
    atoms = bulk("Si") * (2, 1, 1)
    atoms.rattle(0.1, seed=2)
    return atoms


def _salt() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.rattle(0.15, seed=1)
    return atoms


def _slab() -> Atoms:
    atoms = fcc111("Si", (2, 2, 2), a=5.0)  # periodic in two directions, no third lattice vector
    atoms.rattle(0.1, seed=3)
    return atoms


def _mixture() -> Atoms:
    atoms = bulk("Si", cubic=True)
    atoms.numbers[:] = [14, 8, 6, 1, 11, 17, 14, 8]
    atoms.rattle(0.1, seed=4)
    return atoms


STRUCTURES = {
    "molecule": lambda: molecule("CH3CH2OH"),
    "salt": _salt,
    "cell thinner than the cutoff": _thin,
    "slab": _slab,
    "six elements": _mixture,
}


@pytest.fixture(params=STRUCTURES)
def atoms(request) -> Atoms:
    """One of several systems with different boundary conditions and elements."""
    return STRUCTURES[request.param]()


@pytest.fixture
def salt() -> Atoms:
    """Eight ions of rock salt, rattled."""
    return _salt()


@pytest.fixture(scope="session", params=FEATURES)
def committee(request) -> Committee:
    """Three random potentials of six elements, of each family that looks only at neighbours."""
    return random_committee(request.param)


@pytest.fixture(scope="session", params=FEATURES)
def silicon_committee(request) -> Committee:
    """Three random potentials of one element, with a cutoff beyond the primitive cell."""
    return random_committee(request.param, (14,), cutoff=6.0)
