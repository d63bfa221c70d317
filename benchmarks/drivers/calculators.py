"""Every potential of the comparison as a function: atoms → energy eV, forces (atoms, 3) eV/Å; stress computed as well.

Each is imported only by the interpreter that has its library. A maker takes the model's path, if it has one, and
returns the function and the versions that matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_changes

Evaluate = Callable[[Atoms], tuple[float, np.ndarray]]


def through_ase(calculator) -> Evaluate:
    def evaluate(atoms: Atoms) -> tuple[float, np.ndarray]:
        # All at once: some calculators start anew for every property that is asked for after the first.
        calculator.calculate(atoms, ["energy", "forces", "stress"], all_changes)
        return float(calculator.results["energy"]), calculator.results["forces"]

    return evaluate


def isoline(model: str, dtype: str = "float32") -> tuple[Evaluate, dict]:
    """A model of ours: the committee's mean, all members evaluated; a folder with model.json and model.safetensors."""
    import torch

    from isoline.domain.structure import Structure
    from isoline_lab.potentials.files import load_potential

    pin_torch(torch)
    files = {name: (Path(model) / name).read_bytes() for name in ("model.json", "model.safetensors")}
    committee = load_potential(files).to(getattr(torch, dtype))

    def evaluate(atoms: Atoms) -> tuple[float, np.ndarray]:
        structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        (prediction,) = committee.predict([structure])
        return prediction.mean_energy, prediction.mean_forces

    return evaluate, {"torch": torch.__version__, "members": committee.members, "dtype": dtype}


def gap(model: str) -> tuple[Evaluate, dict]:
    """A Gaussian approximation potential in QUIP's XML."""
    from quippy.potential import Potential

    return through_ase(Potential(param_filename=model)), {"quippy-ase": version("quippy-ase")}


def mace(model: str) -> tuple[Evaluate, dict]:
    """A MACE trained by mace_run_train; unpickled, so only ever one that this machine trained."""
    import torch
    from mace.calculators import MACECalculator

    pin_torch(torch)
    calculator = MACECalculator(model_paths=model, device="cpu", default_dtype="float32")
    return through_ase(calculator), {"mace-torch": version("mace-torch"), "torch": torch.__version__}


def chgnet() -> tuple[Evaluate, dict]:
    """The pretrained universal model whose weights are in its wheel."""
    import torch
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    pin_torch(torch)
    calculator = CHGNetCalculator(model=CHGNet.load(use_device="cpu", verbose=False), use_device="cpu")
    return through_ase(calculator), {"chgnet": version("chgnet"), "torch": torch.__version__}


def nep(model: str) -> tuple[Evaluate, dict]:
    """A neuroevolution potential, nep.txt, evaluated on the processor."""
    from calorine.calculators import CPUNEP

    return through_ase(CPUNEP(model)), {"calorine": version("calorine")}


def featomic_soap(n_max: str = "8", l_max: str = "6") -> tuple[Evaluate, dict]:
    """SOAP of featomic-torch with a linear energy: values, and forces through autograd. float64, its only type."""
    import featomic.torch
    import torch
    from metatomic.torch import System

    pin_torch(torch)
    soap = featomic.torch.SoapPowerSpectrum(
        cutoff={"radius": 6.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        density={"type": "Gaussian", "width": 0.5},
        basis={
            "type": "TensorProduct",
            "max_angular": int(l_max),
            "radial": {"type": "Gto", "max_radial": int(n_max) - 1},
        },
    )

    def evaluate(atoms: Atoms) -> tuple[float, np.ndarray]:
        positions = torch.tensor(atoms.positions, requires_grad=True)
        system = System(
            types=torch.tensor(atoms.numbers, dtype=torch.int32),
            positions=positions,
            cell=torch.tensor(atoms.cell.array),
            pbc=torch.tensor(atoms.pbc),
        )
        energy = soap(system).block(0).values.sum()
        (slope,) = torch.autograd.grad(energy, positions)
        return energy.item(), -slope.numpy()

    return evaluate, {"featomic-torch": version("featomic-torch"), "torch": torch.__version__}


def isoline_soap(dtype: str = "float64", n_max: str = "8", l_max: str = "6") -> tuple[Evaluate, dict]:
    """Our SOAP with the same settings and the same linear energy."""
    import torch

    from isoline.domain.recipe import SoapDescriptor
    from isoline.domain.structure import Structure
    from isoline_lab.descriptors.density import SoapPowerSpectrum
    from isoline_lab.graph import build_graph

    pin_torch(torch)
    recipe = SoapDescriptor(cutoff=6.0, n_max=int(n_max), l_max=int(l_max), width=0.5)
    precision = getattr(torch, dtype)
    soap = SoapPowerSpectrum(recipe, [14], normalise=False).to(precision)

    def evaluate(atoms: Atoms) -> tuple[float, np.ndarray]:
        structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        graph = build_graph([structure], recipe.cutoff, precision)
        graph.positions.requires_grad_()
        energy = soap(graph).sum()
        (slope,) = torch.autograd.grad(energy, graph.positions)
        return energy.item(), -slope.numpy()

    return evaluate, {"torch": torch.__version__, "dtype": dtype}


def pin_torch(torch) -> None:
    """As many threads as OpenMP is told to take; one if nobody told it."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


KINDS: dict[str, Callable[..., tuple[Evaluate, dict]]] = {
    maker.__name__: maker for maker in (isoline, gap, mace, chgnet, nep, featomic_soap, isoline_soap)
}
