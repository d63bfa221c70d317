"""The only place where science meets the store: one function for every kind of recipe."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from isoline.domain.job import Job
from isoline.domain.recipe import Recipe
from isoline.workbench import Workbench

from ..journal import Journal

Function = Callable[[Workbench, Job, Recipe, Journal], dict]


def _from(module: str, name: str) -> Function:
    """A function that is imported when it is first called: an import of files needs no torch."""

    def run(bench: Workbench, job: Job, recipe: Recipe, journal: Journal) -> dict:
        return getattr(import_module(f"{__name__}.{module}"), name)(bench, job, recipe, journal)

    return run


RUN: dict[str, Function] = {
    "describe": _from("describe", "describe"),
    "train": _from("train", "train"),
    "evaluate": _from("evaluate", "evaluate"),
    "adopt": _from("adopt", "adopt"),
    "import": _from("intake", "bring_in"),
    "sample": _from("sample", "make_sample"),
}
