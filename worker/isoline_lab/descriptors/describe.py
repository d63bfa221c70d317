"""Features of structures, whatever the descriptor, in batches a caller can count and stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from isoline.domain.recipe import AcsfDescriptor, SoapDescriptor
from isoline.domain.structure import Structure
from isoline.errors import InvalidInput
from isoline_lab.descriptors.acsf import new_symmetry_functions
from isoline_lab.descriptors.density import SoapPowerSpectrum
from isoline_lab.graph import Graph, build_graph

LARGEST = 2048
"""Features per atom above which descriptors are reduced."""


@dataclass(frozen=True, eq=False)
class DescribedBatch:
    """Features of consecutive structures.

    first   place of the first structure among all
    counts  (structures,)           int64    atoms of each
    atoms   (atoms, features)       float32  one structure after another
    pooled  (structures, features)  float32  mean over the atoms of each; zeros without atoms
    """

    first: int
    counts: np.ndarray
    atoms: np.ndarray
    pooled: np.ndarray


@dataclass(frozen=True, eq=False)
class Describer:
    """A descriptor made ready for given elements.

    cutoff      Å
    n_features  per atom
    reduction   what was left out to stay below 2048 features, for people; "" if nothing
    features    graph → (atoms, features), differentiable in positions and cells; in the graph's precision
    """

    cutoff: float
    n_features: int
    reduction: str
    features: Callable[[Graph], Tensor]


def new_describer(
    descriptor: SoapDescriptor | AcsfDescriptor,
    elements: Sequence[int],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Describer:
    """The descriptor of a recipe for structures of the given elements.

    elements  atomic numbers; those of the whole dataset, since features depend on them

    Features grow with the square of the number of elements. Above 2048, SOAP combines elements and radial
    functions into fewer channels (see `SoapPowerSpectrum`), and ACSF keeps only angular functions whose two legs have
    the same radial factor.
    """
    elements = tuple(sorted({int(z) for z in elements}))
    if not elements:
        raise InvalidInput("a descriptor needs the elements that may occur, got none", hint="Import structures first.")
    if isinstance(descriptor, AcsfDescriptor):
        functions = new_symmetry_functions(descriptor, elements)
        reduction = ""
        if functions.n_features > LARGEST:
            functions = replace(functions, mixed=False)
            reduction = "angular functions only with equal radial factors of both legs"
        return Describer(descriptor.cutoff, functions.n_features, reduction, functions)
    wanted = len(elements) * descriptor.n_max
    channels = wanted
    while channels * (channels + 1) // 2 * (descriptor.l_max + 1) > LARGEST:
        channels -= 1
    reduction = "" if channels == wanted else f"{wanted} functions of {len(elements)} elements mixed into {channels}"
    soap = SoapPowerSpectrum(descriptor, elements, channels=channels).to(device=device, dtype=dtype)
    return Describer(descriptor.cutoff, soap.n_features, reduction, soap)


def describe(
    descriptor: SoapDescriptor | AcsfDescriptor,
    structures: Iterable[Structure],
    elements: Sequence[int],
    *,
    batch_pairs: int = 30_000,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Iterator[DescribedBatch]:
    """Features of every atom and every structure, batch after batch, in order.

    structures   read once, as they are needed
    elements     atomic numbers of the whole dataset
    batch_pairs  pairs of neighbours computed together, estimated from the density; bounds memory and the time between
                 two batches (the default: about a tenth of a second), but a single structure is never split
    dtype        of the computation; results are float32

    Raises InvalidInput for elements that were not announced, and what `build_graph` raises.
    """
    describer = new_describer(descriptor, elements, dtype, device)
    first = 0
    for batch in _batches(structures, descriptor.cutoff, batch_pairs):
        graph = build_graph(batch, descriptor.cutoff, dtype=dtype).to(device)
        with torch.no_grad():
            atoms = describer.features(graph)
            counts = graph.atoms_per_structure()
            sums = atoms.new_zeros(len(batch), atoms.shape[1]).index_add(0, graph.structure, atoms)
            pooled = sums / counts.clamp(min=1)[:, None]
        yield DescribedBatch(first, counts.cpu().numpy(), atoms.float().cpu().numpy(), pooled.float().cpu().numpy())
        first += len(batch)


def _batches(structures: Iterable[Structure], cutoff: float, batch_pairs: int) -> Iterator[list[Structure]]:
    batch, pairs = [], 0.0
    for structure in structures:
        size = _expected_pairs(structure, cutoff)
        if batch and pairs + size > batch_pairs:
            yield batch
            batch, pairs = [], 0.0
        batch.append(structure)
        pairs += size
    if batch:
        yield batch


def _expected_pairs(structure: Structure, cutoff: float) -> float:
    """Pairs within the cutoff if atoms were spread evenly; all pairs without a cell; at least 20 per atom."""
    n = len(structure)
    if structure.pbc.all() and structure.volume > 0:
        neighbours = n / structure.volume * 4 / 3 * np.pi * cutoff**3
    else:
        neighbours = n
    return n * max(neighbours, 20.0)
