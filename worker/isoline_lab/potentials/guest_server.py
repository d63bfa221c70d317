"""What runs in a guest's own interpreter: frames of structures in, frames of energies and forces out.

Started as `python -I guest_server.py`; needs numpy and ase there, nothing of Isoline. A frame is MAGIC, eight bytes of
length (little-endian) and an .npz archive without pickles whose array `about` is JSON in UTF-8. The first frame says
which calculator to make; every later one is a structure. An answer whose `about` has "error" tells why there is none.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import struct
import sys
import warnings

import numpy as np
from ase import Atoms

MAGIC = b"ISOGUEST"
HEADER = struct.Struct("<8sQ")
LONGEST = 1 << 31  # bytes of a frame: a length beyond is noise on the pipe


def packed(about: dict, **arrays: np.ndarray) -> bytes:
    """A frame."""
    archive = io.BytesIO()
    np.savez(archive, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8), **arrays)
    payload = archive.getvalue()
    return HEADER.pack(MAGIC, len(payload)) + payload


def length_of(header: bytes) -> int:
    """Bytes that follow a header. Raises ValueError where it is none."""
    magic, length = HEADER.unpack(header)
    if magic != MAGIC or length > LONGEST:
        raise ValueError("this is no frame")
    return length


def unpacked(payload: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """What a frame says, and its arrays."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("about").tobytes()), arrays


def make(calculator: str, arguments: dict):
    """The ASE calculator that `module:name` makes of these keyword arguments."""
    module, _, name = calculator.partition(":")
    return getattr(importlib.import_module(module), name)(**arguments)


def answer(calculator, arrays: dict[str, np.ndarray], vacuum: float | None) -> dict[str, np.ndarray]:
    """Energy () eV and forces (atoms, 3) eV/Å; energies of atoms where there are any; stress (6,) eV/Å³ of a crystal.

    vacuum  Å, put around the atoms along open directions for a calculator that knows periodic cells only
    """
    atoms = Atoms(arrays["numbers"], arrays["positions"], cell=arrays["cell"], pbc=arrays["pbc"])
    crystal = bool(atoms.pbc.all())
    if vacuum is not None and not crystal:
        _enclose(atoms, vacuum)
    atoms.calc = calculator
    found = {"energy": np.array(atoms.get_potential_energy()), "forces": np.array(atoms.get_forces())}
    own = calculator.results.get("energies")
    if own is not None and np.shape(own) == (len(atoms),) and np.isclose(np.sum(own), found["energy"], atol=1e-6):
        found["energies"] = np.array(own)
    if crystal and "stress" in calculator.implemented_properties:
        found["stress"] = np.array(atoms.get_stress())
    return {name: value.astype(np.float64) for name, value in found.items()}


def _enclose(atoms: Atoms, vacuum: float) -> None:
    """Make open directions periodic, with so much nothing between the images that they do not meet."""
    periodic = atoms.pbc.copy()
    if not periodic.any():
        atoms.set_cell(np.diag(np.ptp(atoms.positions, axis=0) + vacuum))
    else:
        cell = atoms.cell.array.copy()
        cell[~periodic] = 0.0
        atoms.set_cell(cell)
        for axis in np.flatnonzero(~periodic):
            normal = atoms.cell.complete()[axis]
            normal /= np.linalg.norm(normal)
            extent = np.ptp(atoms.positions @ normal)
            cell = atoms.cell.array.copy()
            cell[axis] = (extent + vacuum) * normal
            atoms.set_cell(cell)
    atoms.pbc = True


def _receive(stream) -> tuple[dict, dict[str, np.ndarray]] | None:
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    return unpacked(stream.read(length_of(header)))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main() -> int:
    """Serve until the pipe closes."""
    # Calculators print; what they print must not stand between two frames.
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    hello = _receive(requests)
    if hello is None:
        return 0
    about, _ = hello
    warnings.simplefilter("ignore")
    try:
        calculator = make(about["calculator"], about["arguments"])
    except Exception as error:
        replies.write(packed({"error": _reason(error)}))
        return 1
    replies.write(packed({"python": sys.version.split()[0]}))
    while (request := _receive(requests)) is not None:
        try:
            reply = packed({}, **answer(calculator, request[1], about["vacuum"]))
        except Exception as error:
            reply = packed({"error": _reason(error)})
        replies.write(reply)
    return 0


if __name__ == "__main__":
    sys.exit(main())
