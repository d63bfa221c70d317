"""A cluster expansion run by compiled code, on some atoms or on many threads."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from isoline_lab.descriptors import kernels
from isoline_lab.descriptors.neighbourhoods import Neighbourhoods
from isoline_lab.descriptors.sphere import gaunt_integrals, harmonic_norms

if TYPE_CHECKING:
    from isoline_lab.descriptors.expansion import ClusterExpansion

C_NAMES = {torch.float32: "float", torch.float64: "double"}


class CompiledExpansion:
    """The functions of expansion.c for one expansion and precision; see there for what they do.

    Each splits its atoms among the threads of a pool.
    """

    def __init__(self, expansion: ClusterExpansion, dtype: torch.dtype):
        self.shape = {
            "REAL": C_NAMES[dtype],
            "CHANNELS": expansion.channels,
            "PRODUCTS": len(expansion.pairs),
            "N_RADIAL": expansion.n_primitives,
            "L_MAX": expansion.l_max,
            "L_PRODUCT": expansion.l_product,
        }
        real = np.float32 if dtype == torch.float32 else np.float64
        at, integrals = gaunt_integrals(expansion.l_product)
        left, right = expansion.pairs.T
        self.arrays = [
            np.ascontiguousarray(expansion.radii, dtype=real),
            np.ascontiguousarray(expansion.mixing, dtype=real),
            harmonic_norms(expansion.l_max).astype(real),
            np.ascontiguousarray(left, dtype=np.int64),
            np.ascontiguousarray(right, dtype=np.int64),
            at,
            integrals.astype(real),
        ]
        names = ("radii", "mixing", "norms", "left", "right", "gaunt_at", "gaunt")
        scalar = ctypes.c_float if dtype == torch.float32 else ctypes.c_double
        layout = [(name, ctypes.c_void_p) for name in names]
        layout += [("n_gaunt", ctypes.c_int64), ("n_elements", ctypes.c_int64), ("cutoff", scalar)]
        struct = type("Shape", (ctypes.Structure,), {"_fields_": layout})
        pointers = [array.ctypes.data for array in self.arrays]
        self.constants = struct(*pointers, len(integrals), len(expansion.elements), expansion.cutoff)

    def library(self, lanes: int) -> ctypes.CDLL | None:
        """The code for so many lanes, None where it cannot be built."""
        return kernels.load(LANES=lanes, **self.shape)

    def features(self, pool: ThreadPoolExecutor, around: Neighbourhoods, begin: int, end: int, values: Tensor) -> None:
        """Fills values (end − begin, features)."""
        run = self.library(8).features
        jobs = [
            (first, last, around.vectors, around.kinds, around.starts, around.elements, values.shape[1], part)
            for first, last, (part,) in _shares(begin, end, values)
        ]
        self._run(pool, run, jobs)

    def forces(
        self,
        pool: ThreadPoolExecutor,
        around: Neighbourhoods,
        begin: int,
        end: int,
        slopes: Tensor,
        gradients: list[Tensor],
        virial: Tensor,
    ) -> None:
        """Adds ∂/∂position to gradients, one for each thread; sets virial (end − begin, 3, 3, lanes).

        slopes  (members, end − begin, features)
        """
        run = self.library(virial.shape[-1]).forces
        members, _, n_features = slopes.shape
        head = (around.vectors, around.kinds, around.neighbours, around.starts, around.elements, n_features, members)
        jobs = []
        shares = _shares(begin, end, virial, count=len(gradients))
        for (first, last, (part,)), gradient in zip(shares, gradients, strict=False):
            own = slopes[:, first - begin : last - begin].contiguous()
            jobs.append((first, last, *head, own, gradient, part))
        self._run(pool, run, jobs)

    def jacobian(
        self,
        pool: ThreadPoolExecutor,
        around: Neighbourhoods,
        begin: int,
        end: int,
        places: Tensor,
        matrix: Tensor,
        rows: Tensor,
        virial: Tensor,
        lanes: int,
    ) -> None:
        """Adds to rows (end − begin, near, 3, columns) and virial (end − begin, 3, 3, columns).

        matrix  (elements, features, columns), columns a multiple of lanes
        """
        run = self.library(lanes).jacobian
        _, n_features, columns = matrix.shape
        head = (around.vectors, around.kinds, places, around.starts, around.elements)
        jobs = [
            (first, last, *head, n_features, columns // lanes, matrix, rows.shape[1], part, part_virial)
            for first, last, (part, part_virial) in _shares(begin, end, rows, virial)
        ]
        self._run(pool, run, jobs)

    def _run(self, pool: ThreadPoolExecutor, function, jobs: list[tuple]) -> None:
        constants = ctypes.byref(self.constants)
        calls = [[_c(argument) for argument in job] for job in jobs]
        if len(calls) == 1:
            function(constants, *calls[0])
        else:
            list(pool.map(lambda call: function(constants, *call), calls))


def _shares(begin: int, end: int, *arrays: Tensor, count: int | None = None):
    """Consecutive parts of the atoms, one for each thread, with the rows of the arrays that belong to them."""
    count = count or torch.get_num_threads()
    edges = np.linspace(begin, end, min(count, max(end - begin, 1)) + 1).astype(int).tolist()
    return [(a, b, [array[a - begin : b - begin] for array in arrays]) for a, b in pairwise(edges)]


def _c(argument: Tensor | int):
    return ctypes.c_void_p(argument.data_ptr()) if isinstance(argument, Tensor) else ctypes.c_int64(argument)
