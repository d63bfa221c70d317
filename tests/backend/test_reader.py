"""Every format reads as its program wrote it: right numbers, right units, right signs, one frame at a time."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import json
import lzma
import tracemalloc
from pathlib import Path

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from isoline.formats.fault import Fault
from isoline.formats.raw_frame import RawFrame
from isoline.formats.reader import detect, open_frames
from isoline.units import BOHR, GPA, HARTREE

SHIPPED = Path(ase.__file__).parent / "test" / "testdata"  # output files that ASE brings along

CP2K = """\
 CP2K| version string:                                        CP2K version 2023.1
 CELL_TOP| Volume [angstrom^3]:                                       160.186000
 CELL| Vector a [angstrom]:       5.430     0.000     0.000   |a| =     5.430
 CELL| Vector b [angstrom]:       0.000     5.430     0.000   |b| =     5.430
 CELL| Vector c [angstrom]:       0.100     0.000     5.430   |c| =     5.431
 CELL| Periodicity                                                            XYZ

 MODULE QUICKSTEP: ATOMIC COORDINATES IN ANGSTROM

   Atom Kind Element         X             Y             Z       Z(eff)     Mass

      1    1 Si   14      0.000000      0.000000      0.000000  4.0000  28.0855
      2    1 Si   14      1.357500      1.357500      1.400000  4.0000  28.0855

 ENERGY| Total FORCE_EVAL ( QS ) energy ENERGY_UNIT              -7.860000000000000
"""
FORCES_2023 = """
 ATOMIC FORCES in [a.u.]

 # Atom   Kind   Element          X              Y              Z
      1      1      Si          0.01000000     0.00000000    -0.02000000
      2      1      Si         -0.01000000     0.00000000     0.02000000
 SUM OF ATOMIC FORCES           0.00000000     0.00000000     0.00000000     0.00000000
"""
FORCES_2025 = """
 FORCES| Atomic forces [hartree/bohr]
 FORCES|   Atom     x               y               z               |f|
 FORCES|      1  1.00000000E-02  0.00000000E+00 -2.00000000E-02   2.23606798E-02
 FORCES|      2 -1.00000000E-02  0.00000000E+00  2.00000000E-02   2.23606798E-02
 FORCES| Sum     0.00000000E+00  0.00000000E+00  0.00000000E+00   0.00000000E+00
"""
STRESS = """
 STRESS| Analytical stress tensor [UNIT]
 STRESS|                        x                   y                   z
 STRESS|      x        1.00000000000E+00   4.00000000000E+00   5.00000000000E+00
 STRESS|      y        4.00000000000E+00   2.00000000000E+00   6.00000000000E+00
 STRESS|      z        5.00000000000E+00   6.00000000000E+00   3.00000000000E+00
"""
END = "\n  **** **** ******  **  PROGRAM ENDED AT                 2024-01-01 00:00:00.000\n"
CP2K_OUTPUTS = {
    "2023": CP2K.replace("ENERGY_UNIT", "[a.u.]:") + FORCES_2023 + STRESS.replace("UNIT", "GPa") + END,
    "2025": CP2K.replace("ENERGY_UNIT", "[hartree]") + FORCES_2025 + STRESS.replace("UNIT", "GPa") + END,
    "bar": CP2K.replace("ENERGY_UNIT", "[hartree]") + FORCES_2025 + STRESS.replace("UNIT", "bar") + END,
}


def frames_of(path: Path, **options) -> list[RawFrame]:
    """All frames of a file that must have no faults."""
    read = list(open_frames(path, **options))
    faults = [str(item) for item in read if isinstance(item, Fault) and item.fatal]
    assert not faults
    return [item for item in read if isinstance(item, RawFrame)]


def wrote(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


# Extended XYZ -----------------------------------------------------------------------------------------------------


def random_atoms(seed: int) -> Atoms:
    random = np.random.default_rng(seed)
    atoms = bulk("NaCl", "rocksalt", 5.6, cubic=True)
    atoms.rattle(0.3, seed=seed)
    atoms.cell[1, 0] = 0.3 * seed
    atoms.calc = SinglePointCalculator(
        atoms, energy=random.normal(), forces=random.normal(size=(8, 3)), stress=random.normal(size=6)
    )
    atoms.info["config_type"] = f"kind {seed % 2}"
    return atoms


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_what_ase_wrote_reads_bit_for_bit(tmp_path, suffix):
    written = [random_atoms(seed) for seed in range(5)]
    text = io.StringIO()
    ase.io.write(text, written, format="extxyz")
    opener = {"": open, ".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}[suffix]
    path = tmp_path / f"salt.extxyz{suffix}"
    with opener(path, "wt") as stream:
        stream.write(text.getvalue())
    for index, (raw, atoms) in enumerate(
        zip(frames_of(path), ase.io.read(io.StringIO(text.getvalue()), ":", format="extxyz"), strict=True)
    ):
        assert raw.index == index
        np.testing.assert_array_equal(raw.numbers, atoms.numbers)
        np.testing.assert_array_equal(raw.positions, atoms.positions)
        np.testing.assert_array_equal(raw.cell, atoms.cell.array)
        np.testing.assert_array_equal(raw.pbc, atoms.pbc)
        np.testing.assert_array_equal(raw.arrays["forces"], atoms.calc.results["forces"])
        assert raw.info["energy"] == atoms.calc.results["energy"]
        assert raw.text("config_type") == atoms.info["config_type"]


def test_fluorine_is_no_falsehood(tmp_path):
    content = "1\nlg=F config_type=F number=007 Properties=species:S:1:pos:R:3\nF 0 0 0\n"
    (raw,) = frames_of(wrote(tmp_path / "f.xyz", content))
    assert (raw.text("lg"), raw.text("config_type"), raw.text("number")) == ("F", "F", "007")
    assert raw.numbers.tolist() == [9]


@pytest.mark.parametrize(
    ("header", "pbc"),
    [
        ("", [False] * 3),
        ('Lattice="4 0 0 0 4 0 0 0 4"', [True] * 3),
        ('Lattice="4 0 0 0 4 0 0 0 4" pbc="T T F"', [True, True, False]),
        ('Lattice="4 0 0 0 4 0 0 0 4" pbc="1 0 0"', [True, False, False]),
        ('Lattice="4 0 0 0 4 0 0 0 4" pbc=[F, F, T]', [False, False, True]),
        ('lattice="4 0 0 0 4 0 0 0 4" pbc=F', [False] * 3),
    ],
)
def test_boundary_conditions_are_ases(tmp_path, header, pbc):
    (raw,) = frames_of(wrote(tmp_path / "a.xyz", f"1\nProperties=species:S:1:pos:R:3 {header}\nH 0 0 0\n"))
    assert raw.pbc.tolist() == pbc


def test_a_skew_cell_keeps_its_rows(tmp_path):
    header = 'Lattice="1.5 2 3 4 5 6 7 8 10" Properties=species:S:1:pos:R:3'
    (raw,) = frames_of(wrote(tmp_path / "a.xyz", f"1\n{header}\nH 0 0 0\n"))
    np.testing.assert_array_equal(raw.cell, [[1.5, 2, 3], [4, 5, 6], [7, 8, 10]])


def test_a_plain_xyz_file_is_a_molecule_without_labels(tmp_path):
    (raw,) = frames_of(wrote(tmp_path / "a.xyz", "2\njust a comment, 50% of it\nH 0 0 0\r\nH 0 0 0.74\r\n"))
    assert not raw.pbc.any()
    assert not raw.cell.any()
    assert raw.positions[1, 2] == 0.74


def test_a_header_beyond_the_grammar_keeps_its_labels(tmp_path):
    header = 'Properties=species:S:1:pos:R:3 odd={1 2 weird=% energy=-3.5 note="x y"'
    (raw,) = frames_of(wrote(tmp_path / "a.xyz", f"1\n{header}\nH 0 0 0\n"))
    assert raw.info["energy"] == -3.5


def test_atomic_numbers_stand_for_symbols(tmp_path):
    (raw,) = frames_of(wrote(tmp_path / "a.xyz", "2\nProperties=Z:I:1:pos:R:3\n14 0 0 0\n8 1 1 1\n"))
    assert raw.numbers.tolist() == [14, 8]


def test_a_byte_order_mark_and_a_foreign_encoding_do_no_harm(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(b"\xef\xbb\xbf1\nProperties=species:S:1:pos:R:3 energy=-1.0 by=J\xf6rg\nH 0 0 0.5\n")
    (raw,) = frames_of(path)
    assert raw.info["energy"] == -1.0


def test_a_missing_last_line_end_is_only_remarked(tmp_path):
    read = list(open_frames(wrote(tmp_path / "a.xyz", "1\n\nH 0 0 0.5")))
    assert [isinstance(item, RawFrame) for item in read] == [True, False]
    assert not read[1].fatal


def test_a_large_file_is_read_in_little_memory(tmp_path):
    rows = "Si 0.0 1.0 2.0 3.0 4.0 5.0\n" * 50
    path = tmp_path / "large.extxyz.gz"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        for _ in range(20_000):
            stream.write(f"50\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.0\n{rows}")
    tracemalloc.start()
    count = sum(1 for _ in open_frames(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 16 << 20  # 27 MB of text, held as chunks of 1 MB


def test_the_first_frame_does_not_wait_for_the_last(tmp_path):
    fifo = tmp_path / "a.xyz"
    fifo.write_text("1\n\nH 0 0 0\n" * 200_000)
    tracemalloc.start()
    assert len(list(itertools.islice(open_frames(fifo), 3))) == 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_the_reference_data_hold_what_their_manifest_says(data):
    for card in json.loads((data / "manifest.json").read_text()).values():
        read = frames_of(data / card["file"])
        assert len(read) == card["frames"], card["file"]
        assert sum(len(raw) for raw in read) == card["atoms"], card["file"]


# CP2K -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", CP2K_OUTPUTS)
def test_cp2k_output_gives_energy_forces_stress_and_cell(tmp_path, version):
    (raw,) = frames_of(wrote(tmp_path / "si.out", CP2K_OUTPUTS[version]))
    assert raw.numbers.tolist() == [14, 14]
    np.testing.assert_allclose(raw.positions[1], [1.3575, 1.3575, 1.4])
    np.testing.assert_allclose(raw.cell, [[5.43, 0, 0], [0, 5.43, 0], [0.1, 0, 5.43]])
    assert raw.pbc.all()
    assert raw.results["energy"] == pytest.approx(-7.86 * HARTREE)
    np.testing.assert_allclose(raw.results["forces"][0], np.array([0.01, 0, -0.02]) * HARTREE / BOHR)
    unit = 1e-4 * GPA if version == "bar" else GPA
    # CP2K prints a pressure tensor; stress is its negative. Voigt order xx yy zz yz xz xy.
    np.testing.assert_allclose(raw.results["stress"], -np.array([1, 2, 3, 6, 5, 4]) * unit)


def test_several_cp2k_runs_in_one_file_are_several_frames(tmp_path):
    second = CP2K_OUTPUTS["2025"].replace("-7.86", "-7.99")
    read = frames_of(wrote(tmp_path / "runs.out", CP2K_OUTPUTS["2025"] + second))
    assert [raw.results["energy"] / HARTREE for raw in read] == pytest.approx([-7.86, -7.99])


def test_cp2k_energies_without_coordinates_are_remarked(tmp_path):
    more = " ENERGY| Total FORCE_EVAL ( QS ) energy [hartree]   -7.9\n" * 3
    read = list(open_frames(wrote(tmp_path / "md.out", CP2K_OUTPUTS["2025"] + more)))
    assert [isinstance(item, RawFrame) for item in read] == [True, False]
    assert "3 further energies" in read[1].message
    assert not read[1].fatal


def test_cp2k_output_cut_in_its_forces_is_a_fault(tmp_path):
    text = CP2K_OUTPUTS["2023"]
    read = list(open_frames(wrote(tmp_path / "cut.out", text[: text.index("      2      1      Si")])))
    assert any("forces of 2 atoms are expected, 1 found" in item.message for item in read if isinstance(item, Fault))


def test_a_cp2k_molecule_is_not_periodic(tmp_path):
    (raw,) = frames_of(wrote(tmp_path / "m.out", CP2K_OUTPUTS["2025"].replace("    XYZ\n", "    NONE\n")))
    assert not raw.pbc.any()


# What ASE reads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "format", "frames", "labels"),
    [
        ("vasp/OUTCAR_example_1", "vasp-out", 1, {"energy", "forces", "stress"}),
        ("vasp/vasprun_pstress.xml", "vasp-xml", 1, {"energy", "forces", "stress"}),
        ("vasp/vasprun_dfpt.xml", "vasp-xml", 1, {"energy", "forces", "stress"}),
        ("aims/md.out", "aims-output", 5, {"energy", "forces"}),
        ("aims/relax.out", "aims-output", 8, {"energy", "forces", "stress"}),
        ("aims/numerical_stress.out", "aims-output", 1, {"energy", "stress"}),
        ("aims/singlepoint.out", "aims-output", 1, {"energy", "forces"}),
        ("castep/md.castep", "castep-castep", 3, {"energy", "forces"}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_output_of_other_programs_reads_as_ase_reads_it(file, format, frames, labels):
    path = SHIPPED / file
    if not path.exists():
        pytest.skip(f"this ASE ships no {file}")
    assert detect(path) == format
    read = frames_of(path)
    assert len(read) == frames
    for raw, atoms in zip(read, ase.io.iread(path, ":", format=format), strict=True):
        assert labels <= raw.results.keys()
        assert raw.house_units
        np.testing.assert_array_equal(raw.positions, atoms.positions)
        for name in labels & atoms.calc.results.keys():
            np.testing.assert_array_equal(raw.results[name], atoms.calc.results[name])


@pytest.mark.filterwarnings("ignore")
def test_a_compressed_outcar_reads_the_same(tmp_path):
    path = SHIPPED / "vasp/OUTCAR_example_1"
    packed = tmp_path / "OUTCAR.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    (plain,), (unpacked,) = frames_of(path), frames_of(packed)
    np.testing.assert_array_equal(plain.results["forces"], unpacked.results["forces"])


@pytest.mark.filterwarnings("ignore")
def test_a_vasprun_that_was_cut_is_a_fault(tmp_path):
    text = (SHIPPED / "vasp/vasprun_pstress.xml").read_text()
    read = list(open_frames(wrote(tmp_path / "vasprun.xml", text[: len(text) // 2])))
    assert any(isinstance(item, Fault) and item.fatal for item in read)


@pytest.mark.filterwarnings("ignore")
def test_quantum_espresso_output_reads_with_forces(tmp_path):
    examples = pytest.importorskip("ase.test.fio.test_espresso")
    outputs = [text for text in vars(examples).values() if isinstance(text, str) and "Program PWSCF" in text]
    assert outputs
    for number, text in enumerate(outputs):
        path = wrote(tmp_path / f"{number}.log", text)
        assert detect(path) == "espresso-out"
        read = [item for item in open_frames(path) if isinstance(item, RawFrame)]
        assert read
        assert all("energy" in raw.results for raw in read)


@pytest.mark.parametrize("suffix", ["traj", "db", "traj.gz", "db.xz"])
def test_ase_databases_and_trajectories_read_bit_for_bit(tmp_path, suffix):
    plain = tmp_path / f"salt.{suffix.partition('.')[0]}"
    written = [random_atoms(seed) for seed in range(4)]
    if plain.suffix == ".db":
        with ase.db.connect(plain) as database:
            for atoms in written:
                database.write(atoms, config_type=atoms.info["config_type"], data={"ref_energy": 1.5})
    else:
        ase.io.write(plain, written)
    path = tmp_path / f"salt.{suffix}"
    if suffix.endswith(("gz", "xz")):
        path.write_bytes((gzip if suffix.endswith("gz") else lzma).compress(plain.read_bytes()))
    for raw, atoms in zip(frames_of(path), written, strict=True):
        np.testing.assert_array_equal(raw.positions, atoms.positions)
        np.testing.assert_array_equal(raw.results["forces"], atoms.calc.results["forces"])
        assert raw.results["energy"] == atoms.calc.results["energy"]
        assert raw.text("config_type") == atoms.info["config_type"]


def test_a_trajectory_without_labels_has_none(tmp_path):
    ase.io.write(tmp_path / "water.traj", molecule("H2O"))
    (raw,) = frames_of(tmp_path / "water.traj")
    assert raw.results == {}


def test_a_folder_and_a_missing_file_are_faults(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.xyz"):
        (fault,) = open_frames(path)
        assert isinstance(fault, Fault)
