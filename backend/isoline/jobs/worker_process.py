"""A worker process started by another: by the supervisor, or for the length of one command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..workbench import Settings, Workbench
from . import workers

STOP_S = 5.0  # how long a worker may take to stop before it is killed


def environment(settings: Settings) -> dict[str, str]:
    """What a child process inherits: this process's variables, and those that lead it to the same data folder."""
    return {**os.environ, **settings.environment()}


def command(*arguments: str) -> list[str]:
    """The command line of a worker process."""
    return [sys.executable, "-m", "isoline_lab.worker", *arguments]


@contextmanager
def ensure_worker(bench: Workbench) -> Iterator[None]:
    """A living worker for the length of the block: one that is there already, or one started and stopped here."""
    with bench.read() as connection:
        alive = any(card.alive for card in workers.cards(connection, bench.settings.lease_s))
    if alive:
        yield
        return
    process = subprocess.Popen(
        command(), env=environment(bench.settings), stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
    )
    try:
        yield
    finally:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a worker or server process: politely first, by force after STOP_S seconds."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
