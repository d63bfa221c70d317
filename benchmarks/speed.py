"""What a step of dynamics costs with our committee and with what a user would pick instead, in one run.

    python benchmarks/speed.py --json [--atoms 1000] [--threads 1] [--model FOLDER] [--without mace] [--turns 3]
        [--also fast=FOLDER] > speed.json

Rattled silicon; every step has new positions and asks for energy, forces and stress, neighbour lists included. All
processes live at once and are asked in turn; the least time of a step counts. Times are microseconds per atom and
step: `wall` on the clock, `processor` what the process computed, on however many other programs' terms (on one thread
the second is the fair one on a busy machine). Ratios above 1: ours is faster.

    ours      the committee of the default recipe, trained on zuo2020_Si, or --model FOLDER; float32 and float64;
              --also NAME=FOLDER adds a model of ours that was kept before, in float32
    gap       two-body and SOAP (n_max 8, l_max 6, 1000 sparse points), fitted by gap_fit on the same structures
    mace      2 layers, 32 channels, invariant messages, correlation 3, r_c 5 Å, trained on the same structures
    chgnet    pretrained, as its wheel has it
    nep       form and size of published ones; its weights are made up, so it has a cost but no errors
    featomic  SOAP values and forces by autograd (n_max 8, l_max 6, r_c 6 Å), against ours in float64 and float32

Install them first with `benchmarks/competitors.py`; models that are missing in --cache are trained (MACE: up to an
hour). `test` holds errors on the published test set, eV/atom and eV/Å.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import guests
from accuracy import frames, train
from competitors import COMPETITORS, FOLDER
from exchange import Conversation, machine, ours, silicon, turn_by_turn, write_arrays

from isoline.domain.recipe import Train

SECONDS = 1.0  # of steps in each turn


def trained(folder: Path, recipe: Train) -> dict:
    """Train the recipe on silicon and leave the model's files in the folder; returns what training took."""
    potential, took = train(recipe, frames(f"{guests.DATASET}_train"))
    save(potential, folder)
    return took


def save(potential, folder: Path) -> Path:
    """The files of a potential in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in potential.save().items():
        (folder / name).write_bytes(content)
    return folder


def measure(arguments: argparse.Namespace, model: Path, folder: Path) -> dict:
    structure = write_arrays(folder / "silicon.npz", [silicon(arguments.atoms)])
    with ExitStack() as stack:
        names = [name for name in COMPETITORS if name not in arguments.without]
        asked = {"ours": ours(model, threads=arguments.threads)}
        asked["ours_float64"] = ours(model, threads=arguments.threads, dtype="float64")
        for name, other in arguments.also:
            asked[name] = ours(other, threads=arguments.threads)
        for name in names:
            asked[name] = guests.conversation(name, arguments.cache, arguments.competitors, arguments.threads)
        if "featomic" in names:
            for dtype in ("float64", "float32"):
                soap = Conversation(sys.executable, "isoline_soap", dtype, threads=arguments.threads)
                asked[f"soap_{dtype}"] = soap
        for conversation in asked.values():
            stack.enter_context(conversation)
        times = turn_by_turn(asked, structure, arguments.turns, SECONDS)
        made_up = ("nep", "featomic", "soap_float64", "soap_float32")
        tested = [name for name in asked if name not in made_up]
        test = str(guests.files(arguments.cache)["test.npz"])
        errors = {name: asked[name].ask(do="errors", structures=test) for name in tested}
        versions = {name: conversation.versions for name, conversation in asked.items()}
    return {"times": times, "ratios": ratios(times), "test": errors, "versions": versions}


def ratios(times: dict[str, dict]) -> dict[str, dict[str, float]]:
    """How many times faster ours is, by competitor and clock; SOAP against SOAP."""
    pairs = {name: ("soap_float64" if name == "featomic" else "ours") for name in COMPETITORS if name in times}
    return {
        name: {
            clock: times[name][f"{clock}_us_per_atom"] / times[own][f"{clock}_us_per_atom"]
            for clock in ("wall", "processor")
        }
        for name, own in pairs.items()
    }


def named(word: str) -> tuple[str, Path]:
    """NAME=FOLDER of the command line."""
    name, _, folder = word.partition("=")
    return name, Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--atoms", type=int, default=1000, help="a multiple of 8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", type=Path, help="folder of a model of ours; trained with the default recipe if not")
    parser.add_argument("--also", action="append", default=[], type=named, help="NAME=FOLDER; may be repeated")
    parser.add_argument("--options", type=json.loads, default={}, help="other fields of the training recipe, as JSON")
    parser.add_argument("--without", action="append", default=[], choices=sorted(COMPETITORS))
    parser.add_argument("--competitors", type=Path, default=FOLDER, help="where competitors.py installed them")
    parser.add_argument("--cache", type=Path, default=guests.CACHE, help="where trained competitors are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, took = arguments.model, {}
        if model is None:
            model = Path(folder) / "model"
            took = trained(model, Train(version=0, **arguments.options))
        report = measure(arguments, model, Path(folder))
    report |= {"atoms": arguments.atoms, "threads": arguments.threads, "training": took, "machine": machine()}
    if arguments.json:
        print(json.dumps(report))
        return
    for name, found in report["times"].items():
        error = report["test"].get(name, {})
        print(
            f"{name:14} {found['wall_us_per_atom']:9.1f} µs wall {found['processor_us_per_atom']:9.1f} µs processor"
            + (f"   {1e3 * error['energy_rmse']:8.2f} meV/atom {error['force_rmse']:.4f} eV/Å" if error else "")
        )


if __name__ == "__main__":
    main()
