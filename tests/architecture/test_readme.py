"""What the README says can be done, can be done."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from isoline.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.S)
COMMANDS = sorted(
    {
        found.strip()
        for block in BLOCKS
        for line in block.splitlines()
        for found in re.findall(r"isoline [^;#]+", line)
        if line.lstrip().startswith(("isoline", "docker compose run"))
    }
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_exists(line):
    _, name, *words = shlex.split(line)
    command = main.commands[name]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert target.startswith("http") or (ROOT / target).exists()


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)$", README, re.M))
def test_every_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
