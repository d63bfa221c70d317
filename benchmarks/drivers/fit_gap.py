"""Fit a Gaussian approximation potential with gap_fit; run by the interpreter that has quippy-ase.

    python fit_gap.py --train train.xyz --model gap.xml [--n-max 8] [--l-max 6] [--sparse 1000]

Labels are REF_energy and REF_forces (stresses as virials are left out: their order differs between codes). Distances
of pairs plus SOAP environments, the form of the published silicon potential (Bartók et al., PRX 8, 041048, 2018);
expected errors of 1 meV/atom and 0.05 eV/Å. Prints {"wall_s": …, "processor_s": …}.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--n-max", type=int, default=8)
    parser.add_argument("--l-max", type=int, default=6)
    parser.add_argument("--sparse", type=int, default=1000)
    chosen = parser.parse_args()
    pairs = (
        "distance_2b cutoff=5.0 cutoff_transition_width=1.0 covariance_type=ard_se delta=2.0 theta_uniform=1.0 "
        "sparse_method=uniform n_sparse=15 add_species=T"
    )
    soap = (
        f"soap n_max={chosen.n_max} l_max={chosen.l_max} cutoff=5.0 cutoff_transition_width=1.0 atom_sigma=0.5 "
        f"zeta=4 delta=0.2 covariance_type=dot_product sparse_method=cur_points n_sparse={chosen.sparse} "
        "add_species=T"
    )
    command = [
        str(Path(sys.executable).with_name("gap_fit")),
        f"at_file={chosen.train}",
        f"gap={{{pairs} : {soap}}}",
        "default_sigma={0.001 0.05 0.0 0.0}",
        "e0_method=average",
        "energy_parameter_name=REF_energy",
        "force_parameter_name=REF_forces",
        "virial_parameter_name=none",
        "sparse_separate_file=F",
        "do_copy_at_file=F",
        f"gp_file={chosen.model}",
    ]
    clock = time.perf_counter()
    done = subprocess.run(command, stdout=sys.stderr, check=False, env=os.environ)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = {"wall_s": round(time.perf_counter() - clock, 1), "processor_s": round(used.ru_utime + used.ru_stime, 1)}
    print(json.dumps(took))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
