"""What may be trained, and what one-click retrain asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from population import SOURCE, populate

from isoline.domain.actor import OWNER
from isoline.domain.artifact import ArtifactKind
from isoline.domain.recipe import Evaluate, Train
from isoline.errors import InvalidInput, NotFound
from isoline.services import atlas, library, training
from isoline.store import artifacts


def keep_model(bench, version, **summary) -> int:
    """A model as a training leaves it, without its weights."""
    recipe = Train(version=version.id, members=3, epochs=7)
    with bench.write() as connection:
        return artifacts.add(
            connection,
            ArtifactKind.MODEL,
            recipe.key(version.key),
            "a model",
            recipe.model_dump(mode="json"),
            {"elements": list(version.elements), **summary},
            version.id,
            "owner",
        )


def test_training_is_followed_by_its_evaluation_on_every_set(bench):
    version, test = populate(bench, 10).version, populate(bench, 4, name="other").version
    first, own, other = training.train(bench, OWNER, Train(version=version.id), test=test.id)
    assert (first.kind, own.kind, other.kind) == ("train", "evaluate", "evaluate")
    assert own.after == other.after == first.id
    assert [own.recipe["version"], other.recipe["version"]] == [version.id, test.id]


def test_retraining_takes_the_last_recipe_and_starts_from_the_last_model(bench):
    version = populate(bench, 10).version
    model = keep_model(bench, version)
    first, *_ = training.retrain(bench, OWNER, version.id)
    assert (first.recipe["start"], first.recipe["members"], first.recipe["epochs"]) == (model, 3, 7)


def test_a_model_does_not_go_on_to_elements_it_does_not_know(bench):
    version = populate(bench, 10).version
    keep_model(bench, version, elements=[92])
    first, *_ = training.retrain(bench, OWNER, version.id)
    assert first.recipe["start"] == 0


def test_retraining_on_a_selection_freezes_it_and_compares_on_the_same_set(bench):
    version = populate(bench, 10).version
    model = keep_model(bench, version)
    chosen = atlas.select(bench, OWNER, version.id, {"positions": [1, 3, 5]})
    jobs = training.retrain(bench, OWNER, version.id, chosen.id)
    frozen = library.version(bench, jobs[0].recipe["version"])
    assert frozen.n_structures == 3
    assert {job.recipe["version"] for job in jobs[1:]} == {frozen.id, version.id}
    assert [job.recipe["model"] for job in jobs if job.kind == "evaluate" and job.after is None] == [model]


def test_levels_of_theory_are_not_mixed_without_being_asked(bench):
    frames = populate(bench, 6).frames
    again = [replace(frame, label=replace(frame.label, level_of_theory="HF")) for frame in frames]
    version = list(library.add(bench, OWNER, "zoo", again, SOURCE))[-1].version
    assert set(version.levels_of_theory) == {"PBE", "HF"}
    with pytest.raises(InvalidInput, match="2 levels of theory"):
        training.train(bench, OWNER, Train(version=version.id))
    assert training.train(bench, OWNER, Train(version=version.id, levels_of_theory="mixed"))


def test_a_selection_of_another_version_changes_nothing(bench):
    version, other = populate(bench, 10).version, populate(bench, 4, name="other").version
    chosen = atlas.select(bench, OWNER, version.id, {"positions": [1, 2]})
    with pytest.raises(InvalidInput, match="not of other"):
        training.retrain(bench, OWNER, other.id, chosen.id)
    with pytest.raises(InvalidInput, match="not of other"):
        atlas.positions(bench, chosen.id, other.id)


def test_a_model_that_is_not_there_cannot_be_evaluated(bench):
    version = populate(bench, 4).version
    with pytest.raises(NotFound):
        training.evaluate(bench, OWNER, Evaluate(model=0, version=version.id))
