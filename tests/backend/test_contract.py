"""The label contract: the right key is proposed, units and signs are turned once, what is missing stays missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.units import create_units

from isoline.domain.contract import Contract
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline.formats.candidates import label_kind, likeliest
from isoline.formats.contract import interpret
from isoline.formats.evidence import all_electron_unit, energy_scaling
from isoline.formats.raw_frame import RawFrame
from isoline.formats.reader import open_frames
from isoline.formats.survey import Survey, survey_files

UNITS = create_units("2018")
CELL = 'Lattice="4.0 0 0 0 4.0 0 0 0 5.0" Properties=species:S:1:pos:R:3:forces:R:3'
ROWS = "Si 0.0 0.0 0.0 0.1 0.0 0.0\nSi 1.9 2.0 2.1 -0.1 0.0 0.0\n"
VOLUME = 80.0  # Å³


def frame(labels: str, columns: str = CELL, rows: str = ROWS) -> str:
    return f"2\n{columns} {labels}\n{rows}"


def surveyed(path: Path, text: str, **choices) -> Survey:
    path.write_text(text)
    *_, found = survey_files([path], Contract.chosen(**choices))
    assert not found.n_faults, [str(fault) for fault in found.faults]
    return found


def read(path: Path, text: str, **choices) -> list[Frame]:
    found = surveyed(path, text, **choices)
    return [interpret(raw, found.contract) for raw in open_frames(path) if isinstance(raw, RawFrame)]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "labels.extxyz"


# Which key -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("energy", "energy"), ("REF_energy", "energy"), ("dft_energy", "energy"), ("free_energy", "energy"),
        ("Energy", "energy"), ("E", "energy"), ("TOTEN", "energy"), ("energy_per_atom", "energy"),
        ("forces", "forces"), ("force", "forces"), ("REF_forces", "forces"), ("mp2_forces", "forces"),
        ("dft_force", "forces"), ("force_ref", "forces"),
        ("stress", "stress"), ("virial", "stress"), ("virials", "stress"), ("REF_stress", "stress"),
        ("kinetic_energy", ""), ("energy_weight", ""), ("forces_std", ""), ("Fermi_energy", ""), ("charge", ""),
        ("config_type", ""), ("energy_unit", ""), ("force_mask", ""),
    ],
)  # fmt: skip
def test_a_key_says_what_it_holds(key, kind):
    assert label_kind(key)[0] == kind


def test_the_key_on_most_frames_is_meant():
    key, why = likeliest({"energy": 3, "free_energy": 10})
    assert key == "free_energy"
    assert "most frames" in why
    assert "energy (3)" in why


def test_among_equals_the_reference_is_meant():
    assert likeliest({"energy": 5, "REF_energy": 5, "free_energy": 5})[0] == "REF_energy"
    assert likeliest({"energy": 5, "free_energy": 5})[0] == "energy"


def test_two_keys_on_different_frames_are_told(path):
    found = surveyed(path, frame("energy=-3") * 3 + frame("REF_energy=-3") * 2)
    assert found.contract.energy_key == "energy"
    assert found.n_energy == 3
    assert any("2 frames have REF_energy but not energy" in str(warning) for warning in found.warnings)
    assert {card.key: card.n_frames for card in found.candidates if card.kind == "energy"} == {
        "energy": 3,
        "REF_energy": 2,
    }


def test_two_names_for_one_meaning_are_compared(path):
    found = surveyed(path, frame("energy=-3.25 dft_energy=-3.25 free_energy=-3.5") * 4)
    remarks = {card.key: card.remarks for card in found.candidates}
    assert any("equals dft_energy on 4 frames" in remark for remark in remarks["energy"])
    assert any("differs from dft_energy by up to 0.25 eV" in remark for remark in remarks["free_energy"])


def test_what_is_not_read_is_counted(path):
    found = surveyed(path, frame("energy=-3 total_charge=1 note=x") * 2 + frame("free_energy=-3"))
    assert found.ignored == {"free_energy": 1, "total_charge": 2, "note": 2}


def test_a_persons_choice_stands_above_the_proposal(path):
    found = surveyed(path, frame("energy=-3 other=-4") * 2, energy_key="other")
    assert found.contract.energy_key == "other"
    assert [card.key for card in found.candidates if card.chosen and card.kind == "energy"] == ["other"]


def test_a_label_can_be_left_out(path):
    (only,) = read(path, frame("energy=-3"), forces_key="none")
    assert only.label.energy == -3
    assert only.label.forces is None


# What is missing -------------------------------------------------------------------------------------------------


def test_missing_labels_stay_missing(path):
    bare = CELL.replace(":forces:R:3", "")
    rows = "Si 0 0 0\nSi 1.9 2 2.1\n"
    text = frame('energy=-3 stress="1 2 3 4 5 6"') + frame("", bare, rows) + frame("energy=0.0", bare, rows)
    full, none, zero = read(path, text)
    assert full.label.stress is not None
    assert none.label.empty
    assert zero.label.energy == 0.0
    assert zero.label.forces is None


def test_a_file_without_labels_is_let_in_with_a_warning(path):
    found = surveyed(path, frame("", CELL.replace(":forces:R:3", ""), "Si 0 0 0\nSi 1.9 2 2.1\n"))
    assert (found.n_energy, found.n_forces, found.n_stress) == (0, 0, 0)
    assert any("no energy was found" in str(warning) for warning in found.warnings)


# Units and signs -------------------------------------------------------------------------------------------------


def test_house_units_are_taken_bit_for_bit(path):
    (only,) = read(path, frame('energy=-3.123456789012345 stress="0.1 0.2 0.3 0.4 0.5 0.6"'))
    assert only.label.energy == -3.123456789012345
    assert only.label.stress.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert only.structure.positions.tolist() == [[0, 0, 0], [1.9, 2.0, 2.1]]


def test_hartree_and_bohr_are_turned_everywhere(path):
    text = frame('energy=-2.0 virial="1 0 0 0 1 0 0 0 1"')
    (only,) = read(path, text, energy_unit="Hartree", length_unit="Bohr")
    hartree, bohr = UNITS["Hartree"], UNITS["Bohr"]
    assert only.label.energy == pytest.approx(-2 * hartree)
    np.testing.assert_allclose(only.label.forces[0], [0.1 * hartree / bohr, 0, 0])
    np.testing.assert_allclose(only.structure.cell, np.diag([4, 4, 5]) * bohr)
    np.testing.assert_allclose(only.label.stress[:3], -hartree / (VOLUME * bohr**3))


def test_forces_can_have_a_unit_of_their_own(path):
    (only,) = read(path, frame("energy=-2.0"), energy_unit="kcal/mol", forces_unit="Hartree/Bohr")
    assert only.label.energy == pytest.approx(-2 * UNITS["kcal"] / UNITS["mol"])
    assert only.label.forces[0, 0] == pytest.approx(0.1 * UNITS["Hartree"] / UNITS["Bohr"])


@pytest.mark.parametrize(("unit", "size"), [("GPa", UNITS["GPa"]), ("kbar", 0.1 * UNITS["GPa"]), ("eV/A^3", 1.0)])
def test_stress_units(path, unit, size):
    (only,) = read(path, frame('stress="1 2 3 4 5 6"'), stress_unit=unit)
    np.testing.assert_allclose(only.label.stress, np.arange(1, 7) * size)


def test_a_pressure_has_the_other_sign(path):
    (only,) = read(path, frame('stress="1 2 3 4 5 6"'), stress_kind="pressure")
    assert only.label.stress.tolist() == [-1, -2, -3, -4, -5, -6]


@pytest.mark.parametrize("key", ["virial", "virials", "REF_virials"])
def test_a_virial_is_minus_stress_times_volume(path, key):
    (only,) = read(path, frame(f'{key}="8 0 0 0 16 4 0 4 24"'))
    np.testing.assert_allclose(only.label.stress, -np.array([8, 16, 24, 4, 0, 0]) / VOLUME)


def test_nine_numbers_are_a_tensor_whatever_the_voigt_order(path):
    (only,) = read(path, frame('stress="1 6 5 6 2 4 5 4 3"'), voigt_order="xx yy zz xy yz xz")
    assert only.label.stress.tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("order", "read_as"),
    [
        ("xx yy zz yz xz xy", [1, 2, 3, 4, 5, 6]),
        ("xx yy zz xy yz xz", [1, 2, 3, 5, 6, 4]),  # VASP
        ("xx yy zz xy xz yz", [1, 2, 3, 6, 5, 4]),  # LAMMPS
    ],
)
def test_six_numbers_are_sorted_by_the_voigt_order(path, order, read_as):
    (only,) = read(path, frame('stress="1 2 3 4 5 6"'), voigt_order=order)
    assert only.label.stress.tolist() == read_as


def test_an_energy_per_atom_becomes_a_total(path):
    (only,) = read(path, frame("energy=-2.0"), energy_is="per_atom")
    assert only.label.energy == -4.0


def test_formats_that_fix_their_units_do_not_take_the_contracts():
    atoms = np.zeros((1, 3))
    raw = RawFrame(
        0,
        np.array([14]),
        atoms,
        np.zeros((3, 3)),
        np.zeros(3),
        {"ref_energy": -1.0},
        {},
        {"energy": -2.0},
        house_units=True,
    )
    assert interpret(raw, Contract(energy_key="energy", energy_unit="Hartree")).label.energy == -2.0
    assert interpret(raw, Contract(energy_key="ref_energy", energy_unit="Hartree")).label.energy < -27


def test_an_unknown_unit_is_told_with_the_known_ones():
    with pytest.raises(InvalidInput, match="unknown unit 'furlong'"):
        Contract.chosen(length_unit="furlong")


@pytest.mark.parametrize(
    ("written", "name"), [("ha", "Hartree"), ("Ry", "Rydberg"), ("ev", "eV"), ("Hartree", "Hartree")]
)
def test_units_may_be_spelt_as_people_spell_them(written, name):
    assert Contract.chosen(energy_unit=written).energy_unit == name


# Names -----------------------------------------------------------------------------------------------------------


def test_group_split_and_level_of_theory_come_from_the_frame(path):
    first, second = read(
        path, frame('config_type="hot liquid" split=valid level_of_theory=PBE') + frame("config_type=F")
    )
    assert (first.group, first.split, first.label.level_of_theory) == ("hot liquid", "validation", "PBE")
    assert (second.group, second.split, second.label.level_of_theory) == ("F", "", "unspecified")


def test_the_persons_level_of_theory_holds_for_all(path):
    (only,) = read(path, frame("level_of_theory=PBE"), level_of_theory="r2SCAN, VASP")
    assert only.label.level_of_theory == "r2SCAN, VASP"


# Evidence --------------------------------------------------------------------------------------------------------


def test_an_energy_that_does_not_grow_with_the_atoms_is_per_atom():
    counts = np.array([[2], [8], [16], [64], [2], [8]])
    noise = np.array([0.01, -0.02, 0.0, 0.03, -0.01, 0.02])
    assert energy_scaling(-5.4 + noise, counts) == "per_atom"
    assert energy_scaling((-5.4 + noise) * counts[:, 0], counts) == "total"
    assert energy_scaling(-5.4 + noise, np.full((6, 1), 8)) == "unclear"


@pytest.mark.parametrize("unit", ["eV", "Hartree", "Rydberg"])
def test_all_electron_energies_of_water_tell_their_unit(unit):
    water = -76.4 * UNITS["Hartree"]  # about −2079 eV
    size = {"eV": 1.0, "Hartree": UNITS["Hartree"], "Rydberg": UNITS["Hartree"] / 2}[unit]
    assert all_electron_unit(np.array([water, 2 * water]) / size, np.array([[2, 1], [4, 2]]), np.array([1, 8])) == unit


def test_energies_in_hartree_are_remarked(path):
    water = "3\nProperties=species:S:1:pos:R:3 energy=-76.4\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    found = surveyed(path, water * 3)
    assert any("all-electron energies in Hartree, but is read as eV" in str(warning) for warning in found.warnings)
    assert not any("read as eV" in str(w) for w in surveyed(path, water * 3, energy_unit="Hartree").warnings)


def oscillator(energy: float = 1.0, force: float = 1.0) -> str:
    """A diatomic stretched step by step, E = ½k(r − r₀)², with labels in scaled units."""
    parts = []
    for step in range(12):
        stretch = -0.1 + 0.02 * step
        pull = 20.0 * stretch * force
        rows = f"N 0 0 0 {pull} 0 0\nN {1.1 + stretch} 0 0 {-pull} 0 0\n"
        parts.append(f"2\nProperties=species:S:1:pos:R:3:forces:R:3 energy={(-20 + 10 * stretch**2) * energy}\n{rows}")
    return "".join(parts)


def test_forces_that_agree_with_the_energies_are_said_to(path):
    remarks = [remark for card in surveyed(path, oscillator()).candidates for remark in card.remarks]
    assert any("unit and sign agree" in remark for remark in remarks)


@pytest.mark.parametrize(
    ("energy", "force", "words"),
    [
        (1.0, -1.0, "wrong sign"),
        (1 / 27.2114, 1.0, "Hartree beside forces in eV/Å"),
        (1.0, 1 / 51.422, "Hartree/Bohr beside energy in eV"),
    ],
)
def test_forces_that_disagree_with_the_energies_are_warned_of(path, energy, force, words):
    assert any(words in str(warning) for warning in surveyed(path, oscillator(energy, force)).warnings)


def strained(scale: float) -> str:
    """A crystal under growing uniaxial strain, E = ½ C ε² V₀ and σ = dE/dε / V, the stress in scaled units."""
    parts, modulus = [], 1.0
    for step in range(12):
        strain = -0.03 + 0.005 * step
        stress = modulus * strain * scale
        cell = f'Lattice="{4 * (1 + strain)} 0 0 0 4 0 0 0 4"'
        labels = f'energy={-20 + 0.5 * modulus * strain**2 * 64} stress="{stress} 0 0 0 0 0"'
        parts.append(f"1\n{cell} Properties=species:S:1:pos:R:3 {labels}\nSi 0 0 0\n")
    return "".join(parts)


@pytest.mark.parametrize(
    ("scale", "words"),
    [(-1.0, "opposite sign"), (160.2177, "GPa"), (1602.177, "kbar"), (-1602.177, "kbar with the opposite sign")],
)
def test_a_stress_in_another_unit_or_sign_is_told_by_the_strain_energy(path, scale, words):
    found = surveyed(path, strained(scale))
    assert any(words in str(warning) for warning in found.warnings)


def test_a_stress_that_follows_from_the_strain_energy_is_said_to(path):
    found = surveyed(path, strained(1.0))
    (card,) = (card for card in found.candidates if card.kind == "stress")
    assert any("unit and sign agree" in remark for remark in card.remarks)
    assert not found.warnings


def sheared(order: list[int]) -> str:
    """A crystal under three different shears, E = ½ Σ C ε² V, the stress written in some order of its components."""
    parts = []
    for step in range(24):
        shear = [0.0, 0.0, 0.0]
        shear[step // 8] = -0.035 + 0.01 * (step % 8)
        modulus = np.array([0.3, 0.6, 0.9])
        stress = np.concatenate([np.zeros(3), modulus * shear])[order]
        yz, xz, xy = shear
        cell = f'Lattice="4 {4 * xy} {4 * xz} 0 4 {4 * yz} 0 0 4"'
        labels = f'energy={-20 + 0.5 * float(modulus @ np.square(shear)) * 64} stress="{" ".join(map(str, stress))}"'
        parts.append(f"1\n{cell} Properties=species:S:1:pos:R:3 {labels}\nSi 0 0 0\n")
    return "".join(parts)


def test_sheared_cells_tell_the_order_of_the_components(path):
    vasp = [0, 1, 2, 5, 3, 4]
    told = [str(warning) for warning in surveyed(path, sheared(vasp)).warnings]
    assert any("in the order xx yy zz xy yz xz, not xx yy zz yz xz xy" in text for text in told)
    for text, choice in [(sheared(vasp), {"voigt_order": "xx yy zz xy yz xz"}), (sheared([0, 1, 2, 3, 4, 5]), {})]:
        found = surveyed(path, text, **choice)
        assert not any("in the order" in str(warning) for warning in found.warnings)


def test_stress_that_looks_like_kbar_is_warned_of(path):
    found = surveyed(path, frame('energy=-3 stress="120 80 95 3 2 1"') * 3)
    assert any("looks like kbar" in str(warning) for warning in found.warnings)


def test_a_second_set_of_energies_far_from_the_first_is_warned_of(path):
    near = "".join(frame(f"energy={-10 - 0.01 * step} config_type=a") for step in range(15))
    far = "".join(frame(f"energy={-30 - 0.01 * step} config_type=b") for step in range(8))
    told = [str(warning) for warning in surveyed(path, near + far).warnings]
    assert any("8 energies lie 9.98 eV/atom" in text and "groups b" in text for text in told)


def test_net_forces_and_repeated_frames_are_warned_of(path):
    pulled = frame("energy=-3", rows=ROWS.replace("-0.1", "0.3"))
    told = [str(warning) for warning in surveyed(path, frame("energy=-3") + pulled * 2).warnings]
    assert any("2 frames have a net force above 10 meV/Å per atom, up to 200.0" in text for text in told)
    assert any("2 frames repeat" in text for text in told)


def test_placeholder_stresses_are_warned_of(path):
    text = frame('energy=-3 stress="0.01 0 0 0 0 0"') + frame('energy=-3.1 stress="0 0 0 0 0 0"') * 2
    assert any("2 of 3 frames have a stress that is exactly zero" in str(w) for w in surveyed(path, text).warnings)


def test_a_survey_reads_on_a_terminal_and_as_json(path):
    found = surveyed(path, frame("energy=-3 REF_energy=-3 note=x") * 2)
    text = found.as_text()
    assert "* energy REF_energy: 2 frames" in text
    assert "not read: energy (2), note (2)" in text
    assert Survey.model_validate_json(found.model_dump_json()) == found
