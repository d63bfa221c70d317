"""A guest in an interpreter of its own, spoken to over pipes."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

import numpy as np

from isoline.domain.guest import Guest
from isoline.errors import InvalidInput, Unavailable
from isoline_lab.potentials import guest_server
from isoline_lab.potentials.guest_server import HEADER, length_of, packed, unpacked

TOLD = 1200  # characters of what a guest wrote before it ended


class GuestProcess:
    """A running guest: one structure after the other, until closed or collected.

    It sees a bare environment and works in an empty folder of its own; it ends when this process does.

    Raises Unavailable when the interpreter is not there, the calculator cannot be made, or loading takes too long.
    """

    def __init__(self, guest: Guest):
        self.guest = guest
        self._folder = tempfile.TemporaryDirectory(prefix="isoline-guest-")
        self._said = open(Path(self._folder.name) / "said", "w+b")  # noqa: SIM115, closed with the process
        try:
            self._process = subprocess.Popen(
                [guest.interpreter, "-I", str(Path(guest_server.__file__).resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                cwd=self._folder.name,
                env=_environment(guest, self._folder.name),
                bufsize=0,
            )
        except OSError as error:
            self._said.close()
            self._folder.cleanup()
            raise Unavailable(
                f"guest {guest.name} cannot be started: {guest.interpreter}: {error.strerror}",
                hint="Correct `interpreter` in guests.toml, or install the guest's environment there.",
            ) from None
        self.close = weakref.finalize(self, _end, self._process, self._said, self._folder)
        for pipe in (self._process.stdin, self._process.stdout):
            os.set_blocking(pipe.fileno(), False)
        hello = {"calculator": guest.calculator, "arguments": guest.arguments, "vacuum": guest.vacuum}
        about, _ = self._exchange(packed(hello), guest.start_s, "load")
        if "error" in about:
            self.close()
            raise Unavailable(
                f"guest {guest.name} could not be made: {about['error']}",
                hint="Correct `calculator` and `arguments` in guests.toml, or the environment of its interpreter.",
            )

    def answer(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the guest says about a structure, see `guest_server.answer`.

        Raises InvalidInput for a structure that it cannot compute, Unavailable when it dies or is silent too long.
        """
        about, found = self._exchange(packed({}, **arrays), self.guest.answer_s, "answer")
        if "error" in about:
            raise InvalidInput(f"guest {self.guest.name}: {about['error']}")
        return found

    def _exchange(self, frame: bytes, patience_s: float, what: str) -> tuple[dict, dict[str, np.ndarray]]:
        deadline = time.monotonic() + patience_s
        try:
            self._send(frame, deadline)
            return unpacked(self._receive(length_of(self._receive(HEADER.size, deadline)), deadline))
        except TimeoutError:
            said = self._ended()
            raise Unavailable(
                f"guest {self.guest.name} did not {what} within {patience_s:g} s",
                hint=f"Raise `start_s` or `answer_s` in guests.toml if it needs longer.{said}",
            ) from None
        except (OSError, EOFError, ValueError) as error:
            said = self._ended()
            how = error if isinstance(error, ValueError) else f"exit status {self._process.poll()}"
            raise Unavailable(
                f"guest {self.guest.name} stopped working ({how})", hint=f"It must be added again or mended.{said}"
            ) from None

    def _send(self, frame: bytes, deadline: float) -> None:
        rest = memoryview(frame)
        while rest:
            _, ready, _ = select.select([], [self._process.stdin], [], _left(deadline))
            if ready:
                rest = rest[os.write(self._process.stdin.fileno(), rest) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            ready, _, _ = select.select([self._process.stdout], [], [], _left(deadline))
            if ready:
                part = os.read(self._process.stdout.fileno(), size - len(parts))
                if not part:
                    raise EOFError
                parts += part
        return bytes(parts)

    def _ended(self) -> str:
        """End the guest; the last of what it wrote, for people."""
        if not self._gone():
            self._process.kill()
            self._process.wait()
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - TOLD))
        said = self._said.read().decode(errors="replace").strip()
        self.close()
        return f" It wrote: {said}" if said else " It wrote nothing."

    def _gone(self) -> bool:
        """Whether it has ended by itself, as one has a moment after its pipe closed."""
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return False
        return True


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _environment(guest: Guest, folder: str) -> dict[str, str]:
    threads = str(guest.threads)
    bare = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder}
    bare |= {f"{library}_NUM_THREADS": threads for library in ("OMP", "MKL", "OPENBLAS")}
    return bare | guest.environment


def _end(process: subprocess.Popen, said, folder: tempfile.TemporaryDirectory) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, said):
        stream.close()
    folder.cleanup()
