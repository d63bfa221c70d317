"""A workbench with silicon, maps and an evaluation in it, served to a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.services import intake, library
from isoline.store import artifacts
from isoline.workbench import Settings, Workbench

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 60


@pytest.fixture(scope="session")
def home(tmp_path_factory, data) -> Path:
    """A data folder holding silicon with two maps, a committee's record and its evaluation.

    Places and predictions are drawn at random about the truth: what is tested is the page, not the science.
    """
    folder = tmp_path_factory.mktemp("silicon")
    bench = Workbench.open(Settings.at(folder))
    *_, outcome = intake.import_files(bench, OWNER, [data / "zuo2020_Si_train.extxyz.gz"], "Si")
    version = outcome.version_id
    columns = library.columns(bench, version)
    random = np.random.default_rng(0)
    angle = 2 * np.pi * columns.group.codes / len(columns.group.names)
    places = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.12 * random.normal(size=(len(columns), 2))
    with bench.write() as connection:

        def keep(kind, key, name, summary, columns, parent=None):
            return artifacts.add(
                connection, kind, key * 32, name, {}, summary, version, OWNER.name, parent=parent, columns=columns
            )

        for key, method in (("a", "umap"), ("b", "pca")):
            xy = (places if method == "umap" else places[:, ::-1]).astype("<f4")
            keep(ArtifactKind.EMBEDDING, key, method, {"method": method, "descriptor": "soap"}, {"xy": xy})
        roles = np.ones(len(columns), dtype=np.uint8)
        learned = {"role": roles, "structure_id": columns.structure_id}
        summary = {"members": 4, "n_train": 200, "n_validation": 14, "validation_force_rmse": 0.11}
        model = keep(ArtifactKind.MODEL, "c", "Si v1", summary, learned)
        keep(ArtifactKind.EVALUATION, "d", "Si v1 on Si v1", {}, predictions(bench, version, random), parent=model)
    bench.close()
    return folder


def predictions(bench: Workbench, version: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The truth with errors of about 5 meV/atom and 0.1 eV/Å."""
    frames = list(library.frames(bench, version))
    n_atoms = np.array([len(frame) for frame in frames])
    reference = np.concatenate([frame.label.forces for frame in frames])
    spread = np.abs(random.normal(0.1, 0.03, len(reference))).astype("<f4")
    forces = reference + spread[:, None] * random.normal(size=reference.shape)
    ends = np.cumsum(n_atoms)
    error = np.linalg.norm(forces - reference, axis=1)
    parts = [slice(end - n, end) for end, n in zip(ends, n_atoms, strict=True)]
    return {
        "energy": np.array([frame.label.energy for frame in frames])
        + 0.005 * n_atoms * random.normal(size=len(frames)),
        "energy_spread": np.abs(random.normal(0.004, 0.001, len(frames))),
        "force_rmse": np.array([np.sqrt((error[part] ** 2).mean() / 3) for part in parts], dtype="<f4"),
        "force_max_error": np.array([error[part].max() for part in parts], dtype="<f4"),
        "force_spread": np.array([spread[part].max() for part in parts], dtype="<f4"),
        "stress": np.full((len(frames), 6), np.nan, dtype="<f4"),
        "forces": forces.astype("<f4"),
        "atom_force_spread": spread,
        "role": np.ones(len(frames), dtype=np.uint8),
    }


@pytest.fixture(scope="session")
def site(home) -> str:
    """The address of a web server, without a worker, over that folder."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "isoline_web.app:create", "--port", str(port)]
    environment = os.environ | {"ISOLINE_HOME": str(home)}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--timeout-graceful-shutdown", "1"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
        try:
            while not _answers(address):
                assert process.poll() is None, (home / "server.log").read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    alone = ["--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": ["--no-sandbox", *quiet, *alone]}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}


@pytest.fixture
def tab(page, site):
    """A page that may speak to our server only, and must not complain."""
    foreign, complaints = [], []
    page.set_default_timeout(45_000)  # parsing plotly takes seconds on a shared machine
    own = (site, site.replace("http", "ws"), "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield page
    assert foreign == []
    assert complaints == []
