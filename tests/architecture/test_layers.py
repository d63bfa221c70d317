"""The layout shows the architecture, and stays that way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "backend/isoline", ROOT / "frontend/isoline_web", ROOT / "worker/isoline_lab"]
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
TOP_LEVEL = {
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "backend",
    "frontend",
    "worker",
    "tests",
    "docs",
    "benchmarks",
    "docker-compose.yml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
}
LONGEST = 400


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way():
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_code_is_formatted_and_linted():
    run("ruff", "format", "--check", ".")
    run("ruff", "check", ".")


def test_the_top_level_is_as_designed():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    names = {name.split("/")[0] for name in tracked}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_stays_one_noun_long(path):
    assert len(path.read_text().splitlines()) <= LONGEST


def test_only_the_workbench_reads_the_environment():
    readers = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and path.name != "workbench.py":
                readers.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    allowed = ("supervisor.py", "worker_process.py", "worker.py", "runner.py")  # hand it on to child processes
    assert [found for found in readers if not any(name in found for name in allowed)] == []


def test_nothing_unpickles():
    for path in SOURCES:
        text = path.read_text()
        for pattern in (r"import pickle", r"pickle\.load", r"(?<!safetensors\.)torch\.load\(", r"allow_pickle=True"):
            assert not re.search(pattern, text), f"{path.relative_to(ROOT)} uses {pattern}"
