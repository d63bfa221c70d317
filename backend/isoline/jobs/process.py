"""One process per run of a job: started under the job's lock, kept awake, watched, and ended when it is not wanted.

The computation lives in a child so that cancelling takes a second whatever library is busy, memory of a graphics
card comes back, and a crash takes nobody along.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ..errors import Unavailable
from ..workbench import Workbench
from . import ledger
from .ledger import Standing
from .queues import CONCURRENCY
from .worker_process import environment

POLL_S = 0.2  # how soon a cancelled job's process hears of it
GRACE_S = 1.0  # between asking a process to end and ending it
AGAIN_S = 1.0  # before a process that died is started again
SILENCE = 0.7  # of the lease: a child that hears nothing for so long ends itself, before another takes over its job
ORPHANED = "ended because its worker was silent"
# Jobs that run side by side share the cores: with more threads than cores, OpenMP's waiting costs many times the work.
THREADS = str(max(1, (os.cpu_count() or 1) // CONCURRENCY["cpu"]))
LAST_LINES = 30  # of a dead process's output, kept in the job's log
NAMES = {
    signal.SIGKILL: "killed by signal 9 (out of memory?)",
    signal.SIGSEGV: "killed by signal 11 (a crash in compiled code)",
}


class Processes:
    """Runs jobs for one worker. `functions` names the table of job functions, as `module:NAME`."""

    def __init__(self, bench: Workbench, executor: str, functions: str):
        self._bench = bench
        self._executor = executor
        self._functions = functions
        self._stopping = threading.Event()
        self._mutex = threading.Lock()
        self._tokens: frozenset[str] = frozenset()  # of processes that are awaited, run, or are being settled
        self._runs: dict[str, tuple[int, subprocess.Popen]] = {}

    @property
    def idle(self) -> bool:
        """Whether no process is running."""
        with self._mutex:
            return not self._runs

    def run(self, id: int, attempt: int) -> None:
        """See an attempt of a job through: to its end, its failure, or until it is not wanted any more."""
        again = True
        while again:
            token = secrets.token_hex(8)
            with self._mutex:
                self._tokens |= {token}
            try:
                again = self._run_once(id, attempt, token)
            finally:
                with self._mutex:
                    self._tokens -= {token}
            if again:
                self._sleep(AGAIN_S)

    def _run_once(self, id: int, attempt: int, token: str) -> bool:
        """One process, from taking the lock to giving it back. True when another shall follow."""
        if self._await_turn(id, attempt, token) == Standing.OVER:
            return False
        reason = self._watch(id, attempt, token)
        with self._bench.write() as connection:
            again = ledger.holds(connection, id, token)
            if again and reason == ORPHANED:
                ledger.put_back(connection, id, token)  # nothing is wrong with the job
            elif again:
                again = ledger.died(connection, id, attempt, reason)
            ledger.release(connection, id, token)
            return again

    def free_left_behind(self) -> None:
        """Give back locks whose process ended while the store could not be told."""
        with self._bench.read() as connection:
            held = ledger.held_by(connection, self._executor)
        # A token is known here before its lock is taken, and until the lock was given back or that failed.
        left = [(id, token) for id, token in held if token not in self._tokens]
        if left:
            with self._bench.write() as connection:
                for id, token in left:
                    ledger.release(connection, id, token)

    def _await_turn(self, id: int, attempt: int, token: str) -> Standing:
        while True:
            with self._bench.write() as connection:
                standing = ledger.begin(connection, id, attempt, self._executor, token)
            if standing != Standing.BUSY:
                return standing
            self._sleep(POLL_S)

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            # Never return: the engine would take the attempt for finished. The process is about to exit.
            threading.Event().wait()

    def _watch(self, id: int, attempt: int, token: str) -> str:
        """Run the child to its end; returns how it ended, in words."""
        output = self._bench.settings.runs / f"job-{id}.out"
        with output.open("wb") as sink, self._mutex:
            process = subprocess.Popen(
                [sys.executable, "-m", "isoline_lab.runner", str(id), token, "--functions", self._functions],
                env={"OMP_NUM_THREADS": THREADS, **environment(self._bench.settings)},
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._runs[token] = (id, process)
        os.set_blocking(process.stdin.fileno(), False)
        slept = False
        try:
            slept = self._attend(process, id, attempt)
        finally:
            end(process)
            self._sleep(0)
            with self._mutex:
                del self._runs[token]
            process.stdin.close()
        if process.returncode:
            self._keep_output(id, token, output)
        output.unlink(missing_ok=True)
        return ORPHANED if slept else in_words(process.returncode)

    def _attend(self, process: subprocess.Popen, id: int, attempt: int) -> bool:
        """Keep the child awake until it ends or is not wanted. True when this worker itself slept."""
        lease_s = self._bench.settings.lease_s
        pinged = time.monotonic()
        slept = False
        while process.poll() is None:
            slept = slept or time.monotonic() - pinged > SILENCE * lease_s
            if time.monotonic() - pinged > lease_s / 10:
                pinged = time.monotonic()
                ping(process)
            try:
                with self._bench.read() as connection:
                    if not ledger.wanted(connection, id, attempt):
                        return slept
            except Unavailable:
                pass  # the lease ends this whole process when that lasts
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_S)
        return slept or time.monotonic() - pinged > SILENCE * lease_s

    def _keep_output(self, id: int, token: str, output: Path) -> None:
        text = output.read_bytes()[-20_000:].decode(errors="replace")
        with self._bench.write() as connection:
            if ledger.holds(connection, id, token):
                ledger.write_log(connection, id, "\n".join(text.splitlines()[-LAST_LINES:]))

    def stop(self) -> None:
        """End every process in good order; its job waits for the next worker and goes on from its checkpoint."""
        with self._mutex:
            self._stopping.set()
            runs = dict(self._runs)
        for _, process in runs.values():
            end(process)
        with self._bench.write() as connection:
            for token, (id, _) in runs.items():
                ledger.put_back(connection, id, token)

    def kill(self) -> None:
        """End every process at once, without a word to the store: this worker may write nothing any more."""
        for _, process in list(self._runs.values()):
            signal_group(process, signal.SIGKILL)


def ping(process: subprocess.Popen) -> None:
    """Tell the child that its worker is awake."""
    # It may be too busy to read, or gone: its end is noticed elsewhere.
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(process.stdin.fileno(), b".")


def end(process: subprocess.Popen) -> None:
    """End a child and everything that it started."""
    if process.poll() is None:
        signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: subprocess.Popen, which: signal.Signals) -> None:
    """Send a signal to a child and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # where none of the group is left
        os.killpg(process.pid, which)


def in_words(returncode: int) -> str:
    """How a process ended."""
    if returncode >= 0:
        return f"ended with exit status {returncode}"
    return NAMES.get(-returncode, f"killed by signal {-returncode}")
