"""Which structures of public test sets stand in their training sets too, and how often a training set repeats itself.

    python benchmarks/leaks.py --json [--near 0.01]

Reads NAME_train and NAME_test of Zuo et al. (J. Phys. Chem. A 124, 731, 2020) and the MoNbTaW training set from the
folder ISOLINE_DATA (default ../shared/data). Pairs are given as 0-based frames of the files. `geometry` asks for the
structures only: symmetry (laid onto each other within 0.001 Å), near (within `--near` Å). `labels` asks for the energy
per atom (10⁻⁶ eV) and the sorted lengths of the forces (two tolerances). `processor_seconds` is what the geometry took.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import platform
import time
from collections import Counter
from pathlib import Path

from ase.io import read

from isoline.domain.fingerprint import fingerprints
from isoline.domain.structure import Label, Structure
from isoline.statistics.twins import KINDS, NEAR, candidates, candidates_within, proved, repeated, same_labels

DATA = Path(os.environ.get("ISOLINE_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPLITS = ("zuo2020_Si", "zuo2020_Ni", "zuo2020_Mo")
WITHIN = ("hea_MoNbTaW_train",)
FORCES = {"forces_within_1e-2": 1e-2, "forces_within_1e-5": 1e-5}  # eV/Å


def labelled(name: str) -> tuple[list[Structure], list[Label], list[str]]:
    """Structures, labels and groups of a file."""
    # Decompressed first: ASE seeks in the file, which takes quadratic time in a compressed one.
    text = gzip.decompress((DATA / f"{name}.extxyz.gz").read_bytes()).decode()
    structures, labels, groups = [], [], []
    for atoms in read(io.StringIO(text), ":", format="extxyz"):
        results = atoms.calc.results if atoms.calc else {}
        structures.append(Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc))
        labels.append(Label("", *(results.get(kind) for kind in ("energy", "forces", "stress"))))
        groups.append(atoms.info.get("config_type", ""))
    return structures, labels, groups


def across(name: str, near: float) -> dict:
    """Twins between the training and the test file of a set."""
    structures, labels, _ = labelled(f"{name}_train")
    tests, test_labels, groups = labelled(f"{name}_test")
    began = time.process_time()
    pairs = candidates(fingerprints(structures), fingerprints(tests), near)
    twins = list(proved(pairs, structures, tests, near))
    took = time.process_time() - began
    by_labels = {
        key: same_labels(
            list(zip(structures, labels, strict=True)), list(zip(tests, test_labels, strict=True)), force=f
        )
        for key, f in FORCES.items()
    }
    strongest: dict[int, str] = {}
    for twin in sorted(twins, key=lambda one: -KINDS.index(one.kind)):
        strongest[twin.second] = twin.kind
    return {
        "n_train": len(structures),
        "n_test": len(tests),
        "n_leaked": dict(Counter(strongest.values())),
        "leaked": {row: f"{strongest[row]} {groups[row]}" for row in sorted(strongest)},
        "candidates": len(pairs.first),
        "geometry": [
            {
                "train": one.first,
                "test": one.second,
                "kind": one.kind,
                "distance": round(one.distance, 6),
                "mirrored": one.mirrored,
                "energy_difference": labels[one.first].energy / len(structures[one.first])
                - test_labels[one.second].energy / len(tests[one.second]),
            }
            for one in twins
        ],
        "labels": {
            key: {"n_leaked": len({two for _, two in found}), "pairs": found} for key, found in by_labels.items()
        },
        "processor_seconds": round(took, 2),
    }


def within(name: str, near: float) -> dict:
    """Twins inside one file."""
    structures, labels, _ = labelled(name)
    began = time.process_time()
    pairs = candidates_within(fingerprints(structures), near)
    twins = list(proved(pairs, structures, structures, near))
    took = time.process_time() - began
    both = list(zip(structures, labels, strict=True))
    return {
        "n": len(structures),
        "candidates": len(pairs.first),
        "n_repeated": {
            "symmetry": repeated(len(structures), [one for one in twins if one.kind != "near"]),
            "near": repeated(len(structures), twins),
        },
        "pairs": [(one.first, one.second, one.kind, round(one.distance, 6)) for one in twins],
        "labels": {
            key: len({max(pair) for pair in same_labels(both, both, force=force) if pair[0] != pair[1]})
            for key, force in FORCES.items()
        },
        "processor_seconds": round(took, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--near", type=float, default=NEAR, help="Å below which structures count as near")
    parser.add_argument("--set", action="append", dest="sets", help="one set only; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    answer: dict = {"machine": platform.processor() or platform.machine(), "near": arguments.near}
    for name in arguments.sets or (*SPLITS, *WITHIN):
        answer[name] = within(name, arguments.near) if name in WITHIN else across(name, arguments.near)
    if arguments.json:
        print(json.dumps(answer))
        return
    for name in arguments.sets or (*SPLITS, *WITHIN):
        found = answer[name]
        if name in WITHIN:
            print(f"{name}: {found['n_repeated']} of {found['n']} repeat another, by labels {found['labels']}")
            continue
        by_labels = {key: one["n_leaked"] for key, one in found["labels"].items()}
        print(f"{name}: of {found['n_test']} test structures {found['n_leaked']} by geometry, {by_labels} by labels")


if __name__ == "__main__":
    main()
