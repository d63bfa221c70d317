"""Bytes of a file as a stream of bounded lines, decompressed on the way."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInput

CHUNK = 1 << 20
LINE_LIMIT = 8 << 20  # bytes; the longest header met in public data has about 20 kB

MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}
BROKEN_STREAM = (EOFError, OSError, zlib.error, lzma.LZMAError)


class Unreadable(InvalidInput):
    """A stream that cannot be read on; the message is for people."""


def compression(path: Path) -> str:
    """ "gzip", "bzip2", "xz" or "" by content.

    Raises Unreadable when the name promises a compression that the content does not have.
    """
    with open(path, "rb") as raw:
        start = raw.read(6)
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "")
    promised = SUFFIXES.get(path.suffix.lower(), "")
    if promised and start and found != promised:
        raise Unreadable(f"the name ends with {path.suffix}, but the content is not {promised} data")
    return found


@contextmanager
def open_stream(path: Path) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file. Raises Unreadable for a false suffix."""
    kind = compression(path)
    opener = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open, "": open}[kind]
    with opener(path, "rb") as stream:
        yield stream


def bare_name(path: Path) -> str:
    """File name without a compression suffix."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


class Lines:
    """Lines of a byte stream, read in chunks; no line longer than `limit` is ever held.

    `number` is the 0-based number of the next line. All methods raise Unreadable when the stream breaks.
    """

    def __init__(self, stream: BinaryIO, limit: int = LINE_LIMIT):
        self.stream = stream
        self.limit = limit
        self.number = 0
        self.ends_with_newline = True
        self._buffer: list[bytes] = []
        self._at = 0
        self._rest = b""
        self._ended = False

    def _fill(self) -> bool:
        """Read one more chunk into the buffer; False at the end."""
        if self._ended:
            return False
        try:
            chunk = self.stream.read(CHUNK)
        except BROKEN_STREAM as error:
            raise Unreadable(f"the data end early or are damaged ({error or type(error).__name__})") from error
        if b"\0" in chunk:
            raise Unreadable(f"not a text file: a zero byte near line {self.number + 1}")
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if not chunk:
            self._ended = True
            if self._rest:
                self.ends_with_newline = False
                lines.append(self._rest)
                self._rest = b""
        if len(self._rest) > self.limit:
            line = self.number + len(self._buffer) - self._at + len(lines) + 1
            raise Unreadable(f"line {line} is longer than {self.limit} bytes")
        self._buffer = self._buffer[self._at :] + lines if self._at < len(self._buffer) else lines
        self._at = 0
        return True

    def take(self, count: int) -> list[bytes]:
        """The next `count` lines without their line ends; fewer at the end of the stream."""
        while len(self._buffer) - self._at < count and self._fill():
            pass
        lines = self._buffer[self._at : self._at + count]
        self._at += len(lines)
        self.number += len(lines)
        return lines

    def give_back(self, lines: list[bytes]) -> None:
        """Put lines just taken in front again."""
        self._buffer = lines + self._buffer[self._at :]
        self._at = 0
        self.number -= len(lines)
