"""Files that ASE reads with energies and forces: electronic-structure output, ASE databases and trajectories.

Only the formats named here are opened; none of them can carry pickled objects.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import ase.db
import numpy as np
from ase import Atoms
from ase.io import iread
from ase.io.trajectory import TrajectoryReader

from .fault import Fault
from .raw_frame import RawFrame
from .stream import BROKEN_STREAM, CHUNK, LINE_LIMIT

SIGNATURES: dict[str, tuple[bytes, ...]] = {  # found near the beginning of the file
    "vasp-xml": (b"<modeling>",),
    "espresso-out": (b"Program PWSCF",),
    "aims-output": (b"FHI-aims", b"Max. basis fn. angular momentum", b"| Number of spin channels"),
    "castep-castep": (b"CASTEP version", b"| CASTEP", b"CCC   AA    SSS  TTTTT  EEEEE  PPPP"),
    "orca-output": (b"* O   R   C   A *",),
    "gaussian-out": (b"Entering Gaussian System",),
    "nwchem-out": (b"Northwest Computational Chemistry Package",),
    "gpaw-out": (b" ___ ___ ___ _ _ _",),
    "abinit-out": (b" of ABINIT",),
    "vasp-out": (b"executed on", b" vasp."),
    "castep-md": (b" BEGIN header",),
}
BINARY = ("db", "traj")
ENDINGS: dict[str, bytes] = {  # near the end of a run that was not cut short
    "vasp-xml": b"</modeling>",
    "vasp-out": b"General timing and accounting",
    "espresso-out": b"JOB DONE",
    "aims-output": b"Have a nice day",
}
TITLES = {
    "extxyz": "extended XYZ", "cp2k": "CP2K output", "vasp-out": "VASP OUTCAR", "vasp-xml": "VASP vasprun.xml",
    "espresso-out": "Quantum ESPRESSO output", "aims-output": "FHI-aims output", "castep-castep": "CASTEP output",
    "castep-md": "CASTEP dynamics", "orca-output": "ORCA output", "gaussian-out": "Gaussian output",
    "nwchem-out": "NWChem output", "gpaw-out": "GPAW output", "abinit-out": "ABINIT output",
    "db": "ASE database", "traj": "ASE trajectory",
}  # fmt: skip


def read_ase_file(path: Path, format: str, file: str, line_limit: int = LINE_LIMIT) -> Iterator[RawFrame | Fault]:
    """Every frame of an uncompressed file; results in eV, eV/Å, eV/Å³ (ASE sign), as ASE converts them.

    What ASE raises becomes a fault of the whole file, told with the number of frames read before.
    """
    if format not in BINARY:
        fault = check_text(path, format, file, line_limit)
        if fault is not None:
            yield fault
            if fault.fatal:
                return
    index = 0
    try:
        # Readers warn about their own future and about remarks in the output; neither concerns the labels.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for atoms in _open(path, format):
                yield _raw_frame(index, atoms)
                index += 1
    except Exception as error:  # ASE's readers raise whatever a damaged file makes them meet
        told = f"cannot be read as {TITLES[format]}: {error or type(error).__name__} ({type(error).__name__})"
        yield Fault(file=file, frame=index, field="file", message=told[:500])


def _open(path: Path, format: str) -> Iterator[Atoms]:
    if format == "traj":
        with TrajectoryReader(str(path)) as trajectory:
            yield from trajectory
    elif format == "db":
        with ase.db.connect(str(path), type="db", use_lock_file=False) as database:
            for row in database.select():
                atoms = row.toatoms()
                atoms.info = {**row.data, **row.key_value_pairs}
                yield atoms
    else:
        yield from iread(str(path), ":", format=format)


def _raw_frame(index: int, atoms: Atoms) -> RawFrame:
    results = dict(atoms.calc.results) if atoms.calc is not None else {}
    arrays = {key: value for key, value in atoms.arrays.items() if key not in ("numbers", "positions")}
    return RawFrame(
        index,
        atoms.numbers.astype(np.uint8),
        atoms.positions.astype("<f8"),
        np.array(atoms.cell, dtype="<f8"),
        np.array(atoms.pbc),
        dict(atoms.info),
        arrays,
        {key: value for key, value in results.items() if value is not None},
        house_units=True,
    )


def check_text(path: Path, format: str, file: str, line_limit: int) -> Fault | None:
    """The first thing that keeps ASE from reading a text file safely: endless lines, zero bytes, a missing end."""
    number, length, tail = 1, 0, b""
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                if b"\0" in chunk:
                    return Fault(file=file, field="file", message=f"not a text file: a zero byte near line {number}")
                pieces = chunk.split(b"\n")
                longest = max(length + len(pieces[0]), *(len(piece) for piece in pieces[1:]), 0)
                if longest > line_limit:
                    told = f"a line near line {number} is longer than {line_limit} bytes"
                    return Fault(file=file, field="file", message=told)
                length = len(pieces[-1]) + (length if len(pieces) == 1 else 0)
                number += len(pieces) - 1
                tail = (tail + chunk)[-65536:]
    except BROKEN_STREAM as error:
        return Fault(file=file, field="file", message=str(error))
    ending = ENDINGS.get(format)
    if ending and ending not in tail:
        told = f"the output ends before its program did ('{ending.decode()}' is missing)"
        return Fault(file=file, field="file", message=told, fatal=format == "vasp-xml")
    return None
