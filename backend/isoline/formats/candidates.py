"""Which keys of a file look like energy, forces and stress, and which of them is most likely meant."""

from __future__ import annotations

import re
from functools import lru_cache

KINDS = ("energy", "forces", "stress")

REFERENCE = re.compile(r"^(ref|reference|dft|qm|target|true|label|pbe|scan|r2scan|ccsd|ccsdt|mp2)")
NOT_A_LABEL = re.compile(
    r"kinetic|weight|std|sigma|error|uncert|variance|correction|without|withfinite|fermi|gap|cutoff|unit|diff|shift|"
    r"mask|constraint|spread|predict|convergence|entropy|interaction0|baseline"
)
GROUP_KEYS = ("config_type", "group", "config_name", "dataset", "source", "config_type_inferred", "category", "system")


@lru_cache(maxsize=4096)
def label_kind(key: str) -> tuple[str, int]:
    """("energy" | "forces" | "stress" | "", rank): what a key's name says; the lowest rank is the likeliest."""
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    if NOT_A_LABEL.search(plain):
        return "", 0
    rank = 0 if REFERENCE.match(plain) else 3
    if "virial" in plain or "stress" in plain:
        return "stress", rank if rank == 0 else (1 if plain == "stress" else 2 if plain in ("virial", "virials") else 3)
    if "force" in plain or plain in ("f", "frc"):
        return "forces", rank if rank == 0 else (1 if plain == "forces" else 2 if plain == "force" else 3)
    if plain == "freeenergy":
        return "energy", 4
    if "energy" in plain or plain in ("e", "e0", "en", "etot", "toten", "u0"):
        likely = plain in ("totalenergy", "potentialenergy", "e", "etot", "toten")
        return "energy", rank if rank == 0 else (1 if plain == "energy" else 2 if likely else 3)
    return "", 0


def says_per_atom(key: str) -> bool:
    """Whether the key's own name says that its energy is per atom."""
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    return "peratom" in plain or plain.endswith(("pa", "patom"))


def likeliest(counts: dict[str, int]) -> tuple[str | None, str]:
    """The key to propose among keys of one kind with their number of frames, and why.

    The key on most frames is meant; among equals the one whose name says so most plainly.
    """
    if not counts:
        return None, ""
    ordered = sorted(counts, key=lambda key: (-counts[key], label_kind(key)[1], key))
    best = ordered[0]
    if len(ordered) == 1:
        return best, ""
    others = ", ".join(f"{key} ({counts[key]})" for key in ordered[1:4])
    if counts[best] > counts[ordered[1]]:
        return best, f"{best} is on most frames ({counts[best]}); also there: {others}"
    return best, f"{best} is the plainest name among keys on {counts[best]} frames each; also there: {others}"
