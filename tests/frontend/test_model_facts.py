"""What a model's page says of its summary, also where an older or another's model lacks it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from isoline.domain.artifact import Artifact, ArtifactKind
from isoline.domain.recipe import PRESETS, Train
from isoline_web.components.families import NO_NET_FORCE, family_words, reach_words, receptive_field
from isoline_web.components.loss_weights import loss_terms, loss_weights_panel
from isoline_web.components.model_facts import (
    cost_conditions,
    cost_words,
    dimer_warning,
    dimer_words,
    recipe_panel,
    recipe_rows,
    warm_panel,
)


def model(summary: dict | None = None, **recipe) -> Artifact:
    fields = Train(version=1, **recipe).model_dump(mode="json")
    return made(fields, summary or {})


def made(recipe: dict, summary: dict) -> Artifact:
    return Artifact(
        id=1,
        kind=ArtifactKind.MODEL,
        key="k",
        name="Si",
        recipe=recipe,
        summary=summary,
        version=1,
        parent=None,
        job=None,
        created_by="owner",
        created=datetime.now(UTC),
    )


def said(component) -> str:
    """Everything a component says."""
    return json.dumps(component.to_plotly_json(), default=lambda part: part.to_plotly_json(), ensure_ascii=False)


@pytest.mark.parametrize("family", PRESETS)
def test_a_model_of_any_family_and_nothing_else_known_has_its_panels(family):
    bare = model(family=family)
    assert loss_weights_panel(bare) is not None
    assert recipe_panel(bare) is not None
    assert (cost_words(bare), cost_conditions(bare)) == (("–", ""), "")
    assert dimer_words(bare) == "not checked"
    assert dimer_warning(bare) is None
    assert warm_panel(bare) is None


def test_a_guest_has_no_weights_and_keeps_its_recipe():
    guest = made({"kind": "adopt", "guest": "emt", "shift": True, "settings": {"a": 1}}, {"family": "guest"})
    assert family_words(guest) == "Guest"
    assert loss_weights_panel(guest) is None
    assert ("Settings", "a = 1", "") in recipe_rows(guest.recipe)


def test_a_model_without_a_recipe_is_of_the_family_there_was():
    assert family_words(made({}, {})) == "Behler–Parrinello"
    assert loss_weights_panel(made({}, {})) is None


@pytest.mark.parametrize("family", PRESETS)
def test_the_recipe_shows_only_what_the_family_looks_at(family):
    shown = {name for name, _, _ in recipe_rows(model(family=family).recipe)}
    assert ("Layers" in shown) == (family == "message-passing")
    assert ("N radial" in shown) == (family == "behler-parrinello")
    assert ("Products" in shown) == (family == "body-ordered")
    assert "Net force penalty" not in shown


def test_messages_carry_as_far_as_all_layers_reach():
    assert receptive_field({"family": "body-ordered", "cutoff": 5.0, "layers": 2}) == 5.0
    assert receptive_field({"family": "message-passing", "cutoff": 5.0, "layers": 2}) == 10.0
    assert "up to 10 Å" in reach_words({"family": "message-passing", "cutoff": 5, "layers": 2})
    assert "up to 5 Å" in reach_words({"family": "behler-parrinello", "cutoff": 5.0})
    assert "Give a cutoff" in reach_words({"family": "behler-parrinello", "cutoff": ""})


def test_a_weight_is_the_inverse_variance_relative_to_forces():
    noise = {"energy": 0.02, "force": 0.1, "stress": None}
    terms = loss_terms(model({"noise": noise}, force_priority=4.0, energy_weight=2.0))
    assert terms["energy"].weight == pytest.approx(2.0 * 0.1**2 / (4.0 * 0.02**2))
    assert terms["forces"].weight == 1.0
    assert terms["stress"].weight == Train.model_fields["stress_weight"].default


def test_noise_that_is_no_number_leaves_what_was_asked():
    terms = loss_terms(model({"noise": {"energy": float("nan"), "forces": 0.1}}))
    assert (terms["energy"].noise, terms["energy"].weight) == (None, 1.0)


def test_fixed_weights_are_those_asked_for():
    terms = loss_terms(model({"noise": {"energy": 0.02, "forces": 0.1}}, weighting="fixed", energy_weight=3.0))
    assert terms["energy"].weight == 3.0


def test_the_page_says_why_net_forces_vanish_and_what_they_cost_where_they_do_not():
    assert NO_NET_FORCE in said(loss_weights_panel(model(family="message-passing")))
    direct = model(family="message-passing", direct_forces=True, net_force_penalty=0.3)
    assert "weigh 0.3" in said(loss_weights_panel(direct))


def test_pairs_that_attract_are_named_with_a_warning():
    sound, unsound = model({"attractive_pairs": []}), model({"attractive_pairs": [["Si", "O"], [14, 14]]})
    assert (dimer_words(sound), dimer_warning(sound)) == ("repel each other", None)
    assert dimer_words(unsound) == "Si–O, Si–Si attract each other"
    assert "Si–O" in said(dimer_warning(unsound))


def test_the_cost_is_told_with_how_it_was_measured():
    cost = {"us_per_atom": 33.2, "atoms": 1000, "threads": 1, "device": "cpu"}
    assert cost_words(model({"cost": cost})) == ("33.2", "µs")
    assert cost_conditions(model({"cost": cost})) == "1\u2009000 atoms, 1 thread, CPU"
    assert cost_words(made({}, {"seconds_per_atom": 2e-3})) == ("2\u2009000", "µs")


def test_a_warm_start_is_compared_with_what_it_began_from():
    warm = {"before": {"energy_rmse": 0.009, "force_rmse": 0.2}, "after": {"energy_rmse": 0.004, "force_rmse": 0.12}}
    text = said(warm_panel(model({"warm": warm})))
    assert all(figure in text for figure in ("9.00", "4.00", "0.200", "0.120"))
