"""The command line: thin, over services.

Every command takes --json and exits with 0 (done), 1 (failed) or 2 (wrong usage).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from . import doctor as checks
from .domain.actor import OWNER
from .domain.contract import Contract
from .domain.job import ENDED, Job, JobState
from .domain.recipe import AcsfDescriptor, Describe, Evaluate, SoapDescriptor, Train
from .errors import KINDS, InvalidInput, IsolineError
from .jobs.worker_process import ensure_worker
from .services import accounts, accuracy, intake, library, training, work
from .workbench import Settings, Workbench, is_loopback


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


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="isoline")
def main() -> None:
    """Isoline: survey, curate and train machine-learned interatomic potentials.

    ISOLINE_HOME selects the data folder (default ~/.isoline).
    """


@main.command()
@click.option(
    "--host", default=None, help="Address to listen on; anything but loopback needs `isoline password` first."
)
@click.option("--port", type=click.IntRange(1, 65535), default=None)
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True, help="Worker processes to start.")
def up(host: str | None, port: int | None, workers: int, as_json: bool) -> None:
    """Start the web server and workers, and print the address."""
    from .supervisor import supervise

    settings = Settings.from_environment()
    settings = settings.model_copy(update={"host": host or settings.host, "port": port or settings.port})
    bench = Workbench.open(settings)
    if not is_loopback(settings.host) and not accounts.has_owner_password(bench):
        raise InvalidInput(
            f"refusing to listen on {settings.host}: the owner has no password, so anybody could do anything",
            hint="Run `isoline password` first, or listen on 127.0.0.1.",
        )
    bench.close()
    sys.exit(supervise(settings, workers=workers))


@main.command()
@click.option("--queue", "queues", multiple=True, help="Queue to serve; all that this machine can by default.")
@click.option("--name", default="", help="Name of this worker; the same name goes on with the same jobs.")
def worker(queues: tuple[str, ...], name: str, as_json: bool) -> None:
    """Run queued jobs until stopped."""
    from isoline_lab.worker import run_worker

    sys.exit(run_worker(Settings.from_environment(), list(queues), name))


@main.command()
@click.option("--name", default=OWNER.name, show_default=True)
@click.password_option()
def password(name: str, password: str, as_json: bool) -> None:
    """Set the owner's password, needed to listen beyond this machine."""
    actor = accounts.set_owner_password(_open(), OWNER, password, name)
    _answer(as_json, {"name": actor.name}, f"{actor.name} has a new password; open sessions have ended.")


@main.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dataset", required=True, help="Dataset to create or extend.")
@click.option("--energy-key", help="Key of the energy ('none' leaves it out); found by itself if not given.")
@click.option("--forces-key", help="Key of the forces, likewise.")
@click.option("--stress-key", help="Key of the stress or virial, likewise.")
@click.option("--group-key", help="Key that names a frame's group, e.g. config_type.")
@click.option("--energy-unit", help="eV (default), Hartree, Rydberg, kcal/mol, …")
@click.option("--energy-is", type=click.Choice(["total", "per_atom"]))
@click.option("--length-unit", help="Å (default), Bohr, nm.")
@click.option("--forces-unit", help="Energy/length; that of energy and positions by default.")
@click.option("--stress-unit", help="eV/Å³ (default), GPa, kbar, Hartree/Bohr³.")
@click.option("--stress-kind", type=click.Choice(["stress", "pressure", "virial"]))
@click.option("--voigt-order", help="Order of six stress components, e.g. 'xx yy zz xy yz xz' (VASP).")
@click.option("--closest", type=float, help="Two atoms nearer than this are a fault, Å (default 0.3).")
@click.option("--level-of-theory", help="What the labels were computed with, e.g. 'PBE, VASP'.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default=None)
@click.option("--dry-run", is_flag=True, help="Show the label contract and the faults, store nothing.")
def import_(files: tuple[Path, ...], dataset: str, split: str | None, dry_run: bool, as_json: bool, **options) -> None:
    """Bring files with structures and labels into a dataset."""
    bench = _open()
    contract = Contract.chosen(**options)
    if dry_run:
        survey = intake.survey(bench, list(files), contract)
        _answer(as_json, survey.model_dump(mode="json"), survey.as_text())
        sys.exit(1 if survey.faults else 0)
    outcome = None
    for step in intake.import_files(bench, OWNER, list(files), dataset, contract, split or ""):
        if isinstance(step, intake.ImportOutcome):
            outcome = step
        else:
            _progress(step.fraction, step.message)
    answer = outcome.as_dict()
    text = (
        f"{answer['dataset']} v{answer['version']}: {answer['n_structures']} structures, "
        f"{answer['n_energy']} energies, {answer['n_forces']} forces, {answer['n_stress']} stresses, "
        f"{answer['duplicates']} duplicates left out"
    )
    _answer(as_json, answer, "\n".join([text, *(f"warning: {warning}" for warning in answer["warnings"])]))


@main.command()
def datasets(as_json: bool) -> None:
    """List datasets by their newest version."""
    cards = library.datasets(_open())
    rows = [{"dataset": c.dataset, "version": c.version, "n_structures": c.n_structures} for c in cards]
    lines = [f"{c.dataset:30s} v{c.version:<3d} {c.n_structures:>9d} structures" for c in cards]
    _answer(as_json, rows, "\n".join(lines) or "No datasets yet. `isoline demo` makes two, `isoline import` yours.")


@main.command()
@click.argument("dataset")
@click.option("--descriptor", type=click.Choice(["soap", "acsf"]), default="soap", show_default=True)
@click.option("--wait/--no-wait", default=True, show_default=True)
def describe(dataset: str, descriptor: str, wait: bool, as_json: bool) -> None:
    """Compute descriptors and maps (PCA, UMAP) of a dataset; NAME or NAME@VERSION."""
    bench = _open()
    version = library.find_version(bench, dataset)
    chosen = SoapDescriptor() if descriptor == "soap" else AcsfDescriptor()
    job = training.describe(bench, OWNER, Describe(version=version.id, descriptor=chosen))
    job = _finish(bench, [job], wait)[0]
    _answer(as_json, {"job": job.id, **(job.result or {})}, f"job {job.id}: {job.state}")


@main.command()
@click.argument("dataset")
@click.option("--test", help="Dataset to evaluate the model on afterwards.")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON file with a recipe.")
@click.option("--family")
@click.option("--members", type=click.IntRange(1, 32))
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One field of the recipe.")
@click.option("--wait/--no-wait", default=False)
def train(
    dataset: str,
    test: str | None,
    recipe: Path | None,
    family: str | None,
    members: int | None,
    settings: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> None:
    """Train a committee on a dataset; NAME or NAME@VERSION."""
    bench = _open()
    version = library.find_version(bench, dataset)
    tested = library.find_version(bench, test).id if test else None
    fields = _recipe_fields(recipe, settings) | {"version": version.id}
    fields |= {key: value for key, value in {"family": family, "members": members}.items() if value is not None}
    jobs = training.train(bench, OWNER, _validated(Train, fields), test=tested)
    done = _finish(bench, jobs, wait)[0]
    answer: dict = {"model": (done.result or {}).get("model"), "job": done.id}
    for key in ("seconds", "n_train", "n_validation"):
        answer[key] = (done.result or {}).get(key)
    text = f"job {done.id} {done.state}" + (f": model {answer['model']}" if answer["model"] else "")
    _answer(as_json, answer, text)


@main.command()
@click.argument("model", type=int)
@click.argument("dataset")
@click.option("--wait/--no-wait", default=False)
def evaluate(model: int, dataset: str, wait: bool, as_json: bool) -> None:
    """Errors of MODEL on a dataset; NAME or NAME@VERSION."""
    bench = _open()
    version = library.find_version(bench, dataset)
    job = training.evaluate(bench, OWNER, Evaluate(model=model, version=version.id))
    job = _finish(bench, [job], wait)[0]
    if not wait:
        _answer(as_json, {"model": model, "job": job.id}, f"job {job.id}: {job.state}")
        return
    row = accuracy.metrics(bench, job.result["evaluation"], "overall")[0]
    answer = {
        "model": model,
        "n_structures": row.n_structures,
        "n_atoms": version.n_atoms,
        "energy_mae": row.energy_mae,
        "energy_rmse": row.energy_rmse,
        "force_mae": row.force_mae,
        "force_rmse": row.force_rmse,
        "stress_rmse": row.stress_rmse,
        "leaks": accuracy.seen_in_training(bench, job.result["evaluation"]),
    }
    _answer(as_json, answer, "\n".join(f"{key:14s} {value}" for key, value in answer.items()))


@main.command()
@click.argument("id", type=int, required=False)
def jobs(id: int | None, as_json: bool) -> None:
    """List jobs, or show one with its log."""
    bench = _open()
    listed = [work.job(bench, id)] if id is not None else work.jobs(bench, limit=100)
    rows = [work.as_dict(job) for job in listed]
    lines = [f"{j.id:>5d}  {j.state:10s} {100 * j.progress:5.1f} %  {j.title}  {j.message}" for j in listed]
    if id is not None:
        lines += [entry["line"] for entry in work.log(bench, id, 0)]
    _answer(as_json, rows, "\n".join(lines) or "No jobs yet.")


@main.command()
@click.argument("id", type=int)
def cancel(id: int, as_json: bool) -> None:
    """Stop a job."""
    job = work.cancel(_open(), OWNER, id)
    _answer(as_json, work.as_dict(job), f"job {job.id}: {job.state}")


@main.command()
@click.argument("dataset")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(dataset: str, file: Path, as_json: bool) -> None:
    """Write a dataset to FILE; its suffix chooses the format (.extxyz, .extxyz.gz, .extxyz.xz, .db, .traj)."""
    bench = _open()
    outcome = library.export(bench, OWNER, library.find_version(bench, dataset).id, file)
    answer = {"n_structures": outcome.n_structures, "path": str(outcome.path), "sha256": outcome.sha256}
    _answer(as_json, answer, f"{outcome.n_structures} structures in {outcome.path}")


@main.command()
@click.argument("model", type=int)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def save(model: int, folder: Path, as_json: bool) -> None:
    """Write MODEL to FOLDER as safetensors and JSON, for `isoline_lab.calculator.IsolineCalculator`."""
    bench = _open()
    contents = {name: training.model_file(bench, model, name) for name in training.MODEL_FILES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    _answer(as_json, {"model": model, "folder": str(folder)}, f"model {model} is in {folder}")


@main.command()
@click.option("--wait/--no-wait", default=True, show_default=True)
def demo(wait: bool, as_json: bool) -> None:
    """Make the two sample projects: GFN2-xTB ethanol, PBE silicon. Nothing is downloaded."""
    bench = _open()
    jobs = [training.sample(bench, OWNER, name) for name in ("silicon", "ethanol")]
    done = _finish(bench, jobs, wait)
    if wait:
        _finish(bench, [work.job(bench, job.result["map_job"]) for job in done], wait)
    rows = [{"job": job.id, "state": job.state, **(job.result or {})} for job in done]
    _answer(as_json, rows, "\n".join(f"job {row['job']}: {row['state']}" for row in rows))


@main.command()
@click.option("--worker", is_flag=True, help="Ask only whether a worker of this machine is alive.")
def doctor(worker: bool, as_json: bool) -> None:
    """Check the installation, the store, the worker and the GPU, and say what to do."""
    settings = Settings.from_environment()
    found = checks.examine_worker(settings) if worker else checks.examine(settings)
    ok = all(check.ok for check in found)
    rows = [{"name": check.name, "ok": check.ok, "found": check.found, "hint": check.hint} for check in found]
    lines = [
        f"{'ok ' if c.ok else 'NO '} {c.name:14s} {c.found}" + (f"\n      {c.hint}" if c.hint else "") for c in found
    ]
    _answer(as_json, {"ok": ok, "checks": rows}, "\n".join(lines))
    sys.exit(0 if ok else 1)


def _open() -> Workbench:
    return Workbench.open(Settings.from_environment())


def _answer(as_json: bool, answer, text: str) -> None:
    click.echo(json.dumps(answer, default=str) if as_json else text)


def _progress(fraction: float, message: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{100 * fraction:5.1f} %  {message:70.70s}", err=True, nl=fraction >= 1.0)


def _finish(bench: Workbench, jobs: list[Job], wait: bool) -> list[Job]:
    """Follow jobs to their end, with a worker of our own when none is running; the first failure is raised."""
    if not wait:
        return jobs
    with ensure_worker(bench):
        return [_followed(work.wait(bench, job.id)) for job in jobs]


def _followed(states: Iterator[Job]) -> Job:
    job = None
    for job in states:
        _progress(job.progress, f"{job.title} · {job.message}")
    if job.state in ENDED and job.state != JobState.DONE:
        error = job.error or {"kind": "cancelled", "message": f"job {job.id} was cancelled"}
        kind = KINDS.get(error["kind"], IsolineError)
        raise kind(error["message"], hint=error.get("hint", ""), details=error.get("details"))
    return job


def _recipe_fields(file: Path | None, settings: tuple[str, ...]) -> dict:
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
        try:
            fields[key] = json.loads(value)
        except ValueError:
            fields[key] = value
    return fields


def _validated(kind, fields: dict):
    """A recipe from plain fields; all faults at once."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        faults = [{"field": ".".join(map(str, e["loc"])), "message": e["msg"]} for e in error.errors()]
        names = ", ".join(kind.model_fields)
        raise InvalidInput("the recipe cannot be used", hint=f"Its fields are: {names}.", details=faults) from None


def _fault_line(fault: dict) -> str:
    where = " ".join(f"{key} {fault[key]}" for key in ("file", "frame", "atom", "field") if fault.get(key) is not None)
    return f"{where}: {fault.get('message', '')}"
