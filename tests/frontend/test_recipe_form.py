"""The form of a recipe is the recipe: nothing is said twice, and what is shown is what is used."""

from __future__ import annotations

import dash_mantine_components as dmc
import pytest

from isoline.domain.recipe import PRESETS, Train
from isoline.errors import InvalidInput
from isoline_web.components.recipe_form import by_hand, form_values, read_form, recipe_form, refilled
from isoline_web.pages.train_dialog import DEFAULT, FILLED, FIRST, LEFT_OUT, preset, preset_words, visible

FAMILIES = tuple(PRESETS)
LEVELS = ("fast", "balanced", "accurate")


def found(component, key: str) -> dict:
    """Field name → component whose id says so under `key`, of everything below."""
    parts = {}
    for part in component if isinstance(component, (list, tuple)) else [component]:
        id = getattr(part, "id", None)
        if isinstance(id, dict) and key in id:
            parts[id[key]] = part
        children = getattr(part, "children", None)
        if children is not None and not isinstance(children, str):
            parts |= found(children, key)
    return parts


@pytest.fixture
def form():
    """As it opens."""
    values = preset(**DEFAULT)
    return recipe_form(Train, "train", FIRST, LEFT_OUT, values, visible(DEFAULT["family"], values))


def values_of(form) -> dict:
    fields, switches = found(form, "field"), found(form, "switch")
    return form_values(
        [part.id for part in fields.values()],
        [part.value for part in fields.values()],
        [part.id for part in switches.values()],
        [part.checked for part in switches.values()],
    )


def test_every_field_a_person_may_set_is_there_with_its_help_bounds_and_default(form):
    shown = found(form, "field") | found(form, "switch")
    assert set(shown) == set(found(form, "cell")) == set(Train.model_fields) - set(LEFT_OUT) - {"kind"} == set(FILLED)
    assert list(found(form, "cell"))[: len(FIRST)] == list(FIRST)
    members = shown["members"]
    assert (members.min, members.max, members.value) == (1, 32, Train(version=0).members)
    assert members.description == Train.model_fields["members"].description


def test_truths_are_switches_and_one_of_few_is_a_choice(form):
    assert isinstance(found(form, "switch")["repulsion"], dmc.Switch)
    products = found(form, "field")["products"]
    assert isinstance(products, dmc.Select)
    assert [choice["value"] for choice in products.data] == ["2", "4", "8"]
    assert read_form(Train, {"products": "4"}, version=1).products == 4


def test_the_form_as_it_opens_gives_the_default_recipe(form):
    assert read_form(Train, values_of(form), version=3, **DEFAULT) == Train(version=3)
    assert by_hand(values_of(form), preset(**DEFAULT)) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("accuracy", LEVELS)
def test_what_is_shown_is_what_is_used(family, accuracy):
    chosen = {"family": family, "accuracy": accuracy}
    shown = preset(**chosen)
    asked = {name: shown[name] for name in visible(family, shown)}
    assert read_form(Train, asked, version=1, **chosen) == Train(version=1, **chosen)


@pytest.mark.parametrize("family", FAMILIES)
def test_choosing_an_accuracy_fills_in_its_preset(family):
    fast, accurate = preset(family, "fast"), preset(family, "accurate")
    filled = refilled(fast, fast, accurate)
    assert filled == accurate
    assert filled["epochs"] == PRESETS[family]["accurate"]["epochs"]


def test_what_was_changed_by_hand_stays():
    fast, accurate = preset("body-ordered", "fast"), preset("body-ordered", "accurate")
    now = fast | {"epochs": 7, "cutoff": 4.2, "name": "mine"}
    filled = refilled(now, fast, accurate)
    assert (filled["epochs"], filled["cutoff"], filled["name"]) == (7, 4.2, "mine")
    assert filled["members"] == accurate["members"]
    assert set(by_hand(filled, accurate)) == {"epochs", "cutoff", "name"}


def test_an_emptied_input_stands_for_the_preset():
    fast, accurate = preset("body-ordered", "fast"), preset("body-ordered", "accurate")
    assert refilled(fast | {"epochs": ""}, fast, accurate)["epochs"] == accurate["epochs"]
    assert read_form(Train, {"epochs": ""}, version=1, accuracy="fast").epochs == fast["epochs"]


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_fields_of_the_family_are_shown(family):
    shown = visible(family, {"direct_forces": True})
    marked = {
        name: field.json_schema_extra["families"]
        for name, field in Train.model_fields.items()
        if field.json_schema_extra
    }
    assert {name for name in marked if name in shown} == {name for name in marked if family in marked[name]}
    assert all(name in shown for name in FILLED if name not in marked)


def test_the_net_force_penalty_is_shown_only_where_net_forces_may_be():
    assert "net_force_penalty" not in visible("message-passing", {"direct_forces": False})
    assert "net_force_penalty" in visible("message-passing", {"direct_forces": True})
    assert "net_force_penalty" not in visible("body-ordered", {"direct_forces": True})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_level_of_accuracy_says_what_it_decides(family):
    assert f"Epochs {PRESETS[family]['fast']['epochs']}" in preset_words(family, "fast")


def test_a_linear_head_has_no_networks_to_train():
    linear, networks = (set(visible("body-ordered", {"head": head})) for head in ("linear", "network"))
    assert linear < networks
    assert not linear & {"hidden", "epochs", "learning_rate"}
    assert {"cutoff", "l_max", "members", "energy_weight"} <= linear
    assert "hidden" in visible("message-passing", {"head": "linear"})
    assert "Epochs" not in preset_words("body-ordered", "fast", "linear")


def test_widths_are_typed_as_words_and_a_name_of_digits_stays_a_name():
    recipe = read_form(Train, {"hidden": "16, 8 4", "name": "2026"}, version=1)
    assert recipe.hidden == (16, 8, 4)
    assert recipe.name == "2026"


@pytest.mark.parametrize(("name", "value"), [("members", 99), ("hidden", "wide"), ("cutoff", 0.5)])
def test_what_cannot_be_used_is_named(name, value):
    with pytest.raises(InvalidInput) as refused:
        read_form(Train, {name: value}, version=1)
    assert name.capitalize() in refused.value.hint
