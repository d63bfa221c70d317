"""The libraries that a user would pick instead, each installed with an interpreter of its own.

    python benchmarks/competitors.py [--folder ~/.cache/isoline/competitors] [--only gap --only nep]

They cannot share our environment, nor one another's: mace-torch holds e3nn back, chgnet and calorine numpy, and each
release of featomic-torch knows the torch it was built for. So every one gets a virtual environment FOLDER/NAME (about
3 GB in all; torch, the CPU build, is installed once in FOLDER/torch and seen by the others through a .pth file), and
the benchmarks talk to it over pipes (`drivers/serve.py`). What is installed already is left alone. calorine comes as
source and needs g++. Nothing is downloaded but packages: chgnet has its weights in its wheel, MACE and GAP are trained
here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path.home() / ".cache" / "isoline" / "competitors"
TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Competitor:
    """A library, how to get it, and how its potential is known to `drivers/serve.py`.

    name          of its environment
    requirements  for pip, versions that were tried together
    module        that can be imported when it is installed
    torch         whether it needs torch
    """

    name: str
    requirements: tuple[str, ...]
    module: str
    torch: bool = False

    def interpreter(self, folder: Path) -> Path:
        """Its Python. Whether it is there is another question: `installed`."""
        return folder / self.name / "bin" / "python"

    def installed(self, folder: Path) -> bool:
        python = self.interpreter(folder)
        if not python.exists():
            return False
        found = f"import importlib.util as u, sys; sys.exit(u.find_spec({self.module.split('.')[0]!r}) is None)"
        return subprocess.run([python, "-c", found], check=False).returncode == 0

    def install(self, folder: Path) -> None:
        """Make its environment; leaves one that works alone. Raises CalledProcessError where pip fails."""
        if self.installed(folder):
            return
        make_environment(folder / self.name)
        wanted = list(self.requirements)
        if self.torch:
            share_torch(folder, self.name)
            wanted.append(TORCH)
        pip(folder / self.name, *wanted)


COMPETITORS = {
    competitor.name: competitor
    for competitor in (
        Competitor("gap", ("quippy-ase==0.10.3",), "quippy"),
        Competitor("mace", ("mace-torch==0.3.16", "e3nn==0.4.4", "ase==3.29.0"), "mace", torch=True),
        Competitor("chgnet", ("chgnet==0.4.2", "ase==3.29.0"), "chgnet", torch=True),
        Competitor("nep", ("calorine==4.1",), "calorine"),
        Competitor(
            "featomic",
            (
                "featomic-torch==0.7.6",
                "featomic==0.6.7",
                "metatensor-torch==0.10.8",
                "metatomic-torch==0.1.19",
                "ase==3.29.0",
            ),
            "featomic",
            torch=True,
        ),
    )
}


def make_environment(place: Path) -> None:
    venv.EnvBuilder(with_pip=True, symlinks=os.name != "nt").create(place)


def share_torch(folder: Path, name: str) -> None:
    """Let the environment see torch, which is installed on the first call."""
    if not (folder / "torch" / "bin" / "python").exists():
        make_environment(folder / "torch")
        pip(folder / "torch", TORCH)
    packages = Path("lib") / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # Found after the environment's own packages, so that those win.
    (folder / name / packages / "shared-torch.pth").write_text(f"{folder.resolve() / 'torch' / packages}\n")


def pip(place: Path, *requirements: str) -> None:
    subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where to install (default {FOLDER})")
    parser.add_argument("--only", action="append", choices=sorted(COMPETITORS), help="may be repeated")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name in chosen.only or COMPETITORS:
        COMPETITORS[name].install(chosen.folder)
        print(f"{name}: {COMPETITORS[name].interpreter(chosen.folder)}")


if __name__ == "__main__":
    main()
