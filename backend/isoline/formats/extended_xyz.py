"""Extended XYZ, frame by frame: the C parser on text that was split and bounded here.

A frame that the C parser refuses is read again line by line, so that each fault gets its atom and its field.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

import numpy as np
from ase.data import atomic_numbers
from extxyz import cextxyz

from .fault import Fault
from .raw_frame import RawFrame
from .stream import LINE_LIMIT, Lines, Unreadable

MOST_ATOMS = 1_000_000  # per frame; a count beyond this is taken for damage
MOST_COLUMNS = 10_000
FAULTS_PER_FRAME = 5
LONGEST_FIELD = 500  # characters
LONGEST_NAME = 100
LONGEST_HEADER = 1 << 16
PLAIN = "species:S:1:pos:R:3"

COUNT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(\d+)\s*\Z")  # some editors put a byte order mark first
PROPERTIES = re.compile(rb"(?:^|\s)Properties\s*=\s*\"?([^\s\"]+)", re.IGNORECASE)
ENTRY = re.compile(  # bounded, so that no header makes it slow
    rb"(?:^|(?<=\s))(\"[^\"]{1,200}\"|[^\s=\"']{1,200}+)\s{0,9}=\s{0,9}"
    rb"(\"[^\"]{0,65536}\"|'[^']{0,9999}'|\{[^}]{0,9999}\}|\[[^\]]{0,9999}\](?:\s*\])?|\S+)"
)

_fmemopen = ctypes.CDLL(None).fmemopen
_fmemopen.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
_fmemopen.restype = cextxyz.FILE_ptr


def read_extended_xyz(stream: BinaryIO, file: str, line_limit: int = LINE_LIMIT) -> Iterator[RawFrame | Fault]:
    """Every frame of a stream, and a fault for each thing wrong; after a fault it goes on with the next frame."""
    lines = Lines(stream, line_limit)
    index = 0
    try:
        while True:
            count = _next_count(lines)
            if count is None:
                break
            if isinstance(count, bytes):
                shown = count[:60].decode("utf-8", "replace").strip()
                yield Fault(
                    file=file,
                    frame=index,
                    field="number of atoms",
                    message=(
                        f"the number of atoms is expected here, found '{shown}' (line {lines.number}); "
                        "is the frame before longer than it announces?"
                        if index
                        else f"the number of atoms is expected here, found '{shown}' (line {lines.number})"
                    ),
                )
                if not _skip_to_frame(lines):
                    break
                index += 1
                continue
            yield from _read_frame(lines, count, index, file)
            index += 1
    except Unreadable as error:
        yield Fault(file=file, frame=index, field="file", message=str(error))
        return
    if not lines.ends_with_newline and index:
        yield Fault(
            file=file, frame=index - 1, field="file", fatal=False,
            message="the file does not end with a line end; its last number may be cut",
        )  # fmt: skip


def _next_count(lines: Lines) -> int | bytes | None:
    """The number of atoms on the next line that is not blank, the line itself if it is no number, None at the end."""
    while taken := lines.take(1):
        if taken[0].strip():
            match = COUNT.match(taken[0])
            return int(match.group(1)) if match and len(match.group(1)) < 19 else taken[0]
    return None


def _starts_frame(first: bytes, second: bytes) -> bool:
    return COUNT.match(first) is not None and b"=" in second


def _skip_to_frame(lines: Lines) -> bool:
    """Move to the next pair of lines that can begin a frame; False when there is none."""
    before = lines.take(1)
    while before and (line := lines.take(1)):
        if _starts_frame(before[0], line[0]):
            lines.give_back(before + line)
            return True
        before = line
    return False


def _read_frame(lines: Lines, count: int, index: int, file: str) -> Iterator[RawFrame | Fault]:
    def fault(message: str, field: str, atom: int | None = None) -> Fault:
        return Fault(file=file, frame=index, atom=atom, field=field, message=message)

    if count > MOST_ATOMS:
        yield fault(f"{count} atoms in one frame; at most {MOST_ATOMS} are read", "number of atoms")
        _skip_to_frame(lines)
        return
    header = lines.take(1)
    rows = lines.take(count)
    if not header:
        yield fault("the file ends after the number of atoms", "file")
        return
    if count == 0:
        # The C parser (extxyz 0.4.6) crashes the process on zero atoms.
        yield fault("the frame has no atoms", "number of atoms")
        return
    text = header[0].replace(b"\r", b"")
    parsed = _parse_in_c(text, rows) if len(rows) == count else None
    if parsed is None:
        ahead = lines.take(1)
        lines.give_back(ahead)
        begins = _swallowed_frame(rows + ahead)
        if begins is not None:
            lines.give_back(rows[begins:])
            yield fault(f"{count} atoms announced, {begins} rows found", "number of atoms", begins)
            return
        if len(rows) < count:
            told = f"the file ends inside the frame: {count} atoms announced, {len(rows)} rows found"
            yield fault(told, "file", len(rows) or None)
            return
        parsed = _parse_slowly(text, rows)
        if isinstance(parsed, list):
            yield from (fault(*told) for told in parsed)
            return
    if text.count(b"=") > len(parsed[0]):
        yield from (fault(f"the key '{key}' stands twice in the header", key) for key in _repeated(text))
    frame = _build(index, text, *parsed)
    if isinstance(frame, list):
        yield from (fault(*told) for told in frame)
    else:
        yield frame


def _swallowed_frame(rows: list[bytes]) -> int | None:
    """Where among `rows` the next frame begins, because the one before has fewer rows than it announced."""
    return next((row for row in range(len(rows) - 1) if _starts_frame(rows[row], rows[row + 1])), None)


def _parse_slowly(header: bytes, rows: list[bytes]) -> tuple[dict, dict] | list[tuple]:
    """(info, arrays) of a frame that the C parser refused, or every (message, field, atom) that explains why."""
    properties = _properties(header)
    columns = _columns(properties)
    if isinstance(columns, str):
        return [(columns, "Properties")]
    faults = list(_diagnose(rows, columns))
    if faults:
        return faults
    parsed = _parse_in_c(b"Properties=" + properties.encode(), rows)
    return (read_header(header), parsed[1]) if parsed else [("the frame cannot be parsed", "frame")]


def _build(index: int, header: bytes, info: dict, arrays: dict) -> RawFrame | list[tuple]:
    """The frame, or every (message, field, atom) that keeps it from being one."""
    info.pop("Properties", None)
    numbers = _atomic_numbers(arrays)
    if isinstance(numbers, str):
        return [(numbers, "species")]
    if not numbers.all():
        unknown = np.flatnonzero(numbers == 0)[:FAULTS_PER_FRAME]
        species = arrays.get("species", numbers)
        return [(f"unknown element '{species[atom]}'", "species", int(atom)) for atom in unknown]
    positions = arrays.pop("pos", None)
    if positions is None:
        positions = arrays.pop("positions", None)
    if positions is None or positions.shape != (len(numbers), 3) or positions.dtype.kind not in "fi":
        return [("there is no column pos:R:3", "pos")]
    cell = read_cell(info)
    if isinstance(cell, str):
        return [(cell, "Lattice")]
    pbc = read_pbc(info, has_cell=bool(cell.any()))
    if isinstance(pbc, str):
        return [(pbc, "pbc")]
    for key in ("species", "Z", "numbers", "atomic_numbers"):
        arrays.pop(key, None)
    return RawFrame(index, numbers, positions.astype("<f8", copy=False), cell, pbc, info, arrays, {}, header)


def _parse_in_c(header: bytes, rows: list[bytes]) -> tuple[dict, dict] | None:
    """(info, arrays) of one frame, None when the C parser refuses it or must not see it."""
    if not _safe_for_c(header, rows):
        return None
    text = b"%d\n%b\n%b\n" % (len(rows), header, b"\n".join(rows))
    handle = _fmemopen(text, len(text), b"r")
    try:
        _, info, arrays = cextxyz.read_frame_dicts(handle, use_cleri=False)
    except (cextxyz.ExtXYZError, EOFError, ValueError):
        return None
    finally:
        cextxyz.cfclose(handle)
    return info, arrays


def _safe_for_c(header: bytes, rows: list[bytes]) -> bool:
    """Whether nothing here can overrun the C parser: extxyz 0.4.6 copies what it refuses into 1024 bytes, unchecked."""
    if len(header) > LONGEST_HEADER or isinstance(_columns(_properties(header)), str):
        return False
    longest = max(rows, key=len)
    return len(longest) <= LONGEST_FIELD or max(map(len, b" ".join(rows).split()), default=0) <= LONGEST_FIELD


def _properties(header: bytes) -> str:
    match = PROPERTIES.search(header)
    return match.group(1).decode("utf-8", "replace") if match else PLAIN


@lru_cache(maxsize=256)
def _columns(properties: str) -> tuple[tuple[str, str], ...] | str:
    """(name, type letter) of every column, or what is wrong with `Properties`."""
    parts = properties.split(":")
    if len(parts) % 3:
        return f"'{':'.join(parts)[:80]}' is not a list of name:type:columns"
    columns: list[tuple[str, str]] = []
    for name, kind, width in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
        if len(name) > LONGEST_NAME:
            return f"a column's name has {len(name)} characters"
        if kind not in ("S", "R", "I", "L") or not width.isdigit() or not 0 < int(width) <= MOST_COLUMNS:
            return f"'{name}:{kind}:{width}' is not name:type:columns with type S, R, I or L"
        columns += [(name, kind)] * int(width)
        if len(columns) > MOST_COLUMNS:
            return f"more than {MOST_COLUMNS} columns"
    return tuple(columns)


def _diagnose(rows: list[bytes], columns: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str, int]]:
    """(message, field, atom) of the rows that do not fit the columns."""
    told = 0
    for atom, row in enumerate(rows):
        fields = row.split()
        if len(fields) != len(columns):
            yield f"{len(columns)} values expected, {len(fields)} found", "row", atom
            told += 1
        else:
            for (name, kind), field in zip(columns, fields, strict=True):
                if problem := _field_problem(kind, field):
                    yield problem, name, atom
                    told += 1
                    break
        if told >= FAULTS_PER_FRAME:
            return


def _field_problem(kind: str, field: bytes) -> str:
    shown = field[:40].decode("utf-8", "replace")
    if len(field) > LONGEST_FIELD:
        return f"'{shown}…' has {len(field)} characters"
    if kind == "R":
        try:
            value = float(field.replace(b"D", b"E").replace(b"d", b"e"))
        except ValueError:
            return f"'{shown}' is not a number"
        return "" if np.isfinite(value) else f"'{shown}' is not finite"
    if kind == "I" and not re.fullmatch(rb"[+-]?\d+", field):
        return f"'{shown}' is not a whole number"
    if kind == "L" and field not in (b"T", b"F", b"True", b"False", b"TRUE", b"FALSE", b"true", b"false"):
        return f"'{shown}' is not T or F"
    return ""


def read_header(header: bytes) -> dict[str, object]:
    """Key-value pairs of a header that the C grammar refuses: numbers as numbers, everything else as text."""
    info: dict[str, object] = {}
    for key, value in ENTRY.findall(header):
        text = value.decode("utf-8", "replace").strip("\"'")
        try:
            info[key.decode("utf-8", "replace").strip('"')] = float(text)
        except ValueError:
            info[key.decode("utf-8", "replace").strip('"')] = text
    return info


def _repeated(header: bytes) -> list[str]:
    keys = Counter(key.decode("utf-8", "replace").strip('"') for key, _ in ENTRY.findall(header))
    return sorted(key for key, times in keys.items() if times > 1)


def _atomic_numbers(arrays: dict[str, np.ndarray]) -> np.ndarray | str:
    """(atoms,) uint8, 0 for an unknown element; or what is wrong."""
    species = arrays.get("species")
    if species is None:
        species = next((arrays[key] for key in ("Z", "numbers", "atomic_numbers") if key in arrays), None)
    if species is None or species.ndim != 1:
        return "there is no column species:S:1"
    if species.dtype.kind in "if":
        return np.where((species > 0) & (species < 119), species, 0).astype(np.uint8)
    symbols = species.tolist()
    if symbols[0].isdigit():
        return np.array([int(s) if s.isdigit() and len(s) < 4 and int(s) < 119 else 0 for s in symbols], dtype=np.uint8)
    return np.array([atomic_numbers.get(symbol, 0) for symbol in symbols], dtype=np.uint8)


def read_cell(info: dict[str, object]) -> np.ndarray | str:
    """Take `Lattice` out of `info`: (3, 3) row vectors, zeros where there is none; or what is wrong."""
    key = "Lattice" if "Lattice" in info else next((key for key in info if key.lower() == "lattice"), None)
    if key is None:
        return np.zeros((3, 3))
    value = info.pop(key)
    if isinstance(value, np.ndarray) and value.shape == (3, 3) and value.dtype.kind in "fi":
        # The C parser hands vectors over as columns.
        return np.array(value.T, dtype=float, order="C")
    try:
        values = np.array(value.split() if isinstance(value, str) else value, dtype=float)
    except (ValueError, TypeError, AttributeError):
        return f"'{str(value)[:60]}' is not nine numbers"
    if values.size != 9:
        return f"{values.size} numbers where nine are expected"
    return values.reshape(3, 3)


def read_pbc(info: dict[str, object], has_cell: bool) -> np.ndarray | str:
    """Take `pbc` out of `info`: (3,) bool; without one, periodic exactly when there is a cell (as ASE does)."""
    key = "pbc" if "pbc" in info else next((key for key in info if key.lower() == "pbc"), None)
    if key is None:
        return np.full(3, has_cell)
    value = info.pop(key)
    if isinstance(value, np.ndarray) and value.shape == (3,):
        return value.astype(bool)
    if isinstance(value, str):
        words = value.replace(",", " ").strip("[]() ").split()
        truth = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
        value = [truth.get(word.lower()) for word in words]
        if None in value:
            return f"'{' '.join(words)[:40]}' is not three of T or F"
    flags = np.atleast_1d(np.asarray(value))
    if flags.size == 1:
        flags = np.repeat(flags, 3)
    if flags.shape != (3,):
        return f"{flags.size} values where three of T or F are expected"
    return flags.astype(bool)
