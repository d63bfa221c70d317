"""Cost of SOAP, ours beside featomic and dscribe, on rattled silicon in one thread.

    python benchmarks/descriptors.py [--json] [--repeat 5]

Least processor time of several runs, in milliseconds per atom, neighbour lists included, in float64 unless the name
says float32. `forces` means values and, for a linear model on them, −∂E/∂r of every atom: by one reverse pass here; by
position gradients from featomic, without the time to contract them (`contracted` includes it); by dscribe's numerical
derivatives (it has no others for periodic systems), measured on two atoms and multiplied. Ratios above 1: ours is
faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable

# Read by the libraries when they are imported.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import ase.build  # noqa: E402
import featomic  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from ase import Atoms  # noqa: E402
from dscribe.descriptors import SOAP  # noqa: E402

from isoline.domain.recipe import SoapDescriptor  # noqa: E402
from isoline.domain.structure import Structure  # noqa: E402
from isoline_lab.descriptors.density import SoapPowerSpectrum  # noqa: E402
from isoline_lab.graph import build_graph  # noqa: E402

RECIPE = SoapDescriptor(cutoff=6.0, n_max=8, l_max=6, width=0.5)


def best_ms_per_atom(work: Callable[[], object], n_atoms: int, repeat: int) -> float:
    work()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times) / n_atoms


class Ours:
    def __init__(self, atoms: Atoms, weights: np.ndarray, dtype: torch.dtype):
        self.structure = Structure(atoms.numbers, atoms.positions, np.array(atoms.cell), atoms.pbc)
        self.soap = SoapPowerSpectrum(RECIPE, [14], normalise=False).to(dtype)
        rows, columns = np.triu_indices(RECIPE.n_max)
        halves = np.where(rows == columns, 1.0, 2**-0.5) * (weights[:, rows, columns] + weights[:, columns, rows])
        halves = np.where(rows == columns, 0.5, 1.0) * halves
        self.weights = torch.from_numpy(halves.ravel()).to(dtype)

    def values(self) -> torch.Tensor:
        with torch.no_grad():
            return self.soap(build_graph([self.structure], RECIPE.cutoff, self.weights.dtype))

    def forces(self) -> torch.Tensor:
        graph = build_graph([self.structure], RECIPE.cutoff, self.weights.dtype)
        graph.positions.requires_grad_()
        return -torch.autograd.grad((self.soap(graph) @ self.weights).sum(), graph.positions)[0]


class Featomic:
    def __init__(self, atoms: Atoms, weights: np.ndarray):
        self.atoms = atoms
        # Its features carry (−1)ˡ; rows run over l, n, n′.
        self.weights = (weights * (-1.0) ** np.arange(RECIPE.l_max + 1)[:, None, None]).ravel()
        self.soap = featomic.SoapPowerSpectrum(
            cutoff={"radius": RECIPE.cutoff, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
            density={"type": "Gaussian", "width": RECIPE.width},
            basis={
                "type": "TensorProduct",
                "max_angular": RECIPE.l_max,
                "radial": {"type": "Gto", "max_radial": RECIPE.n_max - 1},
            },
        )

    def values(self) -> object:
        return self.soap.compute(self.atoms).block(0)

    def gradients(self) -> object:
        return self.soap.compute(self.atoms, gradients=["positions"]).block(0)

    def forces(self) -> np.ndarray:
        slopes = self.gradients().gradient("positions")
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, np.asarray(slopes.samples["atom"]), -(slopes.values @ self.weights))
        return forces


def measure(n_cells: int, repeat: int) -> dict[str, float]:
    atoms = ase.build.bulk("Si", cubic=True) * (n_cells, n_cells, n_cells)
    atoms.rattle(0.1, seed=1)
    weights = np.random.default_rng(0).standard_normal((RECIPE.l_max + 1, RECIPE.n_max, RECIPE.n_max))
    ours, single = (Ours(atoms, weights, dtype) for dtype in (torch.float64, torch.float32))
    theirs = Featomic(atoms, weights)
    dscribe = SOAP(
        r_cut=RECIPE.cutoff,
        n_max=RECIPE.n_max,
        l_max=RECIPE.l_max,
        sigma=RECIPE.width,
        rbf="gto",
        species=["Si"],
        periodic=True,
    )
    n = len(atoms)

    def numerical() -> object:
        return dscribe.derivatives(atoms, include=[0, 1], method="numerical", return_descriptor=False)

    result = {
        "ours_values": best_ms_per_atom(ours.values, n, repeat),
        "ours_forces": best_ms_per_atom(ours.forces, n, repeat),
        "ours_values_float32": best_ms_per_atom(single.values, n, repeat),
        "ours_forces_float32": best_ms_per_atom(single.forces, n, repeat),
        "featomic_values": best_ms_per_atom(theirs.values, n, repeat),
        "featomic_forces": best_ms_per_atom(theirs.gradients, n, repeat),
        "featomic_forces_contracted": best_ms_per_atom(theirs.forces, n, repeat),
        "dscribe_values": best_ms_per_atom(lambda: dscribe.create(atoms), n, repeat),
        "dscribe_forces": best_ms_per_atom(numerical, n, 1) * n / 2,
    }
    for other in ("featomic", "dscribe"):
        for kind in ("values", "forces"):
            result[f"ratio_{kind}_{other}"] = result[f"{other}_{kind}"] / result[f"ours_{kind}"]
    forces = ours.forces()
    result["force_difference_from_featomic"] = float(np.abs(forces.numpy() - theirs.forces()).max())
    result["force_error_of_float32"] = float((single.forces() - forces).abs().max())
    result["largest_force"] = float(forces.abs().max())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    systems = {f"Si{8 * cells**3}": measure(cells, arguments.repeat) for cells in (2, 4)}
    slowest = {
        key: min(system[key] for system in systems.values()) for key in systems["Si64"] if key.startswith("ratio")
    }
    if arguments.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "threads": 1, **slowest, **systems}))
        return
    for name, system in systems.items():
        for key, value in system.items():
            print(f"{name:6} {key:32} {value:10.4g}")


if __name__ == "__main__":
    main()
