"""The form of a recipe is the recipe: nothing is said twice."""

from __future__ import annotations

import pytest

from isoline.domain.recipe import Train
from isoline.errors import InvalidInput
from isoline_web.components.recipe_form import read_form, recipe_form
from isoline_web.pages.train_dialog import FIRST, LEFT_OUT


def inputs(component) -> dict:
    """Field name → input, of everything below."""
    found = {}
    for part in component if isinstance(component, list) else [component]:
        id = getattr(part, "id", None)
        if isinstance(id, dict) and "field" in id:
            found[id["field"]] = part
        children = getattr(part, "children", None)
        if isinstance(children, (list, tuple)):
            found |= inputs(list(children))
        elif children is not None and not isinstance(children, str):
            found |= inputs(children)
    return found


def test_every_field_a_person_may_set_is_there_with_its_help_bounds_and_default():
    shown = inputs(recipe_form(Train, "train", FIRST, LEFT_OUT))
    assert set(shown) == set(Train.model_fields) - set(LEFT_OUT) - {"kind"}
    assert list(shown)[: len(FIRST)] == list(FIRST)
    members = shown["members"]
    assert (members.min, members.max, members.value) == (1, 32, Train.model_fields["members"].default)
    assert members.description == Train.model_fields["members"].description


def test_the_form_as_it_opens_gives_the_default_recipe():
    shown = inputs(recipe_form(Train, "train", FIRST, LEFT_OUT))
    recipe = read_form(Train, [part.id for part in shown.values()], [part.value for part in shown.values()], version=3)
    assert recipe == Train(version=3)


def test_widths_are_typed_as_words():
    recipe = read_form(Train, [{"form": "train", "field": "hidden"}], ["16, 8 4"], version=1)
    assert recipe.hidden == (16, 8, 4)


def test_what_cannot_be_used_is_named():
    with pytest.raises(InvalidInput) as refused:
        read_form(Train, [{"form": "train", "field": "members"}], [99], version=1)
    assert "Members" in refused.value.hint
