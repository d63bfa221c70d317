"""A guest becomes a model: it is asked, its zero of energy is fitted, and what it learned from is remembered."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.recipe import Adopt
from isoline.domain.structure import Frame, Label, Structure
from isoline.jobs.worker_process import ensure_worker
from isoline.services import accuracy, guests, library, training, work
from isoline.services.library import SourceRecord
from isoline.store import artifacts
from isoline_lab.potentials.guest import GuestPotential

SHIFTS = {29: -3.0, 79: 4.0}


def alloys(n: int = 12) -> list[Frame]:
    """Copper and gold by EMT with another zero of energy; the last two for testing."""
    frames = []
    for index in range(n):
        random = np.random.default_rng(index)
        atoms: Atoms = bulk("Cu", a=3.8, cubic=True)
        atoms.numbers[:] = random.choice([29, 79], size=4)
        atoms.rattle(0.1, rng=random)
        atoms.calc = EMT()
        energy = atoms.get_potential_energy() + sum(SHIFTS[int(z)] for z in atoms.numbers)
        structure = Structure(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        label = Label("EMT", energy, atoms.get_forces(), atoms.get_stress())
        frames.append(Frame(structure, label, index=index, split="test" if index >= n - 2 else "train"))
    return frames


def added(bench, frames) -> int:
    *_, outcome = library.add(bench, OWNER, "alloys", frames, SourceRecord("file", "alloys", "ab" * 32, 1, {}))
    return outcome.version.id


def ended(bench, jobs) -> list:
    done = [list(work.wait(bench, job.id))[-1] for job in jobs]
    assert [job.state for job in done] == ["done"] * len(done), [job.error for job in done]
    return done


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "in another process"])
def test_a_guest_becomes_a_model_with_the_datasets_zero_of_energy(bench_sqlite, where):
    bench = bench_sqlite
    if where != "here":
        (bench.settings.home / guests.FILE).write_text(f'[emt]\ninterpreter = "{sys.executable}"\n')
    version = added(bench, alloys())
    with ensure_worker(bench):
        (done,) = ended(bench, guests.add(bench, OWNER, Adopt(guest="emt", version=version))[:1])
    result = done.result
    assert result["energy_rmse_unshifted"] > 1.0
    assert result["energy_rmse"] == pytest.approx(0.0, abs=1e-6)
    assert result["force_rmse"] == pytest.approx(0.0, abs=1e-9)
    assert result["shifts"] == {"29": pytest.approx(-3.0, abs=1e-5), "79": pytest.approx(4.0, abs=1e-5)}
    with bench.read() as connection:
        model = artifacts.get(connection, result["model"], ArtifactKind.MODEL)
        learned = artifacts.column(connection, model.id, "structure_id")
        files = artifacts.files(connection, model.id)
    columns = library.columns(bench, version)
    assert set(learned.tolist()) == set(columns.structure_id[columns.split.values() != "test"].tolist())
    assert set(files) == {"model.json"}
    assert sys.executable.encode() not in files["model.json"]
    assert json.loads(files["model.json"])["family"] == "guest"
    loaded = GuestPotential.load(files, guests.known(bench))
    frame = library.frame(bench, version, 11)
    (prediction,) = loaded.predict([frame.structure])
    assert prediction.mean_energy == pytest.approx(frame.label.energy, abs=1e-5)
    loaded.close()
    assert training.last_model(bench, "alloys") is None


@pytest.mark.slow
def test_a_guest_is_evaluated_like_any_model(bench_sqlite):
    bench = bench_sqlite
    version = added(bench, alloys())
    with ensure_worker(bench):
        *_, evaluated = ended(bench, guests.add(bench, OWNER, Adopt(guest="emt", version=version)))
    (row,) = accuracy.metrics(bench, evaluated.result["evaluation"], "overall")
    assert row.energy_rmse == pytest.approx(0.0, abs=1e-6)
    assert row.force_rmse == pytest.approx(0.0, abs=1e-6)
    assert row.stress_rmse == pytest.approx(0.0, abs=1e-7)
    assert len(accuracy.seen_in_training(bench, evaluated.result["evaluation"])) == 10


@pytest.mark.slow
def test_a_guest_that_cannot_be_made_fails_its_job_with_its_own_words(bench_sqlite):
    bench = bench_sqlite
    text = f'[broken]\nwhat = "x"\nlicence = "none"\ncalculator = "nowhere:X"\ninterpreter = "{sys.executable}"\n'
    (bench.settings.home / guests.FILE).write_text(text)
    version = added(bench, alloys(4))
    with ensure_worker(bench):
        first = guests.add(bench, OWNER, Adopt(guest="broken", version=version))[0]
        done = list(work.wait(bench, first.id))[-1]
    assert done.state == "failed"
    assert "broken could not be made" in done.error["message"]
    assert "nowhere" in done.error["message"]
