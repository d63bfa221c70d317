"""What can be asked of the state of any training."""

from __future__ import annotations

from typing import Protocol

from isoline_lab.potentials.potential import Potential
from isoline_lab.training.best import Best


class State(Protocol):
    """A training that can be stopped here and go on later.

    epoch  epochs done
    best   the best of them
    """

    epoch: int
    best: Best

    def committee(self) -> Potential:
        """The potentials as they were at the best epoch."""

    def to_bytes(self) -> bytes:
        """Safetensors."""
