"""How a training goes from step to step, whatever it trains."""

from __future__ import annotations

import math

import torch

from isoline.domain.recipe import Recipe
from isoline_lab.training.best import Best
from isoline_lab.training.epoch import Epoch

WARM_UP = 50  # steps until the full learning rate


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Short warm-up, then half a cosine down to zero."""
    return recipe.learning_rate * min(1.0, step / WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * (step - 1) / steps))


def exhausted(recipe: Recipe, number: int, best: Best) -> bool:
    """Whether so many epochs were no better that the training should stop."""
    return best.epoch > 0 and number - best.epoch >= recipe.patience


def sign_of_life(recipe: Recipe, number: int, fraction: float) -> Epoch:
    """That the training is at this fraction of an epoch."""
    return Epoch(total=recipe.epochs, fraction=(number - 1 + fraction) / recipe.epochs)


@torch.no_grad()
def follow(averaged: torch.nn.Module, networks: torch.nn.Module, steps: int, averaging: float) -> None:
    """Move the running average a little towards the weights: it is steadier than they are, and generalises better.

    averaging  share of the average that stays in a step
    """
    keep = min(averaging, (1 + steps) / (10 + steps))  # the first steps come from far and are forgotten sooner
    for mean, parameter in zip(averaged.parameters(), networks.parameters(), strict=True):
        mean.lerp_(parameter, 1.0 - keep)
