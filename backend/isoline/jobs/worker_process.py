"""A worker process started by another: by the supervisor, or for the length of one command."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..workbench import Settings, Workbench
from . import workers

STOP_S = 5.0  # how long a worker may take to stop before it is killed
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # between looks for a living worker; longer each time one had to be started


def environment(settings: Settings) -> dict[str, str]:
    """What a child process inherits: this process's variables, and those that lead it to the same data folder."""
    return {**os.environ, **settings.environment()}


def command(*arguments: str) -> list[str]:
    """The command line of a worker process."""
    return [sys.executable, "-m", "isoline_lab.worker", *arguments]


@contextmanager
def ensure_worker(bench: Workbench, *options: str) -> Iterator[None]:
    """A living worker for the length of the block: one that is there, or one started here, as often as it takes.

    options  words of the started worker's command line
    """
    ended = threading.Event()
    keeper = threading.Thread(target=_keep_one, args=(bench, options, ended), name="worker keeper")
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep_one(bench: Workbench, options: tuple[str, ...], ended: threading.Event) -> None:
    process = None
    pause_s = FIRST_PAUSE_S
    while True:
        with bench.read() as connection:
            alive = any(card.alive for card in workers.cards(connection, bench.settings.lease_s))
        if not alive and (process is None or process.poll() is not None):
            process = subprocess.Popen(
                command(*options),
                env=environment(bench.settings),
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,
            )
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if ended.wait(pause_s):
            break
    if process is not None:
        stop(process)


def stop(process: subprocess.Popen) -> None:
    """End a worker or server process: politely first, by force after STOP_S seconds."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
