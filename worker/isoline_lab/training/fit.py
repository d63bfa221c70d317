"""Training of every family: one loop that yields after every epoch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import safetensors.torch

from isoline.domain.recipe import Train
from isoline.domain.structure import Frame
from isoline.errors import InvalidInput
from isoline_lab.training.checkpoint import Checkpoint
from isoline_lab.training.epoch import Epoch
from isoline_lab.training.linear_checkpoint import LinearCheckpoint
from isoline_lab.training.linear_fit import fit_linear
from isoline_lab.training.message_checkpoint import MessageCheckpoint
from isoline_lab.training.message_passing_fit import fit_message_passing
from isoline_lab.training.network_fit import fit_networks
from isoline_lab.training.state import State


def fit(
    recipe: Train,
    train: Sequence[Frame],
    validation: Sequence[Frame],
    *,
    start: State | None = None,
    warm: bool = False,
) -> Iterator[Epoch]:
    """Train a committee on energies, forces and stresses; labels that are missing are left out.

    start  state to go on from: the same recipe and data give what an undisturbed run would have given
    warm   instead take only the potential from `start`: its weights, on these data, with a fresh optimiser

    Yields records with number 0 while preparing, then one for each epoch.

    Raises InvalidInput for sets that cannot be learned from and for a start of another family, Diverged when the loss
    is not finite.
    """
    if recipe.family == "message-passing":
        run, kind = fit_message_passing, MessageCheckpoint
    elif recipe.family == "body-ordered" and recipe.head == "linear":
        run, kind = fit_linear, LinearCheckpoint
    else:
        run, kind = fit_networks, Checkpoint
    if start is not None and not isinstance(start, kind):
        raise InvalidInput(
            f"the earlier model is of another kind than {recipe.family} with a {recipe.head} head",
            hint="Use the recipe of the earlier model, or train afresh.",
        )
    yield from run(recipe, train, validation, start=start, warm=warm)


def read_checkpoint(content: bytes) -> State:
    """The state that was saved, whatever family it is of; never runs code.

    Raises InvalidInput for anything else.
    """
    try:
        about = json.loads(safetensors.torch.load(bytes(content))["about"].numpy().tobytes())
    except (KeyError, ValueError, safetensors.SafetensorError) as error:
        raise InvalidInput(f"not a checkpoint of a training: {error}", hint="Start the training afresh.") from error
    if about.get("family") == "message-passing":
        return MessageCheckpoint.from_bytes(content)
    if about.get("head") == "linear":
        return LinearCheckpoint.from_bytes(content)
    return Checkpoint.from_bytes(content)
