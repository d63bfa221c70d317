"""The command line: thin, over services.

Every command takes --json and exits with 0 (done), 1 (failed) or 2 (wrong usage).
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from . import doctor as checks
from .domain.actor import OWNER
from .domain.contract import Contract
from .domain.recipe import AcsfDescriptor, Adopt, Describe, Evaluate, SoapDescriptor, Train
from .domain.written import choices
from .errors import InvalidInput
from .services import accounts, accuracy, guests, intake, library, training, work
from .services import leaks as leak_check
from .statistics.twins import NEAR
from .terminal import Group, answer, finish, open_workbench, progress, recipe_fields, refuse_unused, validated
from .workbench import Settings, Workbench, is_loopback


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
    actor = accounts.set_owner_password(open_workbench(), OWNER, password, name)
    answer(as_json, {"name": actor.name}, f"{actor.name} has a new password; open sessions have ended.")


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
    bench = open_workbench()
    contract = Contract.chosen(**options)
    if dry_run:
        survey = intake.survey(bench, list(files), contract)
        answer(as_json, survey.model_dump(mode="json"), survey.as_text())
        sys.exit(1 if survey.faults else 0)
    outcome = None
    for step in intake.import_files(bench, OWNER, list(files), dataset, contract, split or ""):
        if isinstance(step, intake.ImportOutcome):
            outcome = step
        else:
            progress(step.fraction, step.message)
    found = outcome.as_dict()
    text = (
        f"{found['dataset']} v{found['version']}: {found['n_structures']} structures, "
        f"{found['n_energy']} energies, {found['n_forces']} forces, {found['n_stress']} stresses, "
        f"{found['duplicates']} duplicates left out"
    )
    answer(as_json, found, "\n".join([text, *(f"warning: {warning}" for warning in found["warnings"])]))


@main.command()
def datasets(as_json: bool) -> None:
    """List datasets by their newest version."""
    cards = library.datasets(open_workbench())
    rows = [{"dataset": c.dataset, "version": c.version, "n_structures": c.n_structures} for c in cards]
    lines = [f"{c.dataset:30s} v{c.version:<3d} {c.n_structures:>9d} structures" for c in cards]
    answer(as_json, rows, "\n".join(lines) or "No datasets yet. `isoline demo` makes two, `isoline import` yours.")


@main.command()
@click.argument("dataset")
@click.option("--descriptor", type=click.Choice(["soap", "acsf"]), default="soap", show_default=True)
@click.option("--wait/--no-wait", default=True, show_default=True)
def describe(dataset: str, descriptor: str, wait: bool, as_json: bool) -> None:
    """Compute descriptors and maps (PCA, UMAP) of a dataset; NAME or NAME@VERSION."""
    bench = open_workbench()
    version = library.find_version(bench, dataset)
    chosen = SoapDescriptor() if descriptor == "soap" else AcsfDescriptor()
    job = training.describe(bench, OWNER, Describe(version=version.id, descriptor=chosen))
    job = finish(bench, [job], wait)[0]
    answer(as_json, {"job": job.id, **(job.result or {})}, f"job {job.id}: {job.state}")


@main.command()
@click.argument("dataset")
@click.option("--test", help="Dataset to evaluate the model on afterwards.")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON file with a recipe.")
@click.option("--family", type=click.Choice(choices(Train.model_fields["family"])), help="Kind of potential.")
@click.option(
    "--accuracy",
    type=click.Choice(choices(Train.model_fields["accuracy"])),
    help="Preset of the family: sizes and length of training where they are not given.",
)
@click.option("--members", type=click.IntRange(1, 32), help="Potentials in the committee.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="One field of the recipe, such as cutoff=6, hidden=32,32 or repulsion=no.",
)
@click.option("--wait/--no-wait", default=False)
def train(
    dataset: str,
    test: str | None,
    recipe: Path | None,
    family: str | None,
    accuracy: str | None,
    members: int | None,
    settings: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> None:
    """Train a committee on a dataset; NAME or NAME@VERSION."""
    bench = open_workbench()
    version = library.find_version(bench, dataset)
    tested = library.find_version(bench, test).id if test else None
    fields = recipe_fields(recipe, settings, Train) | {"version": version.id}
    options = {"family": family, "accuracy": accuracy, "members": members}
    asked = validated(Train, fields | {key: value for key, value in options.items() if value is not None})
    refuse_unused(asked, settings)
    jobs = training.train(bench, OWNER, asked, test=tested)
    done = finish(bench, jobs, wait)[0]
    found: dict = {"model": (done.result or {}).get("model"), "job": done.id}
    for key in ("seconds", "n_train", "n_validation"):
        found[key] = (done.result or {}).get(key)
    text = f"job {done.id} {done.state}" + (f": model {found['model']}" if found["model"] else "")
    answer(as_json, found, text)


@main.command()
@click.argument("model", type=int)
@click.argument("dataset")
@click.option("--wait/--no-wait", default=False)
def evaluate(model: int, dataset: str, wait: bool, as_json: bool) -> None:
    """Errors of MODEL on a dataset; NAME or NAME@VERSION."""
    bench = open_workbench()
    version = library.find_version(bench, dataset)
    job = training.evaluate(bench, OWNER, Evaluate(model=model, version=version.id))
    job = finish(bench, [job], wait)[0]
    if not wait:
        answer(as_json, {"model": model, "job": job.id}, f"job {job.id}: {job.state}")
        return
    row = accuracy.metrics(bench, job.result["evaluation"], "overall")[0]
    evaluation = job.result["evaluation"]
    leaked = leak_check.of_evaluation(bench, evaluation) or leak_check.of_model(bench, model, version.id)
    found = {
        "model": model,
        "n_structures": row.n_structures,
        "n_atoms": version.n_atoms,
        "energy_mae": row.energy_mae,
        "energy_rmse": row.energy_rmse,
        "force_mae": row.force_mae,
        "force_rmse": row.force_rmse,
        "stress_rmse": row.stress_rmse,
        "leaks": [leak["test"] for leak in leaked.listed()],
        "leak_kinds": [leak["kind"] for leak in leaked.listed()],
    }
    answer(as_json, found, "\n".join(f"{key:14s} {value}" for key, value in found.items()))


@main.command("guests")
def guests_(as_json: bool) -> None:
    """List potentials of others that can be evaluated here."""
    cards = guests.cards(open_workbench())
    rows = [asdict(card) | {"ready": card.ready} for card in cards]
    lines = [f"{c.name:16s} {'' if c.ready else f'({c.missing}) '}{c.what}\n{'':16s} {c.licence}" for c in cards]
    answer(as_json, rows, "\n".join(lines))


@main.group(cls=Group)
def guest() -> None:
    """Potentials of others as models."""


@guest.command("add")
@click.argument("name")
@click.option(
    "--dataset", required=True, help="NAME or NAME@VERSION: its zero of energy is taken, and it is evaluated there."
)
@click.option("--test", help="Another dataset to evaluate it on.")
@click.option("--name", "title", default="", help="Name of the model; the guest's if not given.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting that this guest leaves to choose."
)
@click.option("--shift/--no-shift", default=True, show_default=True, help="Fit energies of atoms to the dataset.")
@click.option("--wait/--no-wait", default=False)
def add_guest(
    name: str,
    dataset: str,
    test: str | None,
    title: str,
    settings: tuple[str, ...],
    shift: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Take guest NAME in as a model and evaluate it."""
    bench = open_workbench()
    version = library.find_version(bench, dataset)
    tested = library.find_version(bench, test).id if test else None
    fields = {"guest": name, "version": version.id, "name": title, "shift": shift}
    recipe = validated(Adopt, fields | {"settings": recipe_fields(None, settings)})
    jobs = guests.add(bench, OWNER, recipe, test=tested)
    done = finish(bench, jobs, wait)[0]
    found = {"model": (done.result or {}).get("model"), "job": done.id}
    answer(as_json, found, f"job {done.id} {done.state}" + (f": model {found['model']}" if found["model"] else ""))


@main.command()
@click.argument("train")
@click.argument("test")
@click.option("--near", type=click.FloatRange(0, 0.5, min_open=True), default=NEAR, show_default=True, help="Å")
def leaks(train: str, test: str, near: float, as_json: bool) -> None:
    """Structures of TEST that stand in TRAIN too, turned, reordered or moved; each a NAME or NAME@VERSION.

    Frames are rows of the datasets, from 0. Twice the same dataset: structures that repeat another of it.
    """
    bench = open_workbench()
    report = leak_check.between(
        bench, library.find_version(bench, train).id, library.find_version(bench, test).id, near
    )
    lines = [
        f"{leak.test:>6d} is {leak.train:>6d}  {leak.kind:8s} {leak.distance:.6f} Å{'  mirrored' * leak.mirrored}"
        for leak in report.pairs
    ]
    leaked = leak_check.in_words(report.n_leaked) or "no leaks"
    lines.append(f"{leaked} among {report.n_test} structures of {test} against {report.n_train} of {train}")
    answer(as_json, asdict(report), "\n".join(lines))


@main.command()
@click.argument("id", type=int, required=False)
def jobs(id: int | None, as_json: bool) -> None:
    """List jobs, or show one with its log."""
    bench = open_workbench()
    listed = [work.job(bench, id)] if id is not None else work.jobs(bench, limit=100)
    rows = [work.as_dict(job) for job in listed]
    lines = [f"{j.id:>5d}  {j.state:10s} {100 * j.progress:5.1f} %  {j.title}  {j.message}" for j in listed]
    if id is not None:
        lines += [entry["line"] for entry in work.log(bench, id, 0)]
    answer(as_json, rows, "\n".join(lines) or "No jobs yet.")


@main.command()
@click.argument("id", type=int)
def cancel(id: int, as_json: bool) -> None:
    """Stop a job."""
    job = work.cancel(open_workbench(), OWNER, id)
    answer(as_json, work.as_dict(job), f"job {job.id}: {job.state}")


@main.command()
@click.argument("dataset")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(dataset: str, file: Path, as_json: bool) -> None:
    """Write a dataset to FILE; its suffix chooses the format (.extxyz, .extxyz.gz, .extxyz.xz, .db, .traj)."""
    bench = open_workbench()
    outcome = library.export(bench, OWNER, library.find_version(bench, dataset).id, file)
    found = {"n_structures": outcome.n_structures, "path": str(outcome.path), "sha256": outcome.sha256}
    answer(as_json, found, f"{outcome.n_structures} structures in {outcome.path}")


@main.command()
@click.argument("model", type=int)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def save(model: int, folder: Path, as_json: bool) -> None:
    """Write MODEL to FOLDER as safetensors and JSON, for `isoline_lab.calculator.IsolineCalculator`."""
    bench = open_workbench()
    contents = {name: training.model_file(bench, model, name) for name in training.MODEL_FILES}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    answer(as_json, {"model": model, "folder": str(folder)}, f"model {model} is in {folder}")


@main.command()
@click.option("--wait/--no-wait", default=True, show_default=True)
def demo(wait: bool, as_json: bool) -> None:
    """Make the two sample projects: GFN2-xTB ethanol, PBE silicon. Nothing is downloaded."""
    bench = open_workbench()
    jobs = [training.sample(bench, OWNER, name) for name in ("silicon", "ethanol")]
    done = finish(bench, jobs, wait)
    if wait:
        finish(bench, [work.job(bench, job.result["map_job"]) for job in done], wait)
    rows = [{"job": job.id, "state": job.state, **(job.result or {})} for job in done]
    answer(as_json, rows, "\n".join(f"job {row['job']}: {row['state']}" for row in rows))


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
    answer(as_json, {"ok": ok, "checks": rows}, "\n".join(lines))
    sys.exit(0 if ok else 1)
