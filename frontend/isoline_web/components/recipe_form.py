"""A form made from a recipe's own fields: help, bounds and units stand there once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dash_mantine_components as dmc
from annotated_types import Ge, Gt, Le, Lt
from dash import html
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from isoline.errors import InvalidInput


def recipe_form(recipe: type, prefix: str, first: Iterable[str], leave_out: Iterable[str] = ()) -> list:
    """Inputs for the fields named in `first`, then the others, folded away; ids are {"form": prefix, "field": name}."""
    fields = {
        name: field for name, field in recipe.model_fields.items() if name != "kind" and name not in set(leave_out)
    }
    shown = [_input(prefix, name, fields[name]) for name in first]
    others = [_input(prefix, name, field) for name, field in fields.items() if name not in set(first)]
    return [
        html.Div(shown, className="form"),
        html.Details([html.Summary("Advanced"), html.Div(others, className="form")], className="advanced"),
    ]


def read_form(recipe: type, ids: list[dict], values: list[Any], **given) -> Any:
    """The recipe a person filled in. Raises InvalidInput naming every field that cannot be used."""
    filled = dict(given)
    for id, value in zip(ids, values, strict=True):
        if value not in (None, ""):
            filled[id["field"]] = _parse(value)
    try:
        return recipe.model_validate(filled)
    except ValidationError as error:
        faults = [f"{words(str(fault['loc'][0]))}: {fault['msg'].lower()}" for fault in error.errors() if fault["loc"]]
        raise InvalidInput("The recipe cannot be used as it is", hint="; ".join(faults)) from None


def words(name: str) -> str:
    """learning_rate → "Learning rate"."""
    return name.replace("_", " ").capitalize()


def _input(prefix: str, name: str, field: FieldInfo) -> Any:
    id = {"form": prefix, "field": name}
    shared = {"id": id, "label": words(name), "description": field.description or ""}
    if field.annotation in (int, float):
        low, high = _bounds(field)
        step = 1 if field.annotation is int else None
        return dmc.NumberInput(
            value=field.default,
            min=low,
            max=high,
            step=step,
            allowDecimal=field.annotation is float,
            hideControls=True,
            clampBehavior="none",
            **shared,
        )
    default = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    return dmc.TextInput(value=default, **shared)


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    low = next((m.ge if isinstance(m, Ge) else m.gt for m in field.metadata if isinstance(m, (Ge, Gt))), None)
    high = next((m.le if isinstance(m, Le) else m.lt for m in field.metadata if isinstance(m, (Le, Lt))), None)
    return low, high


def _parse(value: Any) -> Any:
    """ "32 32" → (32, 32): widths are typed with spaces or commas between them."""
    if (
        isinstance(value, str)
        and value.replace(",", " ").split()
        and all(part.isdigit() for part in value.replace(",", " ").split())
    ):
        return tuple(int(part) for part in value.replace(",", " ").split())
    return value
