"""PBE labels for silicon cells from Quantum ESPRESSO's pw.x, the settings stated once.

Chosen by convergence tests on perfect, expanded, rattled (0.22 Å at a linear strain of −7 %)
and vacancy cells. Cutoff, 20 against 40 Ry: relative energies 2 meV/atom, forces 0.003 eV/Å rms
(0.007 at most), pressure −0.1 to −0.25 GPa (Pulay stress, left in). Mesh, 4×4×4 shifted against
5×5×5 at Γ: below 3 meV/atom; no force in the crystal, up to 0.03 eV/Å rms in the hardest
metallic cells.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from isoline.errors import Diverged, Unavailable

PSEUDOPOTENTIALS = Path("/usr/share/espresso/pseudo")  # where Debian puts them
PSEUDOPOTENTIAL = "Si.pbe-rrkj.UPF"  # norm-conserving, 4 valence electrons; package quantum-espresso-data
CUTOFF_RY = 20.0
MESH = (4, 4, 4)
SMEARING_RY = 0.02
LEVEL_OF_THEORY = (
    f"PBE/QE 6.7/{PSEUDOPOTENTIAL}/{CUTOFF_RY:g} Ry/{'x'.join(map(str, MESH))} shifted/cold smearing {SMEARING_RY:g} Ry"
)

_SETTINGS = {
    "control": {
        "calculation": "scf",
        "tprnfor": True,
        "tstress": True,
        "disk_io": "none",
    },
    "system": {
        "ecutwfc": CUTOFF_RY,
        "occupations": "smearing",
        "smearing": "cold",
        "degauss": SMEARING_RY,
    },
    # 1e-9 Ry leaves up to 2e-4 eV/Å in the forces, which are first order in the density.
    "electrons": {"conv_thr": 1e-9, "mixing_beta": 0.7, "electron_maxstep": 150},
}


def label(structure: Atoms, folder: Path, pseudopotentials: Path = PSEUDOPOTENTIALS, program: str = "pw.x") -> Atoms:
    """The structure with its PBE energy (eV), forces (eV/Å) and stress (eV/Å³).

    The energy is the free energy of the smeared electrons, the one whose gradient the forces
    are. `folder` keeps input and output; a finished output of the very same input is reused.

    Raises Diverged when the self-consistent cycle did not converge, Unavailable when the
    program is missing or stopped early.
    """
    folder.mkdir(parents=True, exist_ok=True)
    question, answer, log = folder / "pw.in", folder / "pw.out", folder / "finished.in"
    write(
        question,
        structure,
        format="espresso-in",
        input_data={**_SETTINGS, "control": {**_SETTINGS["control"], "pseudo_dir": str(pseudopotentials)}},
        pseudopotentials={"Si": PSEUDOPOTENTIAL},
        kpts=MESH,
        koffset=(1, 1, 1),
    )
    if not (log.exists() and log.read_text() == question.read_text()):
        log.unlink(missing_ok=True)
        _run(program, question, answer, folder)
        log.write_text(question.read_text())
    return _read_label(structure, answer)


def _run(program: str, question: Path, answer: Path, folder: Path) -> None:
    command = ["env", "OMP_NUM_THREADS=1", program, "-in", question.name]
    with answer.open("w") as output:
        try:
            subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
        except FileNotFoundError as missing:
            raise Unavailable(f"{missing.filename} is not installed") from missing
    text = answer.read_text()
    if "convergence NOT achieved" in text:
        raise Diverged(
            f"the self-consistent cycle did not converge in {folder.name}",
            hint="Drop the frame: cells this distorted may be metallic with several electronic solutions.",
        )
    if "convergence has been achieved" not in text or "JOB DONE" not in text:
        raise Unavailable(
            f"{program} stopped before finishing {folder.name}",
            hint="Read pw.out in its folder; Debian's package quantum-espresso provides the program.",
        )


def _read_label(structure: Atoms, answer: Path) -> Atoms:
    computed = read(answer, format="espresso-out")
    labelled = structure.copy()
    labelled.calc = SinglePointCalculator(
        labelled,
        energy=computed.get_potential_energy(),
        forces=computed.get_forces(apply_constraint=False),
        stress=computed.get_stress(apply_constraint=False),
    )
    labelled.info["level_of_theory"] = LEVEL_OF_THEORY
    return labelled
