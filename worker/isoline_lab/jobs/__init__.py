"""The only place where science meets the store: one function for every kind of recipe."""

from __future__ import annotations

from collections.abc import Callable

from isoline.domain.job import Job
from isoline.domain.recipe import Recipe
from isoline.workbench import Workbench

from ..journal import Journal
from .describe import describe
from .evaluate import evaluate
from .intake import bring_in
from .sample import make_sample
from .train import train

RUN: dict[str, Callable[[Workbench, Job, Recipe, Journal], dict]] = {
    "describe": describe,
    "train": train,
    "evaluate": evaluate,
    "import": bring_in,
    "sample": make_sample,
}
