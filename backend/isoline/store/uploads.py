"""Uploaded files: streamed to disk under a temporary name, kept when whole, named by content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select

from ..errors import InvalidInput, NotFound, Unavailable
from .tables import upload

LARGEST = 16 << 30  # bytes
LONGEST_NAME = 120  # bytes of UTF-8; file systems take 255
LONGEST_SUFFIX = 60  # bytes of a long name that stay at its end
ABANDONED_S = 24 * 3600
PARTIAL = ".partial-"


@dataclass(frozen=True)
class Upload:
    """A file that somebody uploaded."""

    id: str
    name: str
    size: int
    sha256: str
    added_by: str
    added: datetime


class Writer:
    """Takes the bytes of one upload; `finish` makes them a file, anything else leaves nothing."""

    def __init__(self, folder: Path, name: str, largest: int = LARGEST):
        self.folder = folder
        self.name = safe_name(name)
        self.largest = largest
        self.size = 0
        self._digest = hashlib.sha256()
        self._partial = folder / f"{PARTIAL}{secrets.token_hex(8)}"
        self._file = self._partial.open("xb")

    def write(self, chunk: bytes) -> None:
        """Raises InvalidInput beyond the largest size, Unavailable when the disk is full."""
        self.size += len(chunk)
        if self.size > self.largest:
            raise InvalidInput(
                f"{self.name} is larger than {self.largest} bytes",
                hint="Import it with `isoline import` on the server.",
            )
        self._digest.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise Unavailable(f"the upload cannot be kept: {error.strerror}", hint="Free some disk space.") from error

    def finish(self) -> tuple[str, str]:
        """(id, sha256) of the whole file, now in its place; the same name and content give the same id."""
        if self.size == 0:
            raise InvalidInput(f"{self.name} is empty", hint="Choose a file that holds something.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        sha256 = self._digest.hexdigest()
        id = hashlib.blake2b(f"{self.name}\0{sha256}".encode(), digest_size=16).hexdigest()
        home = self.folder / id
        home.mkdir(mode=0o700, exist_ok=True)
        os.replace(self._partial, home / self.name)
        return id, sha256

    def discard(self) -> None:
        """Leave nothing of an upload that did not finish."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


@contextlib.contextmanager
def receive(folder: Path, name: str, largest: int = LARGEST) -> Iterator[Writer]:
    """A writer whose unfinished bytes are gone when the block ends; remains of killed uploads go as well."""
    for old in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > ABANDONED_S:
                old.unlink()
    writer = Writer(folder, name, largest)
    try:
        yield writer
    finally:
        writer.discard()


def safe_name(name: str) -> str:
    """The last part of a file name, without anything that means something to a file system or a shell."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    plain = re.sub(r"[^\w.+=@-]", "_", last).lstrip(".-")
    if not plain.strip("._"):
        raise InvalidInput(f"'{name[:60]}' cannot name a file", hint="Use letters and digits.")
    whole = plain.encode()
    if len(whole) <= LONGEST_NAME:
        return plain
    stem, dot, suffixes = plain.partition(".")
    # What a cut leaves of a character of several bytes is left out.
    end = (dot + suffixes).encode()[-LONGEST_SUFFIX:].decode(errors="ignore")
    return stem.encode()[: LONGEST_NAME - len(end.encode())].decode(errors="ignore") + end


def add(connection: Connection, id: str, name: str, size: int, sha256: str, by: str) -> Upload:
    """Record an upload; one with the same id is returned as it is."""
    known = connection.execute(select(upload).where(upload.c.id == id)).first()
    if known is None:
        row = {"id": id, "name": name, "size": size, "sha256": sha256, "added_by": by, "added": datetime.now(UTC)}
        connection.execute(insert(upload).values(row))
        return Upload(**row)
    return Upload(*known)


def get(connection: Connection, id: str) -> Upload:
    """One upload. Raises NotFound."""
    row = connection.execute(select(upload).where(upload.c.id == id)).first()
    if row is None:
        raise NotFound(f"there is no upload '{id[:40]}'", hint="Upload the file again.")
    return Upload(*row)


def path_of(folder: Path, record: Upload) -> Path:
    """Where the bytes of an upload are. Raises NotFound when somebody removed them."""
    path = folder / record.id / record.name
    if not path.is_file():
        raise NotFound(f"the bytes of {record.name} are gone", hint="Upload the file again.")
    return path


def remove(folder: Path, record: Upload) -> None:
    """Delete the bytes of an upload; its record stays."""
    shutil.rmtree(folder / record.id, ignore_errors=True)
