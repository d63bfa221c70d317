"""The command line end to end, in real processes on a clean data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

QUICK = ["--set", "epochs=3", "--set", "hidden=[8]", "--members", "2"]


@pytest.fixture(scope="module")
def isoline(tmp_path_factory):
    """Run `isoline ARGS --json` in one data folder: (exit status, answer)."""
    home = tmp_path_factory.mktemp("home")

    def run(*args: str, **variables: str):
        environment = os.environ | {"ISOLINE_HOME": str(home), "OMP_NUM_THREADS": "1"} | variables
        command = [sys.executable, "-m", "isoline", *args, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr

    return run


@pytest.fixture(scope="module")
def sample(isoline):
    """The shipped silicon cells, imported from their file."""
    from isoline_lab.samples.silicon import silicon_path

    status, answer = isoline("import", str(silicon_path()), "--dataset", "Si sample")
    assert status == 0, answer
    return answer


@pytest.fixture(scope="module")
def trained(isoline, sample):
    status, answer = isoline("train", "Si sample", "--wait", *QUICK)
    assert status == 0, answer
    return answer


def test_import_counts_what_it_stored(sample):
    assert sample["dataset"] == "Si sample"
    assert sample["version"] == 1
    assert sample["n_structures"] == sample["n_energy"] == sample["n_forces"] == sample["n_stress"] >= 160
    assert sample["duplicates"] == 0


def test_datasets_lists_it(isoline, sample):
    assert isoline("datasets") == (0, [{"dataset": "Si sample", "version": 1, "n_structures": sample["n_structures"]}])


def test_training_starts_a_worker_of_its_own_and_ends_it(isoline, trained, sample):
    assert trained["model"] > 0
    assert trained["n_train"] + trained["n_validation"] == sample["n_structures"]
    _, checks = isoline("doctor")
    assert "none running" in next(check["found"] for check in checks["checks"] if check["name"] == "worker")


def test_the_same_training_is_not_done_twice(isoline, trained):
    status, again = isoline("train", "Si sample", "--wait", *QUICK)
    assert (status, again["model"]) == (0, trained["model"])


def test_evaluate_gives_errors_in_house_units(isoline, trained, sample):
    status, errors = isoline("evaluate", str(trained["model"]), "Si sample", "--wait")
    assert status == 0, errors
    assert errors["n_structures"] == sample["n_structures"]
    assert 0 < errors["energy_mae"] <= errors["energy_rmse"] < 5
    assert 0 < errors["force_mae"] <= errors["force_rmse"] < 20
    assert errors["stress_rmse"] is not None
    assert len(errors["leaks"]) == sample["n_structures"]  # it was evaluated on what it had learned from


def test_describe_makes_both_maps(isoline, sample):
    status, answer = isoline("describe", "Si sample")
    assert status == 0, answer
    assert answer["pca"] != answer["umap"]


def test_export_and_import_again_find_nothing_new(isoline, sample, tmp_path):
    status, written = isoline("export", "Si sample", str(tmp_path / "out.extxyz.gz"))
    assert (status, written["n_structures"]) == (0, sample["n_structures"])
    status, again = isoline("import", str(tmp_path / "out.extxyz.gz"), "--dataset", "Si sample")
    assert (status, again["duplicates"], again["n_structures"]) == (0, sample["n_structures"], sample["n_structures"])


def test_jobs_tell_what_happened(isoline, trained):
    status, listed = isoline("jobs")
    assert status == 0
    assert {job["state"] for job in listed} == {"done"}
    status, [job] = isoline("jobs", str(trained["job"]))
    assert (status, job["kind"], job["progress"]) == (0, "train", 1)


def test_a_queued_job_can_be_cancelled(isoline, sample):
    status, queued = isoline("train", "Si sample", "--set", "seed=77")
    assert status == 0
    status, job = isoline("cancel", str(queued["job"]))
    assert (status, job["state"]) == (0, "cancelled")


def test_failures_are_one_error_object_and_status_1(isoline, tmp_path):
    status, answer = isoline("train", "no such dataset")
    assert (status, answer["error"]["kind"]) == (1, "not_found")
    bad = tmp_path / "bad.extxyz"
    bad.write_text("2\nProperties=species:S:1:pos:R:3 energy=1.0\nSi 0 0 0\nXx 0 0 nan\n")
    status, answer = isoline("import", str(bad), "--dataset", "bad")
    assert (status, answer["error"]["kind"]) == (1, "invalid_input")
    assert any(fault["frame"] == 0 for fault in answer["error"]["details"])
    assert isoline("datasets")[1][0]["dataset"] == "Si sample"


def test_wrong_usage_is_status_2(isoline):
    assert isoline("train")[0] == 2
    assert isoline("nonsense")[0] == 2


@pytest.mark.parametrize("recipe", ['[{"epochs": 3}]', '"epochs"', "3", "null", "{"])
def test_a_recipe_that_is_no_json_object_is_one_error_object(isoline, sample, tmp_path, recipe):
    file = tmp_path / "recipe.json"
    file.write_text(recipe)
    status, answer = isoline("train", "Si sample", "--recipe", str(file))
    assert (status, answer["error"]["kind"]) == (1, "invalid_input")
    assert "recipe.json" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ISOLINE_PORT", "abc"), ("ISOLINE_PORT", "70000"), ("ISOLINE_LEASE", "soon"), ("ISOLINE_LEASE", "0")],
)
def test_a_setting_that_cannot_be_used_is_named(isoline, variable, value):
    status, answer = isoline("datasets", **{variable: value})
    assert (status, answer["error"]["kind"]) == (1, "invalid_input")
    assert variable in answer["error"]["message"]
    assert value in answer["error"]["message"]


def test_a_saved_model_is_a_calculator_without_a_store(isoline, trained, tmp_path):
    from ase.build import bulk

    from isoline_lab.calculator import IsolineCalculator

    status, saved = isoline("save", str(trained["model"]), str(tmp_path / "model"))
    assert status == 0, saved
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = IsolineCalculator(saved["folder"])
    assert -120 < atoms.get_potential_energy() / len(atoms) < -90  # pseudopotential energies of the sample
    assert atoms.calc.results["force_spread"].max() > 0
