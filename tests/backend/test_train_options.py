"""What `isoline train` understands, and what it says to what it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from isoline.cli import main
from isoline.domain.recipe import PRESETS, Train


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Run `isoline train Ne ARGS --json` without a worker: (exit status, recipe or answer)."""
    monkeypatch.setenv("ISOLINE_HOME", str(tmp_path / "home"))
    random = np.random.default_rng(0)
    frames = []
    for _ in range(6):
        lines = "\n".join(f"Ne {x:.3f} {y:.3f} {z:.3f}" for x, y, z in random.uniform(-2, 2, (4, 3)) * [1, 2, 3])
        frames.append(f"4\nProperties=species:S:1:pos:R:3 energy={random.normal():.6f}\n{lines}\n")
    file = tmp_path / "ne.extxyz"
    file.write_text("".join(frames))
    run = CliRunner()
    assert run.invoke(main, ["import", str(file), "--dataset", "Ne"]).exit_code == 0

    def ask(*args: str) -> tuple[int, dict]:
        done = run.invoke(main, ["train", "Ne", *args, "--json"])
        if done.exit_code == 0:
            found = run.invoke(main, ["jobs", str(json.loads(done.stdout)["job"]), "--json"])
            return 0, json.loads(found.stdout)[0]["recipe"]
        return done.exit_code, json.loads(done.stdout) if done.stdout.strip() else {"said": done.output}

    return ask


@pytest.mark.parametrize("family", PRESETS)
@pytest.mark.parametrize("accuracy", ["fast", "balanced", "accurate"])
def test_family_and_accuracy_choose_the_preset(train, family, accuracy):
    status, recipe = train("--family", family, "--accuracy", accuracy)
    assert (status, recipe["family"], recipe["accuracy"]) == (0, family, accuracy)
    for name, value in PRESETS[family][accuracy].items():
        assert recipe[name] == (list(value) if isinstance(value, tuple) else value)


def test_what_is_said_goes_before_the_preset(train):
    _, recipe = train("--accuracy", "accurate", "--members", "3", "--set", "epochs=7")
    assert (recipe["members"], recipe["epochs"]) == (3, 7)
    assert recipe["inputs"] == PRESETS["body-ordered"]["accurate"]["inputs"]


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("hidden=16", "hidden", [16]),
        ("hidden=32,16", "hidden", [32, 16]),
        ("hidden=32 16", "hidden", [32, 16]),
        ("hidden=[32, 16]", "hidden", [32, 16]),
        ("repulsion=no", "repulsion", False),
        ("repulsion=True", "repulsion", True),
        ("products=4", "products", 4),
        ("levels_of_theory=mixed", "levels_of_theory", "mixed"),
        ("learning_rate=1e-3", "learning_rate", 1e-3),
        ("name=2026", "name", "2026"),
    ],
)
def test_settings_are_written_as_people_write_them(train, setting, name, value):
    status, recipe = train("--set", setting)
    assert status == 0, recipe
    assert recipe[name] == value


@pytest.mark.parametrize(
    ("setting", "field", "allowed"),
    [
        ("accuracy=best", "accuracy", "'fast', 'balanced' or 'accurate'"),
        ("products=3", "products", "2, 4 or 8"),
        ("hidden=wide", "hidden", "32 32"),
        ("repulsion=perhaps", "repulsion", "boolean"),
        ("members=99", "members", "32"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(train, setting, field, allowed):
    status, answer = train("--set", setting)
    assert (status, answer["error"]["kind"]) == (1, "invalid_input")
    [fault] = answer["error"]["details"]
    assert fault["field"] == field
    assert allowed in fault["message"]


def test_fields_that_are_not_there_are_told_with_those_that_are(train):
    status, answer = train("--set", "cutof=4")
    assert status == 1
    assert answer["error"]["details"][0]["field"] == "cutof"
    assert all(name in answer["error"]["hint"] for name in Train.model_fields)


def test_a_field_of_another_family_is_refused_instead_of_ignored(train):
    status, answer = train("--family", "message-passing", "--set", "inputs=64")
    assert (status, answer["error"]["kind"]) == (1, "invalid_input")
    assert "inputs" in answer["error"]["message"]
    assert "layers" in answer["error"]["hint"]


def test_a_linear_head_refuses_what_only_networks_have(train):
    status, answer = train("--set", "head=linear", "--set", "epochs=5")
    assert status == 1
    assert "linear head have no epochs" in answer["error"]["message"]
    assert train("--set", "head=linear", "--set", "cutoff=4")[0] == 0


def test_an_unknown_family_is_wrong_usage_and_lists_families(train):
    status, answer = train("--family", "tight-binding")
    assert status == 2
    assert all(family in answer["said"] for family in PRESETS)
