"""Fields of a recipe as a person writes them, in a form or on a command line, and back."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

# A linear head is solved in closed form: it has no networks, and the evidence weighs its labels.
NETWORKS_ONLY = frozenset(
    ("inputs", "hidden", "epochs", "patience", "learning_rate", "weight_decay", "weighting", "force_priority")
)
NUMBERS = "write whole numbers with spaces or commas between them, such as 32 32"


def read(field: FieldInfo, text: Any) -> Any:
    """What `text` means for a field: "32, 32" a tuple, "8" one of numbers to choose from; else what was given.

    What cannot be read is left as it is, for the recipe to refuse.
    """
    if not isinstance(text, str):
        return text
    if get_origin(field.annotation) is tuple:
        parts = text.strip("[]() ").replace(",", " ").split()
        return tuple(map(int, parts)) if parts and all(part.isdigit() for part in parts) else text
    return next((choice for choice in choices(field) if str(choice) == text), text)


def write(value: Any) -> Any:
    """A value as it stands in a form: (32, 32) → "32 32"; numbers and truths as they are."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def choices(field: FieldInfo) -> tuple:
    """What a field may be, where it is one of few; nothing otherwise."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def families(field: FieldInfo) -> tuple[str, ...]:
    """The families of potentials that look at a field; nothing where all do."""
    marked = field.json_schema_extra
    return tuple(marked.get("families", ())) if isinstance(marked, dict) else ()


def used(recipe: type[BaseModel], name: str, family: str, head: str = "") -> bool:
    """Whether a family of potentials, with that head, looks at a field."""
    if head == "linear" and "head" in recipe.model_fields and used(recipe, "head", family) and name in NETWORKS_ONLY:
        return False
    marked = families(recipe.model_fields[name])
    return not marked or family in marked


def faults(error: ValidationError) -> list[dict[str, str]]:
    """What is wrong with which field, in words."""
    return [
        {
            "field": ".".join(map(str, one["loc"])),
            "message": NUMBERS if one["type"] == "tuple_type" else one["msg"],
        }
        for one in error.errors()
    ]
