"""Who acts: every service call carries one, every change records it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """A signed-in person, or the program itself acting for one."""

    name: str
    role: str


OWNER = Actor("owner", "owner")
