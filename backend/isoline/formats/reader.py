"""Frames of any file that Isoline imports, streamed: the format by content, compression undone on the way."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import InvalidInput
from .ase_files import SIGNATURES, TITLES, read_ase_file
from .cp2k import read_cp2k
from .extended_xyz import COUNT, read_extended_xyz
from .fault import Fault
from .raw_frame import RawFrame
from .stream import BROKEN_STREAM, CHUNK, LINE_LIMIT, Unreadable, bare_name, compression, open_stream

SNIFFED = 256 << 10  # bytes looked at to tell the format
LARGEST_UNPACKED = 64 << 30  # bytes of a compressed file that has to be unpacked to disk before ASE can read it

REFUSED: dict[bytes, str] = {
    b"\x80": "a Python pickle; such a file can run any program when it is opened, so it never is",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; recompress it with gzip or xz",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a NetCDF file",
    b"%PDF": "a PDF document",
}


def open_frames(
    path: Path, format: str | None = None, *, name: str = "", line_limit: int = LINE_LIMIT
) -> Iterator[RawFrame | Fault]:
    """Every frame of a file in order, and a fault for each thing wrong with it; memory stays bounded by one frame.

    name    how faults call the file, default its own name
    format  one of `ase_files.TITLES`; told from the content when it is not given
    """
    name = name or path.name
    try:
        format = format or detect(path)
        if format not in TITLES:
            raise Unreadable(f"the format '{format}' is not one of {', '.join(TITLES)}")
        if format in ("extxyz", "cp2k"):
            with open_stream(path) as stream:
                read = read_extended_xyz if format == "extxyz" else read_cp2k
                yield from read(stream, name, line_limit)
        elif compression(path):
            with tempfile.TemporaryDirectory(prefix="isoline-") as folder:
                plain = Path(folder) / bare_name(path)
                _unpack(path, plain)
                yield from read_ase_file(plain, format, name, line_limit)
        else:
            yield from read_ase_file(path, format, name, line_limit)
    except Unreadable as error:
        yield Fault(file=name, field="file", message=str(error))
    except OSError as error:
        yield Fault(file=name, field="file", message=f"cannot be read: {error.strerror or error}")


def detect(path: Path) -> str:
    """The format of a file, one of `ase_files.TITLES`, by its content.

    Raises Unreadable with what the file seems to be when it is none of them.
    """
    try:
        with open_stream(path) as stream:
            start = stream.read(SNIFFED)
    except BROKEN_STREAM as error:
        if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
            raise
        raise Unreadable(f"the compressed data are damaged or end early ({error or type(error).__name__})") from error
    if not start.strip():
        raise Unreadable("the file is empty")
    if start.startswith(b"SQLite format 3\0"):
        return "db"
    if start.startswith((b"- of UlmASE-Trajectory", b"AFFormatASE-Trajectory")):
        return "traj"
    for magic, what in REFUSED.items():
        if start.startswith(magic):
            raise Unreadable(f"this is {what}")
    if b"\0" in start:
        raise Unreadable("not a text file, and not one of the binary formats known here")
    if b"CP2K|" in start:
        return "cp2k"
    for format, signatures in SIGNATURES.items():
        if any(signature in start for signature in signatures):
            return format
    bare = bare_name(path).lower()
    if "outcar" in bare:
        return "vasp-out"
    first = start.lstrip().split(b"\n", 1)[0]
    if COUNT.match(first) or bare.endswith((".xyz", ".extxyz")):
        return "extxyz"
    raise Unreadable(f"the format is not known; Isoline reads {', '.join(TITLES.values())}")


def _unpack(path: Path, plain: Path) -> None:
    """Decompress to disk, bounded. Raises Unreadable when the data are damaged or too large."""
    room = min(LARGEST_UNPACKED, shutil.disk_usage(plain.parent).free // 2)
    try:
        with open_stream(path) as stream, open(plain, "wb") as out:
            while chunk := stream.read(CHUNK):
                room -= len(chunk)
                if room < 0:
                    raise Unreadable("it unpacks to more than half of the free disk space, or more than 64 GiB")
                out.write(chunk)
    except BROKEN_STREAM as error:
        raise Unreadable(f"the compressed data are damaged or end early ({error or type(error).__name__})") from error


def check_paths(paths: list[Path]) -> list[Path]:
    """The files of an import. Raises InvalidInput for none, for one that is not a file, and for one named twice."""
    if not paths:
        raise InvalidInput("no files to import", hint="Name at least one file.")
    for path in paths:
        if not path.is_file():
            what = "a folder" if path.is_dir() else "not there"
            raise InvalidInput(f"{path} is {what}", hint="Check the name; folders are imported file by file.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InvalidInput("the same file is named twice", hint="Name each file once.")
    return paths
