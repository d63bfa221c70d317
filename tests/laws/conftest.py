"""Structures and potentials for the laws that every potential must obey, all in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from isoline.domain.structure import Structure
from isoline_lab.descriptors.acsf import SymmetryFunctions, radial_grid
from isoline_lab.descriptors.projection import Projection
from isoline_lab.potentials.committee import Committee
from isoline_lab.potentials.networks import MemberNetworks

ELEMENTS = (1, 6, 8, 11, 14, 17)


def structure_of(atoms: Atoms) -> Structure:
    """An ASE object as a structure."""
    return Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def random_committee(elements: tuple[int, ...] = ELEMENTS, cutoff: float = 4.0, members: int = 3) -> Committee:
    """A committee with random weights: laws hold whether or not a potential has learned anything."""
    functions = SymmetryFunctions(elements, cutoff, radial_grid(5, 0.5, cutoff), radial_grid(3, 0.5, cutoff))
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    inputs = 12
    projection = Projection(
        normal(len(elements), functions.n_features),
        normal(len(elements), functions.n_features, inputs) / functions.n_features**0.5,
    )
    networks = MemberNetworks(members, len(elements), inputs, (8, 8)).double()
    with torch.no_grad():
        for parameter in networks.parameters():
            parameter.copy_(normal(*parameter.shape) * 0.5)
    return Committee(functions, projection, networks, np.linspace(-5.0, -1.0, len(elements)))


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


@pytest.fixture(scope="session")
def committee() -> Committee:
    """Three random potentials of six elements; angular functions see them through four weights."""
    return random_committee()


@pytest.fixture(scope="session")
def silicon_committee() -> Committee:
    """Three random potentials of one element, with a cutoff beyond the primitive cell."""
    return random_committee((14,), cutoff=6.0)
