"""What is wrong with a file, said so that a person finds the place."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ..errors import InvalidInput

KEPT = 200  # faults told in full; beyond that only counted


class Fault(BaseModel):
    """One thing wrong in one place.

    frame  0-based place in the file, None when the whole file is meant
    atom   0-based row in the frame, None when the whole frame is meant
    fatal  False for a remark that does not keep the file out
    """

    model_config = ConfigDict(frozen=True)

    file: str
    frame: int | None = None
    atom: int | None = None
    field: str = ""
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.frame is not None:
            place.append(f"frame {self.frame}")
        if self.atom is not None:
            place.append(f"atom {self.atom}")
        if self.field:
            place.append(self.field)
        return f"{', '.join(place)}: {self.message}" if place else self.message


class FaultList:
    """Faults in the order they were met: the first `kept` in full, all of them counted."""

    def __init__(self, kept: int = KEPT):
        self.kept = kept
        self.faults: list[Fault] = []
        self.total = 0

    def add(self, fault: Fault) -> None:
        self.total += 1
        if len(self.faults) < self.kept:
            self.faults.append(fault)

    def __len__(self) -> int:
        return self.total


def refusal(faults: tuple[Fault, ...], total: int) -> InvalidInput:
    """The one report of everything wrong with the files of an import."""
    files = sorted({fault.file for fault in faults if fault.file})
    where = f"{files[0]} cannot" if len(files) == 1 else f"{len(files)} files cannot" if files else "the files cannot"
    one = "1 fault" if total == 1 else f"{total} faults"
    told = "" if total <= len(faults) else f" (the first {len(faults)} are listed)"
    return InvalidInput(
        f"{where} be imported: {one}{told}; first: {faults[0]}",
        hint="Nothing was stored. Mend the places listed, or say what the file means (keys, units), and import again.",
        details=[fault.model_dump(exclude={"fatal"}) for fault in faults],
    )
