"""Bringing files in: upload, survey, import. What is refused leaves nothing behind."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..domain.actor import Actor
from ..domain.contract import Contract
from ..domain.dataset import AddOutcome, SourceRecord
from ..domain.job import Job, JobState
from ..domain.recipe import Import
from ..domain.structure import Frame
from ..errors import Conflict, InvalidInput
from ..formats.contract import interpret
from ..formats.fault import Fault, refusal
from ..formats.reader import check_paths, open_frames
from ..formats.survey import Survey, survey_files
from ..jobs import ledger
from ..jobs.submit import submit
from ..store import events, uploads
from ..store.uploads import Upload
from ..workbench import Workbench
from . import library
from .accounts import permit

READING = 0.4  # share of an import that the first pass takes
WRITE_AT = 1 << 20  # bytes gathered before an upload is written
UNENDED = 10_000  # jobs of one state that are looked through


@dataclass(frozen=True)
class ImportStep:
    """How far an import has come."""

    fraction: float
    message: str


@dataclass(frozen=True)
class ImportOutcome:
    """A new dataset version. Counts are of the version; `added` and `duplicates` of this import.

    warnings  what a person should look at, one sentence each
    contract  how the labels were read
    """

    dataset: str
    version: int
    version_id: int
    n_structures: int
    n_energy: int
    n_forces: int
    n_stress: int
    added: int
    duplicates: int
    warnings: tuple[str, ...]
    contract: Contract

    def as_dict(self) -> dict:
        """The JSON of the command line and of a job's result."""
        body = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return body | {"warnings": list(self.warnings), "contract": self.contract.model_dump(mode="json")}


def survey(bench: Workbench, paths: Iterable[Path], contract: Contract | None = None) -> Survey:
    """What files hold, the label contract proposed for them, and every fault; nothing is stored.

    contract  what the person has chosen already; keys left open are proposed

    Raises InvalidInput for no files, or one that is not there.
    """
    *_, found = survey_files(check_paths([Path(path) for path in paths]), contract or Contract())
    return found


def import_files(
    bench: Workbench,
    actor: Actor,
    paths: Iterable[Path],
    dataset: str,
    contract: Contract | None = None,
    split: str = "",
    write: library.Write | None = None,
) -> Iterator[ImportStep | ImportOutcome]:
    """Bring files into a dataset as its next version, all of them or none; yields steps, and last the outcome.

    Every frame is read and checked before the first is stored. `split` holds for all frames, where it is given.
    `write` opens the transactions to write in; see `library.add_all`.

    Raises InvalidInput with one report of all faults (`details`), Conflict when a file changes meanwhile.
    """
    permit(actor, "import")
    paths = check_paths([Path(path) for path in paths])
    stamps = [_stamp(path) for path in paths]
    found: Survey | None = None
    for step in survey_files(paths, contract or Contract()):
        if isinstance(step, Survey):
            found = step
        else:
            yield ImportStep(READING * step.fraction, f"Reading {step.file}: {step.n_frames} frames")
    if not found.accepted:
        raise refusal(found.faults, found.n_faults)
    sources = _sources(paths, stamps, found, split)
    for step in library.add_all(bench, actor, dataset, sources, split, write):
        if isinstance(step, AddOutcome):
            yield _outcome(step, found)
        else:
            done = READING + (1 - READING) * step.frames / max(found.n_frames, 1)
            yield ImportStep(min(done, 0.99), f"Storing: {step.frames} of {found.n_frames} structures")


def _sources(
    paths: list[Path], stamps: list[tuple], found: Survey, split: str
) -> Iterator[tuple[SourceRecord, Iterator[Frame]]]:
    """One source for each file, opened when its turn comes."""
    contract = found.contract.model_dump(mode="json")
    for path, stamp, card in zip(paths, stamps, found.files, strict=True):
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        yield SourceRecord("file", card.name, sha256, card.size, contract), _frames(path, found.contract, split)
        if _stamp(path) != stamp:
            raise Conflict(f"{card.name} was changed while it was read", hint="Nothing was stored; import it again.")


def _frames(path: Path, contract: Contract, split: str) -> Iterator[Frame]:
    for item in open_frames(path):
        if isinstance(item, Fault):
            if item.fatal:
                raise refusal((item,), 1)
            continue
        frame = interpret(item, contract)
        if isinstance(frame, list):
            raise refusal(
                tuple(Fault(file=path.name, frame=item.index, field=f, message=m, atom=a) for f, m, a in frame), 1
            )
        yield replace(frame, split=split) if split else frame


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _outcome(done: AddOutcome, found: Survey) -> ImportOutcome:
    warnings = [str(warning) for warning in found.warnings]
    if done.conflicts:
        warnings.append(f"{done.conflicts} structures are there with another label of the same level of theory already")
    card = done.version
    return ImportOutcome(
        card.dataset, card.version, card.id, card.n_structures, card.n_energy, card.n_forces, card.n_stress,
        done.added, done.duplicates, tuple(warnings), found.contract,
    )  # fmt: skip


# Uploads ---------------------------------------------------------------------------------------------------------


async def save_upload(
    bench: Workbench, actor: Actor, name: str, chunks: AsyncIterable[bytes], *, largest: int = uploads.LARGEST
) -> Upload:
    """Stream an uploaded file to disk; nothing is kept of one that breaks off.

    Raises InvalidInput for an empty file, one beyond `largest` bytes, or a name that cannot name a file.
    """
    permit(actor, "upload")
    with uploads.receive(bench.settings.uploads, name, largest) as writer:
        waiting = bytearray()
        async for chunk in chunks:
            waiting += chunk
            if len(waiting) >= WRITE_AT:
                await asyncio.to_thread(writer.write, bytes(waiting))
                waiting.clear()
        return await asyncio.to_thread(_keep, bench, actor, writer, bytes(waiting))


def _keep(bench: Workbench, actor: Actor, writer: uploads.Writer, rest: bytes) -> Upload:
    writer.write(rest)
    id, sha256 = writer.finish()
    with bench.write() as connection:
        record = uploads.add(connection, id, writer.name, writer.size, sha256, actor.name)
        events.record(connection, actor.name, "upload", f"upload {id}", {"name": writer.name, "sha256": sha256})
    return record


def upload_path(bench: Workbench, id: str) -> Path:
    """Where an uploaded file lies on the server. Raises NotFound."""
    with bench.read() as connection:
        record = uploads.get(connection, id)
    return uploads.path_of(bench.settings.uploads, record)


def start_import(bench: Workbench, actor: Actor, recipe: Import) -> Job:
    """Queue the import of uploaded files. Raises NotFound for an unknown upload."""
    permit(actor, "import")
    names = [upload_path(bench, id).name for id in recipe.uploads]
    if len(set(recipe.uploads)) < len(names):
        raise InvalidInput("the same upload is named twice", hint="Name each file once.")
    what = names[0] if len(names) == 1 else f"{len(names)} files"
    return submit(bench, actor, recipe, title=f"Import {what} into {recipe.dataset}")


def run_import(
    bench: Workbench, actor: Actor, recipe: Import, write: library.Write | None = None
) -> Iterator[ImportStep | ImportOutcome]:
    """Do what an import recipe says; see `import_files`."""
    paths = [upload_path(bench, id) for id in recipe.uploads]
    yield from import_files(bench, actor, paths, recipe.dataset, recipe.contract, recipe.split, write)


def drop_uploads(bench: Workbench, job: Job, recipe: Import) -> None:
    """Delete the bytes that `job` has imported, but those which another import that has not ended still needs."""
    with bench.read() as connection:
        needed = {
            id
            for state in (JobState.QUEUED, JobState.RUNNING)
            for other in ledger.listing(connection, limit=UNENDED, state=state)
            if other.kind == recipe.kind and other.id != job.id
            for id in other.recipe["uploads"]
        }
        records = [uploads.get(connection, id) for id in recipe.uploads if id not in needed]
    for record in records:
        uploads.remove(bench.settings.uploads, record)
