"""The worker: takes jobs from the queues that it can serve, and runs each in a process of its own.

It computes nothing itself and never imports torch, so it stays small, quick to stop and hard to bring down.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

from sqlalchemy.exc import SQLAlchemyError

from isoline.errors import Conflict, InvalidInput, IsolineError
from isoline.jobs import queues
from isoline.jobs.engine import Engine
from isoline.jobs.lease import Lease
from isoline.jobs.process import Processes
from isoline.jobs.relay import Relay
from isoline.jobs.workers import cards
from isoline.workbench import Settings, Workbench

from .runner import FUNCTIONS

DISPATCH_S = 0.25
REPAIR_S = 2.0
ALONE_S = 3.0  # an orphaned worker without jobs for so long goes home
NAME = re.compile(r"[\w.-]{1,100}")
FENCED = 75  # exit status of a worker that may have been declared dead
PROBE = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"


def graphics_card() -> str:
    """Name of the graphics card that torch can use here; "" without one. Asked in a child: the answer needs torch."""
    if shutil.which("nvidia-smi") is None:
        return ""
    try:
        asked = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return ""
    return asked.stdout.strip()


def claim_name(bench: Workbench, wanted: str = "") -> tuple[str, TextIO]:
    """A name that no living worker bears, and the open file that keeps it so on this host.

    The first free number is taken, so a worker that is restarted finds the jobs that it left.
    Raises Conflict when the name asked for is taken, InvalidInput when it cannot be a file's name.
    """
    if wanted and not NAME.fullmatch(wanted):
        raise InvalidInput(f"'{wanted}' cannot name a worker", hint="Use up to 100 letters, digits, dots and hyphens.")
    with bench.read() as connection:
        # Also those of other hosts, or of other data folders that share the database.
        known = cards(connection, bench.settings.lease_s)
    living = {card.executor_id for card in known if card.alive and card.pid != os.getpid()}
    host = socket.gethostname()
    for name in [wanted] if wanted else (f"{host}-{number}" for number in range(1000)):
        handle = (bench.settings.runs / f"worker-{name}.lock").open("w")
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if name not in living:
                return name, handle
        handle.close()
    raise Conflict(f"a worker named '{wanted or host}' runs already", hint="Stop it, or choose another name.")


def run_worker(
    settings: Settings,
    serves: Sequence[str] = (),
    name: str = "",
    *,
    functions: str = FUNCTIONS,
    supervised: bool = False,
) -> None:
    """Run jobs until SIGTERM or SIGINT. Processes that run then are ended; their jobs go on in the next worker.

    serves      queues; all that this machine can serve where none are given
    name        the worker's; the first free one of this host where none is given
    supervised  go home, once idle, when the parent process has gone

    Raises InvalidInput for an unknown queue, Conflict for a name that is taken, Unavailable without a database.
    """
    parent = os.getppid() if supervised else None
    serves = queues.check(serves) if serves else ()
    stop = threading.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        signal.signal(which, lambda *_: stop.set())
    card = graphics_card()
    serves = serves or tuple(name for name in queues.CONCURRENCY if name != "gpu" or card)
    bench = Workbench.open(settings)
    executor, name_lock = claim_name(bench, name)
    processes = Processes(bench, executor, functions)

    def end(why: str) -> None:
        processes.kill()
        print(f"worker {executor} ends: {why}", file=sys.stderr, flush=True)
        os._exit(FENCED)

    lease = Lease(bench, executor, end)
    engine = Engine(settings, executor, serves, processes.run)
    # The row comes first: whoever takes a job must already be alive in the eyes of the others.
    lease.start(serves, card or f"{os.cpu_count()} processor cores")
    engine.launch()
    engine.tidy()
    lease.forget()
    try:
        _serve(stop, bench, engine, lease, processes, parent)
        processes.stop()
        lease.stop()
    except IsolineError as error:
        end(error.message)
    name_lock.close()
    # Threads that wait on ended processes are left where they are: returning would tell the engine that they are done.
    sys.stderr.flush()
    os._exit(0)


def _serve(
    stop: threading.Event, bench: Workbench, engine: Engine, lease: Lease, processes: Processes, parent: int | None
) -> None:
    relay = Relay(bench, engine)
    repaired = reaped = busy = time.monotonic()
    while not stop.wait(DISPATCH_S):
        now = time.monotonic()
        try:
            relay.dispatch()
            if now - reaped > bench.settings.lease_s / 6:
                reaped = now
                lease.reap(engine.hand_on)
            if now - repaired > REPAIR_S:
                repaired = now
                processes.free_left_behind()
                relay.repair()
        except (IsolineError, SQLAlchemyError) as error:  # a database is away: the lease decides for how long
            print(f"worker: {error}", file=sys.stderr, flush=True)
            stop.wait(1.0)
        busy = busy if processes.idle else now
        if parent is not None and os.getppid() != parent and now - busy > ALONE_S:
            return


def main() -> int:
    parser = argparse.ArgumentParser(prog="isoline_lab.worker", description="Run jobs from the queues.")
    parser.add_argument(
        "--queue", action="append", dest="queues", default=[], metavar="NAME", help="a queue to serve; may be repeated"
    )
    parser.add_argument(
        "--name", default="", help="the worker's name; it finds the jobs that a worker of this name left"
    )
    parser.add_argument("--functions", default=FUNCTIONS, help="where the job functions are, as module:NAME")
    parser.add_argument("--supervised", action="store_true", help="end, once idle, when the parent process has gone")
    arguments = parser.parse_args()
    try:
        run_worker(
            Settings.from_environment(),
            arguments.queues,
            arguments.name,
            functions=arguments.functions,
            supervised=arguments.supervised,
        )
    except IsolineError as error:
        print(f"{error.message}. {error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
