"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

PATIENCE_S = 90.0


def until(question: Callable, what: str):
    """The first true answer; fails when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.05)
    pytest.fail(f"waited {PATIENCE_S:.0f} s for {what}")
