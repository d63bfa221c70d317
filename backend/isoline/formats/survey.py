"""The first pass over files: what they hold, the label contract proposed for them, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ase.data import chemical_symbols
from pydantic import BaseModel, ConfigDict

from ..domain.contract import Contract
from .ase_files import TITLES
from .fault import Fault, FaultList
from .proposal import Candidate, Proposal
from .reader import detect, open_frames
from .stream import LINE_LIMIT, Unreadable
from .tally import Tally

FRAMES_PER_STEP = 500
RANGE_UNITS = {"energy": "eV/atom", "forces": "eV/Å (largest of a frame)", "stress": "eV/Å³"}


class FileCard(BaseModel):
    """One file of an import."""

    model_config = ConfigDict(frozen=True)

    name: str
    format: str
    size: int
    n_frames: int


class Survey(BaseModel):
    """What is in the files, before anything is stored.

    candidates  every key that looks like energy, forces or stress, with ranges in eV/atom, eV/Å, eV/Å³ under `contract`
    contract    the proposal: the person's own choices, and a proposed key for each label not chosen
    why         the reasons of the proposal, one sentence each
    ignored     key → frames that have it, for everything that is not read
    duplicates  frames with atoms and cell of an earlier frame, bit for bit
    faults      what refuses the files (the first 200; `n_faults` counts all)
    warnings    what a person should look at
    """

    model_config = ConfigDict(frozen=True)

    files: tuple[FileCard, ...]
    n_frames: int
    n_atoms: int
    atoms_range: tuple[int, int]
    elements: tuple[int, ...]
    groups: dict[str, int]
    splits: dict[str, int]
    candidates: tuple[Candidate, ...]
    contract: Contract
    why: tuple[str, ...]
    ignored: dict[str, int]
    n_energy: int
    n_forces: int
    n_stress: int
    duplicates: int
    faults: tuple[Fault, ...]
    n_faults: int
    warnings: tuple[Fault, ...]

    @property
    def accepted(self) -> bool:
        return self.n_faults == 0

    def as_text(self) -> str:
        """The contract, its reasons, faults and warnings for a terminal."""
        lines = [f"{card.name}: {card.format}, {card.n_frames} frames" for card in self.files]
        symbols = " ".join(chemical_symbols[z] for z in self.elements)
        lines.append(f"{self.n_frames} frames, {self.n_atoms} atoms ({symbols}), {self.duplicates} exact repeats")
        for card in self.candidates:
            span = "" if card.low is None else f", {card.low:.6g} … {card.high:.6g} {RANGE_UNITS[card.kind]}"
            lines.append(f"{'*' if card.chosen else ' '} {card.kind:6s} {card.key}: {card.n_frames} frames{span}")
            lines += [f"           {remark}" for remark in card.remarks]
        lines += [f"because {reason}" for reason in self.why]
        if self.ignored:
            lines.append("not read: " + ", ".join(f"{key} ({n})" for key, n in self.ignored.items()))
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"fault: {fault}" for fault in self.faults]
        if self.n_faults > len(self.faults):
            lines.append(f"… {self.n_faults} faults in all")
        return "\n".join(lines)


class SurveyStep(BaseModel):
    """How far a survey has come; fraction 0…1 over the bytes of the files."""

    model_config = ConfigDict(frozen=True)

    fraction: float
    file: str
    n_frames: int


def survey_files(
    paths: list[Path], contract: Contract, *, names: list[str] | None = None, line_limit: int = LINE_LIMIT
) -> Iterator[SurveyStep | Survey]:
    """Read all frames once, holding one at a time, and yield steps and last the survey.

    contract  what the person has chosen already; keys left None are proposed
    names     how to call the files, default their own names
    """
    names = names or _short_names(paths)
    sizes = [path.stat().st_size for path in paths]
    faults, warnings = FaultList(), FaultList()
    tally = Tally(contract, faults)
    cards = []
    for number, (path, name, size) in enumerate(zip(paths, names, sizes, strict=True)):
        before = tally.n_frames
        fraction = sum(sizes[:number]) / max(sum(sizes), 1)
        yield SurveyStep(fraction=fraction, file=name, n_frames=tally.n_frames)
        broken = False
        for item in open_frames(path, name=name, line_limit=line_limit):
            if isinstance(item, Fault):
                (faults if item.fatal else warnings).add(item)
                broken = broken or item.fatal
                continue
            tally.add(item, name)
            if tally.n_frames % FRAMES_PER_STEP == 0:
                yield SurveyStep(fraction=fraction, file=name, n_frames=tally.n_frames)
        if tally.n_frames == before and not broken:
            faults.add(Fault(file=name, field="file", message="the file holds no frames"))
        cards.append(FileCard(name=name, format=_title(path), size=size, n_frames=tally.n_frames - before))
    proposal = Proposal(tally, faults, warnings)
    chosen = proposal.contract
    read = {chosen.energy_key, chosen.forces_key, chosen.stress_key}
    ignored = {card.key: card.n_frames for card in proposal.candidates() if card.key not in read}
    yield Survey(
        files=tuple(cards),
        n_frames=tally.n_frames,
        n_atoms=tally.n_atoms,
        atoms_range=(min(tally.atoms_of_frame, default=0), max(tally.atoms_of_frame, default=0)),
        elements=tuple(int(z) for z in proposal.elements),
        groups=dict(tally.groups.get(chosen.group_key or "", {})),
        splits=dict(tally.splits),
        candidates=proposal.candidates(),
        contract=chosen,
        why=tuple(proposal.why),
        ignored=ignored | dict(tally.other.most_common(100)),
        n_energy=proposal.chosen_frames("energy"),
        n_forces=proposal.chosen_frames("forces"),
        n_stress=proposal.chosen_frames("stress"),
        duplicates=proposal.duplicates(),
        faults=tuple(faults.faults),
        n_faults=faults.total,
        warnings=tuple(warnings.faults),
    )


def _title(path: Path) -> str:
    try:
        return TITLES[detect(path)]
    except (Unreadable, OSError):
        return "unknown"


def _short_names(paths: list[Path]) -> list[str]:
    """File names, with the folder where two files share theirs."""
    names = [path.name for path in paths]
    return [f"{path.parent.name}/{path.name}" if names.count(path.name) > 1 else path.name for path in paths]
