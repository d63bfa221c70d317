"""The page's own JavaScript: its pure parts run in Node, next to the laws they obey."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")


@pytest.mark.parametrize("name", ["points", "bonds", "words", "sign_in"])
def test_laws_of_the_scripts(name):
    if NODE is None:
        pytest.skip("Node is not installed (Debian: apt-get install nodejs)")
    done = subprocess.run(
        [NODE, "--test", HERE / "scripts" / f"{name}.test.js"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
