"""Whatever is wrong with a file is told in one report with frame and atom, and nothing of the file is stored."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import random
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from sqlalchemy import func, select

from isoline.domain.actor import OWNER
from isoline.domain.contract import Contract
from isoline.errors import InvalidInput
from isoline.formats.fault import Fault
from isoline.formats.reader import open_frames
from isoline.formats.survey import Survey, survey_files
from isoline.services import intake
from isoline.store import tables

HEAD = 'Lattice="4.0 0 0 0 4.0 0 0 0 4.0" Properties=species:S:1:pos:R:3:forces:R:3 energy=-3.5 pbc="T T T"'
ROWS = "Si 0.0 0.0 0.0 0.1 0.0 0.0\nSi 1.9 2.0 2.1 -0.1 0.0 0.0\n"
GOOD = f"2\n{HEAD}\n{ROWS}"


def frame(head: str = HEAD, rows: str = ROWS, count: object = 2) -> str:
    return f"{count}\n{head}\n{rows}"


def wrote(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def looked_at(path: Path, contract: Contract | None = None, **options) -> Survey:
    *_, found = survey_files([path], contract or Contract(), **options)
    return found


# name: (content, frame, atom, field, words of the message)
MALFORMED: dict[str, tuple[str, int | None, int | None, str, str]] = {
    "truncated in a frame": (GOOD + GOOD[: GOOD.index("Si 1.9")], 1, 1, "file", "2 atoms announced, 1 rows found"),
    "truncated in a row": (GOOD + GOOD[:-12], 1, 1, "row", "7 values expected"),
    "truncated after the count": (GOOD + "2\n", 1, None, "file", "ends after the number of atoms"),
    "nan position": (GOOD + frame(rows=ROWS.replace("1.9", "nan")), 1, 1, "pos", "'nan' is not finite"),
    "inf force": (GOOD + frame(rows=ROWS.replace("-0.1", "-inf")), 1, 1, "forces", "'-inf' is not finite"),
    "nan energy": (GOOD + frame(HEAD.replace("-3.5", "nan")), 1, None, "energy", "not finite"),
    "text energy": (GOOD + frame(HEAD.replace("-3.5", "-3.5eV")), 1, None, "energy", "'-3.5eV' is not a number"),
    "nan stress": (frame(HEAD + ' stress="1 2 3 4 nan 6"'), 0, None, "stress", "not finite"),
    "short stress": (frame(HEAD + ' stress="1 2 3"'), 0, None, "stress", "not six or nine numbers"),
    "ragged row": (frame(rows=ROWS.replace(" -0.1 0.0 0.0", " -0.1 0.0")), 0, 1, "row", "7 values expected, 6 found"),
    "long row": (frame(rows=ROWS.replace("-0.1 0.0 0.0", "-0.1 0.0 0.0 5")), 0, 1, "row", "7 values expected, 8 found"),
    "word in a row": (frame(rows=ROWS.replace("2.1", "2.l")), 0, 1, "pos", "'2.l' is not a number"),
    "too few rows": (frame(count=3) + GOOD, 0, 2, "number of atoms", "3 atoms announced, 2 rows found"),
    "too many rows": (frame(count=1) + GOOD, 1, None, "number of atoms", "longer than it announces"),
    "count in words": (GOOD + frame(count="two"), 1, None, "number of atoms", "'two'"),
    "negative count": (frame(count=-2), 0, None, "number of atoms", "'-2'"),
    "fractional count": (frame(count="2.0"), 0, None, "number of atoms", "'2.0'"),
    "huge count": (frame(count=99999999999), 0, None, "number of atoms", "at most"),
    "endless count": (frame(count="9" * 40), 0, None, "number of atoms", "999"),
    "no atoms": (GOOD + frame(rows="", count=0) + GOOD, 1, None, "number of atoms", "no atoms"),
    "periodic without a cell": (frame(HEAD.split('4.0" ')[1]), 0, None, "Lattice", "without a cell"),
    "cell of zeros": (frame(HEAD.replace("4.0", "0.0")), 0, None, "Lattice", "periodic (T T T) without a cell"),
    "flat cell": (frame(HEAD.replace("0 0 0 4.0 0 ", "0 0 4.0 0 0 ", 1)), 0, None, "Lattice", "no volume"),
    "short cell": (frame(HEAD.replace(" 0 0 0 4.0\"", '"')), 0, None, "Lattice", "nine"),
    "cell with nan": (frame(HEAD.replace('"4.0', '"nan')), 0, None, "Lattice", "finite"),
    "pbc of words": (frame(HEAD.replace("T T T", "T maybe T")), 0, None, "pbc", "T or F"),
    "unknown element": (frame(rows=ROWS.replace("Si 1.9", "Sj 1.9")), 0, 1, "species", "unknown element 'Sj'"),
    "atoms in one place": (frame(rows=ROWS.replace("1.9 2.0 2.1", "0.0 0.01 0.0")), 0, 0, "pos", "0.010 Å from atom 1"),
    "atoms meet over the border": (frame(rows=ROWS.replace("1.9 2.0 2.1", "3.9 4.0 4.0")), 0, 0, "pos", "0.100 Å from"),
    "an atom meets itself": (frame(HEAD.replace('"4.0 0 0', '"0.2 0 0')), 0, 0, "pos", "its own periodic image"),
    "endless field": (frame(rows=ROWS.replace("2.1", "x" * 3000)), 0, 1, "pos", "has 3000 characters"),
    "endless name": (frame(HEAD.replace("forces", "f" * 3000)), 0, None, "Properties", "name has 3000 characters"),
    "endless columns": (frame(HEAD.replace("forces:R:3", "a:R:9999:b:R:9999")), 0, None, "Properties", "more"),
    "key twice": (frame(HEAD + " energy=-4.0"), 0, None, "energy", "stands twice"),
    "bad column type": (frame(HEAD.replace("pos:R:3", "pos:Q:3")), 0, None, "Properties", "pos:Q:3"),
    "bad properties": (frame(HEAD.replace("pos:R:3", "pos:R")), 0, None, "Properties", "name:type:columns"),
    "no positions": (frame(HEAD.replace("pos:R:3", "velo:R:3")), 0, None, "pos", "no column pos"),
    "no species": (frame(HEAD.replace("species:S:1", "label:S:1")), 0, None, "species", "no column species"),
    "ragged forces": (frame(HEAD.replace("forces:R:3", "forces:R:2:x:R:1")), 0, None, "forces", "(2, 3) numbers"),
    "skew stress": (frame(HEAD + ' stress="1 2 3 4 5 6 7 8 9"'), 0, None, "stress", "symmetric"),
    "empty": ("", None, None, "file", "empty"),
    "blank": ("\n \n\n", None, None, "file", "empty"),
    "only text": ("Dear colleague,\nplease find the data attached.\n", None, None, "file", "format is not known"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_fault_is_told_where_it_is(name, tmp_path):
    content, at, atom, field, words = MALFORMED[name]
    found = looked_at(wrote(tmp_path / ("bad.txt" if name == "only text" else "bad.extxyz"), content))
    told = [(fault.frame, fault.atom, fault.field) for fault in found.faults]
    assert (at, atom, field) in told, f"told instead: {[str(fault) for fault in found.faults]}"
    message = next(
        fault.message for fault in found.faults if (fault.frame, fault.atom, fault.field) == (at, atom, field)
    )
    assert words in message


def test_nothing_of_a_refused_file_is_stored(bench_sqlite, tmp_path):
    good = wrote(tmp_path / "good.xyz", GOOD)
    for name, (content, *_) in MALFORMED.items():
        bad = wrote(tmp_path / "bad.xyz", content)
        with pytest.raises(InvalidInput) as refusal:
            list(intake.import_files(bench_sqlite, OWNER, [good, bad], name))
        assert refusal.value.details
        assert {"file", "frame", "atom", "field", "message"} == set(refusal.value.details[0])
    with bench_sqlite.read() as connection:
        for table in (tables.structure, tables.label, tables.dataset, tables.source, tables.level_of_theory):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


def test_all_faults_come_in_one_report(tmp_path):
    parts = [content for content, at, *_ in MALFORMED.values() if at is not None and not content.startswith(GOOD)]
    found = looked_at(wrote(tmp_path / "all.extxyz", GOOD.join(parts) + GOOD))
    assert found.n_faults >= len(parts) - 1
    assert len({fault.field for fault in found.faults}) >= 8


def test_a_report_stays_short_and_counts_everything(tmp_path):
    found = looked_at(wrote(tmp_path / "many.extxyz", frame(rows=ROWS.replace("1.9", "nan")) * 1000))
    assert found.n_faults == 1000
    assert len(found.faults) == 200


def test_frames_around_a_fault_keep_their_numbers(tmp_path):
    path = wrote(
        tmp_path / "mixed.extxyz", GOOD + frame(rows=ROWS.replace("1.9", "nan")) + GOOD + frame(count=3) + GOOD
    )
    read = list(open_frames(path))
    assert [item.frame if isinstance(item, Fault) else item.index for item in read] == [0, 1, 2, 3, 4]
    assert [isinstance(item, Fault) for item in read] == [False, True, False, True, False]


def test_a_wrong_key_is_told_with_the_keys_there_are(tmp_path):
    path = wrote(tmp_path / "good.extxyz", GOOD)
    found = looked_at(path, Contract(energy_key="dft_energy", forces_key="force"))
    assert [fault.field for fault in found.faults] == ["energy_key", "forces_key"]
    assert "'dft_energy'" in found.faults[0].message
    assert "found for it: energy" in found.faults[0].message


@pytest.mark.parametrize("ratio", [27.211386, 13.605693])
def test_units_mixed_between_frames_are_told_for_the_frames_in_the_other_unit(tmp_path, ratio):
    energies = [-107.1 - 0.01 * i for i in range(12)]
    for strange in (3, 7):
        energies[strange] /= ratio
    text = "".join(frame(HEAD.replace("-3.5", f"{energy:.8f}")) for energy in energies)
    found = looked_at(wrote(tmp_path / "mixed.extxyz", text))
    assert [fault.frame for fault in found.faults] == [3, 7]
    assert all("mixed units" in fault.message for fault in found.faults)


COMPRESSED = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("kept", [10, 0.5, 0.98])
def test_compressed_data_that_end_early_are_a_fault(tmp_path, suffix, kept):
    random.seed(1)
    text = "".join(frame(rows=ROWS.replace("1.9", f"1.9{random.random():.12f}"[:14])) for _ in range(2000))
    packed = COMPRESSED[suffix](text.encode())
    path = wrote(tmp_path / f"cut.extxyz.{suffix}", packed[: kept if kept > 1 else int(kept * len(packed))])
    found = looked_at(path)
    assert any("end early" in fault.message for fault in found.faults)


def test_a_damaged_byte_in_compressed_data_is_a_fault(tmp_path):
    packed = bytearray(gzip.compress(GOOD.encode() * 500))
    packed[len(packed) // 2] ^= 0xFF
    assert looked_at(wrote(tmp_path / "bad.xyz.gz", bytes(packed))).n_faults


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_false_suffix_is_a_fault(tmp_path, suffix):
    found = looked_at(wrote(tmp_path / f"plain.xyz.{suffix}", GOOD))
    assert "the content is not" in found.faults[0].message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"a": 1}), "pickle"),
        (b"PK\x03\x04" + b"\0" * 100, "zip"),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 40, "zstd"),
        (bytes(range(256)) * 40, "not a text file"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 99, "HDF5"),
        (GOOD.encode() * 2500 + b"\0\0\0" + GOOD.encode(), "zero byte"),
        (zlib.compress(b"abc" * 999), ""),
    ],
)
def test_what_is_not_text_is_refused_by_name(tmp_path, content, words):
    found = looked_at(wrote(tmp_path / "junk.extxyz", content))
    assert found.n_faults
    assert words in found.faults[0].message


def test_a_python_pickle_is_never_opened(tmp_path):
    witness = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return Path.touch, (witness,)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for name in ("a.traj", "a.pckl", "a.xyz", "a.db", "OUTCAR"):
            assert looked_at(wrote(tmp_path / name, pickle.dumps(Attack(), protocol))).n_faults
    assert not witness.exists()


@pytest.mark.parametrize("name", ["long.extxyz", "OUTCAR"])
def test_a_line_beyond_the_limit_is_a_fault(tmp_path, name):
    path = wrote(tmp_path / name, GOOD + "2\n" + HEAD + " note=" + "x" * 5_000_000 + "\n" + ROWS)
    found = looked_at(path, line_limit=1 << 20)
    assert any("longer than 1048576 bytes" in fault.message for fault in found.faults)


def test_a_line_of_two_gigabytes_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "endless.extxyz.gz"
    block = gzip.compress(b"x" * (64 << 20), compresslevel=1)
    with path.open("wb") as stream:
        stream.write(gzip.compress(f"2\n{HEAD} note=".encode()))
        for _ in range(32):
            stream.write(block)
    tracemalloc.start()
    found = looked_at(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "longer than" in found.faults[0].message
    assert peak < 64 << 20


FUZZ = """
import random, sys, warnings
from pathlib import Path
from isoline.domain.contract import Contract
from isoline.formats.survey import survey_files
seed, path = int(sys.argv[1]), Path(sys.argv[2])
good = Path(sys.argv[3]).read_bytes()
warnings.simplefilter("error")
draw = random.Random(seed)
tokens = [b"nan", b"0", b"-1", b"1e999", b'"', b"=", b"\\n", b" ", b"T", b"99999999", b"\\r\\n"]
tokens += [b"Lattice", b"{", b"]", b"\\xff", b"1D5", b":R:3", b"e", b"x" * 3000, b"[" * 3000, b":S:0", b"' "]
for _ in range(200):
    data = bytearray(good)
    for _ in range(draw.randint(1, 6)):
        at, span = draw.randrange(len(data)), draw.randint(0, 12)
        junk = bytes(draw.randrange(256) for _ in range(3))
        data[at : at + span] = draw.choice(tokens) if draw.random() < 0.7 else junk
    path.write_bytes(data)
    *_, found = survey_files([path], Contract())
    assert found.n_frames or found.n_faults
print("survived")
"""


@pytest.mark.parametrize("junk", ["x", "[", "k={ ", "k=[[", '"', "a=b ", " ", "Properties=", "\\"])
def test_no_header_makes_the_reader_slow(tmp_path, junk):
    path = wrote(tmp_path / "slow.extxyz", frame(HEAD + " note=1" + junk * (500_000 // len(junk))))
    start = time.process_time()
    list(open_frames(path))
    assert time.process_time() - start < 20


@pytest.mark.parametrize("seed", range(3))
def test_no_damage_crashes_the_reader(tmp_path, seed):
    # In a process of its own: the parser is C, and a crash would take the tests with it.
    virial = frame(HEAD + ' virial="1 0 0 0 1 0 0 0 1" note="a b" lg=F config_type=x')
    good = wrote(tmp_path / "good.extxyz", GOOD + virial + GOOD)
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(seed), str(tmp_path / "fuzzed.extxyz"), str(good)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "survived", f"exit {done.returncode}: {done.stderr[-2000:]}"
