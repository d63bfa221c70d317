"""Numbers and names as people read them: real minus, thin spaces, units after the value."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from ase.data import chemical_symbols

THIN = "\u2009"
MINUS = "\u2212"
DASH = "\u2013"


def count(value: int) -> str:
    """50000 → "50 000" with thin spaces."""
    return f"{value:,}".replace(",", THIN)


def plural(value: int, noun: str, many: str = "") -> str:
    """ "1 structure", "50 000 structures"."""
    return f"{count(value)} {noun if value == 1 else many or noun + 's'}"


def number(value: float | None, digits: int = 3) -> str:
    """A decimal with a real minus; a dash where there is none. Very small and large values in powers of ten."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    if size != 0 and (size < 10.0**-digits or size >= 1e6):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    return f"{value:,.{digits}f}".replace(",", THIN).replace("-", MINUS)


def percent(fraction: float) -> str:
    return f"{100 * fraction:.0f}{THIN}%"


def symbols(numbers: tuple[int, ...] | list[int]) -> list[str]:
    """Chemical symbols of atomic numbers."""
    return [chemical_symbols[z] for z in numbers]


def size(n_bytes: int) -> str:
    """Bytes in a unit that keeps the number short."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in one unit."""
    if moment is None:
        return DASH
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 45:
        return "just now"
    for limit, length, unit in ((3600, 60, "min"), (86_400, 3600, "h"), (14 * 86_400, 86_400, "d")):
        if seconds < limit:
            return f"{max(1, round(seconds / length))} {unit} ago"
    return moment.date().isoformat()


def duration(start: datetime | None, end: datetime | None) -> str:
    """How long from start to end: "3.2 s", "4 min 12 s", "2 h 05 min"."""
    if start is None or end is None:
        return DASH
    seconds = max(0.0, (end.replace(tzinfo=None) - start.replace(tzinfo=None)).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
