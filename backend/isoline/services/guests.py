"""Guests: potentials of others, which of them this workbench can ask, and taking one in as a model.

Those that come with Isoline run where their package is installed. Whoever runs the workbench describes others, or other
interpreters for the same ones, in `guests.toml` in the data folder:

    [chgnet]                                # known by Isoline: only what differs
    interpreter = "/opt/chgnet/bin/python"

    [gap-silicon]
    what = "GAP of silicon, Bartók et al. 2018"
    licence = "CC-BY-4.0"
    elements = ["Si"]
    interpreter = "/opt/quip/bin/python"    # an environment with numpy, ase and the package; nothing of Isoline
    calculator = "quippy.potential:Potential"
    arguments = { param_filename = "/opt/gap/gp_iter6_sparse9k.xml" }

The other fields are those of `isoline.domain.guest.Guest`. Nobody but the machine's own users can write this file.
"""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ase.data import atomic_numbers
from pydantic import ValidationError

from ..domain.actor import Actor
from ..domain.guest import BUILT_IN, Guest, Value
from ..domain.job import Job
from ..domain.recipe import Adopt, Evaluate
from ..errors import InvalidInput, NotFound
from ..jobs.submit import submit
from ..workbench import Workbench
from . import accounts, library

FILE = "guests.toml"


@dataclass(frozen=True)
class GuestCard:
    """What a person chooses a guest by.

    elements  atomic numbers; empty where it knows all
    settings  arguments that may be chosen, with their defaults
    own       whether it runs in an interpreter of its own
    missing   what is needed before it can be asked; empty when it is ready
    """

    name: str
    what: str
    licence: str
    elements: tuple[int, ...]
    settings: dict[str, Value]
    own: bool
    missing: str

    @property
    def ready(self) -> bool:
        return not self.missing


def known(bench: Workbench) -> list[Guest]:
    """Guests that come with Isoline, as guests.toml changes them, then those that it adds, by name.

    Raises InvalidInput for a file that cannot be used, with all its faults.
    """
    guests = {guest.name: guest for guest in BUILT_IN}
    faults = []
    for name, table in sorted(_tables(bench.settings.home / FILE).items()):
        given = {"name": name} | table
        if name in guests:
            given = guests[name].model_dump(exclude_defaults=True) | given
        try:
            guests[name] = Guest.model_validate(given | _numbers(given.get("elements", ())))
        except (ValidationError, KeyError) as error:
            faults += [{"field": f"{name}.{where}", "message": message} for where, message in _faults(error)]
    if faults:
        raise InvalidInput(f"{FILE} has {len(faults)} faults", hint="Correct it; see the README.", details=faults)
    return list(guests.values())


def find(bench: Workbench, name: str) -> Guest:
    """One guest. Raises NotFound."""
    guests = {guest.name: guest for guest in known(bench)}
    if name not in guests:
        raise NotFound(f"there is no guest '{name}'", hint=f"There are: {', '.join(guests)}.")
    return guests[name]


def cards(bench: Workbench) -> list[GuestCard]:
    """All guests, those that are ready first."""
    found = [
        GuestCard(
            name=guest.name,
            what=guest.what,
            licence=guest.licence,
            elements=guest.elements,
            settings={name: guest.arguments[name] for name in guest.adjustable if name in guest.arguments},
            own=guest.out_of_process,
            missing=_missing(guest),
        )
        for guest in known(bench)
    ]
    return sorted(found, key=lambda card: not card.ready)


def add(bench: Workbench, actor: Actor, recipe: Adopt, *, test: int | None = None) -> list[Job]:
    """Queue a guest's being taken in as a model, then its evaluation on the dataset version and on `test`.

    Raises NotFound for an unknown guest, InvalidInput for settings it has not, or a dataset with other elements.
    """
    accounts.permit(actor, "evaluate")
    guest = find(bench, recipe.guest).with_settings(recipe.settings)
    version = library.version(bench, recipe.version)
    missing = _missing(guest)
    if missing:
        raise InvalidInput(
            f"guest {guest.name} cannot be asked: {missing}", hint=f"Install it, or name its interpreter in {FILE}."
        )
    unknown = sorted(set(version.elements) - set(guest.knows))
    if unknown:
        raise InvalidInput(
            f"guest {guest.name} does not know the elements {unknown} (atomic numbers) of "
            f"{version.dataset} v{version.version}",
            hint="Choose another guest, or a dataset without them.",
        )
    title = f"Add guest {recipe.name or guest.name} for {version.dataset} v{version.version}"
    first = submit(bench, actor, recipe, title=title, version_id=version.id)
    jobs = [first]
    for tested in dict.fromkeys(id for id in (version.id, test) if id is not None):
        card = library.version(bench, tested)
        title = f"Evaluate on {card.dataset} v{card.version}"
        jobs.append(
            submit(bench, actor, Evaluate(model=0, version=tested), title=title, version_id=tested, after=first.id)
        )
    return jobs


def _tables(path: Path) -> dict[str, dict]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    if path.stat().st_mode & stat.S_IWOTH:
        raise InvalidInput(f"everybody may write {path}, and what stands there is run", hint=f"chmod o-w {path}")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{FILE} is not TOML: {error}", hint="Correct it; see the README.") from None
    loose = [name for name, table in tables.items() if not isinstance(table, dict)]
    if loose:
        raise InvalidInput(
            f"{FILE}: {', '.join(loose)} stand outside a guest", hint="Begin each guest with [its-name]."
        )
    return tables


def _numbers(elements: object) -> dict:
    """Elements as atomic numbers, given as such or as symbols. Raises KeyError for no symbol."""
    return {"elements": [atomic_numbers[one] if isinstance(one, str) else one for one in elements]}


def _faults(error: ValidationError | KeyError) -> list[tuple[str, str]]:
    if isinstance(error, KeyError):
        return [("elements", f"{error} is no element")]
    return [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]


def _missing(guest: Guest) -> str:
    if guest.out_of_process:
        there = Path(guest.interpreter).is_file() and os.access(guest.interpreter, os.X_OK)
        return "" if there else "its interpreter is not there"
    package = guest.calculator.partition(".")[0].partition(":")[0]
    return "" if find_spec(package) else f"the package {package} is not installed"
