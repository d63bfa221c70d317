"""The compiled cluster expansion: built by the machine's own compiler when first needed, and kept."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).with_name("expansion.c")
COMPILERS = ("cc", "gcc", "clang")

# -ffast-math without what it does to others: linked with it, a library of GCC before 13 makes the whole process round
# the smallest numbers to zero.
FAST_MATH = (
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-freciprocal-math",
    "-ffinite-math-only",
)
WIDEST = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
FLAGS = ("-std=gnu11", "-O3", "-march=native", *FAST_MATH, *WIDEST, "-shared", "-fPIC")


@lru_cache
def load(**shape: int | str) -> ctypes.CDLL | None:
    """The kernels for one shape of expansion; None, said once, where there is no working compiler.

    shape  the macros of expansion.c
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        _say_once("no C compiler was found")
        return None
    macros = [f"-D{name}={value}" for name, value in sorted(shape.items())]
    text = "\n".join([SOURCE.read_text(), *FLAGS, *macros, _processor(), compiler])
    library = _folder() / f"expansion-{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}.so"
    if not library.exists():
        with tempfile.NamedTemporaryFile(dir=library.parent, suffix=".so", delete=False) as part:
            built = Path(part.name)
        command = [compiler, *FLAGS, "-Wno-psabi", *macros, str(SOURCE), "-o", str(built), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            built.unlink()
            _say_once(f"{compiler} failed: {done.stderr.strip().splitlines()[-1:]}")
            return None
        built.replace(library)  # another process may be building the same
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:  # a damaged file, or a folder from which no code may run
        library.unlink(missing_ok=True)
        _say_once(f"compiled code cannot be loaded: {error}")
        return None


def _folder() -> Path:
    """Where built kernels are kept, for this user only."""
    folder = Path.home() / ".cache" / "isoline" / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass  # no home to write to
    return Path(_own_folder())


@lru_cache
def _own_folder() -> str:
    return tempfile.mkdtemp(prefix="isoline-kernels-")


def _processor() -> str:
    """What the machine code is for: a home shared by different machines must not mix them up."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return str(os.uname())
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))}))


@lru_cache
def _say_once(reason: str) -> None:
    warnings.warn(f"{reason}: body-ordered potentials run about ten times slower without it", stacklevel=3)
