"""Is this installation well? Checks that say what to do."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from .errors import IsolineError
from .services import work
from .workbench import Settings, Workbench

NEEDED = (
    "fastapi",
    "dash",
    "sqlalchemy",
    "dbos",
    "torch",
    "ase",
    "vesin",
    "extxyz",
    "umap-learn",
    "tblite",
    "safetensors",
)
SMALLEST_FREE_GB = 2.0


@dataclass(frozen=True)
class Check:
    """One question about the installation; a hint also where all is well but could be better."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def examine(settings: Settings) -> list[Check]:
    """Every check, also after one has failed."""
    return [_python(), _packages(), _disk(settings), *_store_and_workers(settings), _gpu()]


def examine_worker(settings: Settings) -> list[Check]:
    """Whether a worker of this very machine is alive: what a container's health check asks."""
    bench = Workbench.open(settings)
    here = [worker for worker in work.workers(bench) if worker.host == socket.gethostname()]
    bench.close()
    found = ", ".join(worker.executor_id for worker in here)
    return [
        Check("worker", bool(here), found or "none on this machine", "" if here else "`isoline worker` starts one.")
    ]


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "python", sys.version_info >= (3, 11), found, "" if sys.version_info >= (3, 11) else "Use Python ≥ 3.11."
    )


def _packages() -> Check:
    missing = []
    for name in NEEDED:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", False, f"missing: {', '.join(missing)}", "Run `make install` again.")
    return Check("packages", True, f"torch {metadata.version('torch')}, ase {metadata.version('ase')}")


def _disk(settings: Settings) -> Check:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    hint = "" if free > SMALLEST_FREE_GB else "Free some space, or set ISOLINE_HOME to a larger disk."
    return Check("disk", free > SMALLEST_FREE_GB, f"{free:.0f} GB free at {folder}", hint)


def _store_and_workers(settings: Settings) -> list[Check]:
    try:
        bench = Workbench.open(settings)
        alive = work.workers(bench)
        bench.close()
    except IsolineError as error:
        return [Check("store", False, error.message, error.hint)]
    kind = settings.store_url.split(":", 1)[0]
    found = ", ".join(f"{worker.executor_id} ({'/'.join(worker.queues)})" for worker in alive)
    return [
        Check("store", True, f"{kind}, in {settings.home}" if kind == "sqlite" else kind),
        Check("worker", True, found or "none running", "" if alive else "`isoline up` or `isoline worker` starts one."),
    ]


def _gpu() -> Check:
    try:
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Check("gpu", True, "none; training runs on the processor")
    return Check("gpu", True, found.replace("\n", "; "))
