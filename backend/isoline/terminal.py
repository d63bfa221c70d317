"""What every command of the command line shares: --json, failures, progress, following jobs, recipes from options."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .domain.job import ENDED, Job, JobState
from .domain.recipe import Train
from .domain.written import faults, read, used
from .errors import KINDS, InvalidInput, IsolineError
from .jobs.worker_process import ensure_worker
from .services import work
from .workbench import Settings, Workbench


class Command(click.Command):
    """A command with --json whose failures become one error object and exit status 1."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object on stdout."))

    def invoke(self, context: click.Context):
        as_json = context.params.get("as_json", False)
        try:
            return super().invoke(context)
        except IsolineError as error:
            if as_json:
                click.echo(json.dumps({"error": error.as_dict()}))
            else:
                click.secho(f"error: {error.message}", fg="red", err=True)
                for fault in error.details[:50]:
                    click.echo("  " + _fault_line(fault), err=True)
                if error.hint:
                    click.echo(f"  {error.hint}", err=True)
            context.exit(1)


class Group(click.Group):
    command_class = Command


def open_workbench() -> Workbench:
    """The workbench that the environment names."""
    return Workbench.open(Settings.from_environment())


def answer(as_json: bool, found, text: str) -> None:
    """Print what was found, as JSON or as text."""
    click.echo(json.dumps(found, default=str) if as_json else text)


def progress(fraction: float, message: str) -> None:
    """How far something is, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r{100 * fraction:5.1f} %  {message:70.70s}", err=True, nl=fraction >= 1.0)


def finish(bench: Workbench, jobs: list[Job], wait: bool) -> list[Job]:
    """Follow jobs to their end, with a worker of our own when none is running; the first failure is raised."""
    if not wait:
        return jobs
    with ensure_worker(bench):
        return [_followed(work.wait(bench, job.id)) for job in jobs]


def _followed(states: Iterator[Job]) -> Job:
    job = None
    for job in states:
        progress(job.progress, f"{job.title} · {job.message}")
    if job.state in ENDED and job.state != JobState.DONE:
        error = job.error or {"kind": "cancelled", "message": f"job {job.id} was cancelled"}
        kind = KINDS.get(error["kind"], IsolineError)
        raise kind(error["message"], hint=error.get("hint", ""), details=error.get("details"))
    return job


def recipe_fields(file: Path | None, settings: tuple[str, ...], kind: type[BaseModel] | None = None) -> dict:
    """Fields from a JSON file, then from KEY=VALUE, written as JSON or plainly, as the fields of `kind` are."""
    fields: dict = {}
    if file is not None:
        try:
            fields = json.loads(file.read_text())
        except ValueError as error:
            raise InvalidInput(
                f"{file} is not JSON: {error}", hint="`isoline jobs ID --json` shows a recipe."
            ) from None
        if not isinstance(fields, dict):
            raise InvalidInput(
                f"{file} holds no JSON object with a recipe's fields", hint="`isoline jobs ID --json` shows a recipe."
            )
    for setting in settings:
        key, separator, value = setting.partition("=")
        if not separator:
            raise click.UsageError(f"--set wants KEY=VALUE, got '{setting}'")
        fields[key] = _setting(kind.model_fields.get(key) if kind else None, value)
    return fields


def refuse_unused(recipe: Train, settings: tuple[str, ...]) -> None:
    """Raises InvalidInput where the recipe's family does not look at a field that was asked for: it changes nothing."""
    looked_at = [name for name in Train.model_fields if used(Train, name, recipe.family, recipe.head)]
    asked = [setting.partition("=")[0] for setting in settings]
    useless = [name for name in asked if name in Train.model_fields and name not in looked_at]
    if useless:
        linear = " with a linear head" if "head" in looked_at and recipe.head == "linear" else ""
        raise InvalidInput(
            f"{recipe.family} potentials{linear} have no {', no '.join(useless)}",
            hint=f"Fields of these are: {', '.join(name for name in looked_at if name != 'kind')}.",
        )


def _setting(field: FieldInfo | None, text: str) -> object:
    """What KEY=text gives; 2026 is a name where the field is a text, and a number elsewhere."""
    if field is None:
        return _json(text)
    found = text if field.annotation is str else read(field, text)
    return _json(text) if found is text and field.annotation is not str else found


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def validated(kind, fields: dict):
    """A recipe from plain fields; all faults at once."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        names = ", ".join(kind.model_fields)
        raise InvalidInput(
            "the recipe cannot be used", hint=f"Its fields are: {names}.", details=faults(error)
        ) from None


def _fault_line(fault: dict) -> str:
    where = " ".join(f"{key} {fault[key]}" for key in ("file", "frame", "atom", "field") if fault.get(key) is not None)
    return f"{where}: {fault.get('message', '')}"
