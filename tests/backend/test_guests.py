"""Which potentials of others a workbench can ask, and who decides what is run."""

from __future__ import annotations

import sys

import pytest
from population import populate
from starlette.testclient import TestClient

from isoline.api.app import create_api
from isoline.api.session import guard
from isoline.domain.actor import OWNER, Actor
from isoline.domain.recipe import Adopt
from isoline.errors import InvalidInput, NotAllowed, NotFound
from isoline.services import guests, library, training
from isoline.services.library import SourceRecord
from isoline.store import artifacts

GAP = f"""
[gap-silicon]
what = "GAP of silicon"
licence = "CC-BY-4.0"
elements = ["Si", 8, "Si"]
interpreter = "{sys.executable}"
calculator = "quippy.potential:Potential"
arguments = {{ param_filename = "/opt/gap.xml" }}
"""


def site(bench, text: str) -> None:
    (bench.settings.home / guests.FILE).write_text(text)


def names(bench) -> list[str]:
    return [guest.name for guest in guests.known(bench)]


def test_without_a_file_there_are_the_guests_that_come_with_isoline(bench_sqlite):
    assert names(bench_sqlite) == ["emt", "lennard-jones", "gfn2-xtb", "gfn1-xtb", "chgnet"]
    ready = {card.name: card.ready for card in guests.cards(bench_sqlite)}
    assert ready["emt"]
    assert ready["gfn2-xtb"]
    for card in guests.cards(bench_sqlite):
        assert card.licence
        assert card.what


def test_the_file_adds_guests_and_elements_may_be_symbols(bench_sqlite):
    site(bench_sqlite, GAP)
    gap = guests.find(bench_sqlite, "gap-silicon")
    assert gap.elements == (8, 14)
    assert gap.out_of_process
    assert names(bench_sqlite)[-1] == "gap-silicon"


def test_the_file_gives_a_known_guest_an_interpreter_of_its_own(bench_sqlite):
    before = guests.find(bench_sqlite, "chgnet")
    site(bench_sqlite, f'[chgnet]\ninterpreter = "{sys.executable}"\nthreads = 2')
    after = guests.find(bench_sqlite, "chgnet")
    assert after == before.model_copy(update={"interpreter": sys.executable, "threads": 2})
    assert after.key != before.key
    (card,) = [card for card in guests.cards(bench_sqlite) if card.name == "chgnet"]
    assert card.ready


def test_what_is_not_there_is_said(bench_sqlite):
    site(bench_sqlite, GAP.replace(sys.executable, "/nowhere/python"))
    (card,) = [card for card in guests.cards(bench_sqlite) if card.name == "gap-silicon"]
    assert card.missing == "its interpreter is not there"
    assert guests.cards(bench_sqlite)[0].ready


def test_all_faults_of_the_file_are_told_at_once(bench_sqlite):
    site(bench_sqlite, GAP.replace('"Si", 8', '"Xy"') + '[Bad]\nwhat = "x"\n[emt]\ncalculator = "os.system"\n')
    with pytest.raises(InvalidInput) as caught:
        guests.known(bench_sqlite)
    fields = {fault["field"] for fault in caught.value.details}
    assert {"gap-silicon.elements", "Bad.name", "Bad.licence", "emt.calculator"} <= fields


@pytest.mark.parametrize("text", ["[x", "interpreter = 'x'"])
def test_a_file_that_is_no_list_of_guests_is_refused(bench_sqlite, text):
    site(bench_sqlite, text)
    with pytest.raises(InvalidInput, match=r"guests.toml"):
        guests.known(bench_sqlite)


def test_a_file_that_everybody_may_write_is_not_believed(bench_sqlite):
    site(bench_sqlite, GAP)
    (bench_sqlite.settings.home / guests.FILE).chmod(0o666)
    with pytest.raises(InvalidInput, match="everybody may write"):
        guests.known(bench_sqlite)


def test_cards_tell_nobody_what_is_run(bench_sqlite):
    site(bench_sqlite, GAP)
    (card,) = [card for card in guests.cards(bench_sqlite) if card.name == "gap-silicon"]
    assert "/opt" not in repr(card)
    assert sys.executable not in repr(card)


def test_adding_a_guest_is_followed_by_its_evaluation_on_every_set(bench):
    version, test = populate(bench, 10).version, populate(bench, 4, name="other").version
    first, own, other = guests.add(
        bench, OWNER, Adopt(guest="lennard-jones", version=version.id, settings={"sigma": 2.0}), test=test.id
    )
    assert (first.kind, own.kind, other.kind) == ("adopt", "evaluate", "evaluate")
    assert own.after == other.after == first.id
    assert [own.recipe["version"], other.recipe["version"]] == [version.id, test.id]
    assert first.recipe["settings"] == {"sigma": 2.0}


@pytest.mark.parametrize(
    ("recipe", "error", "says"),
    [
        ({"guest": "nobody"}, NotFound, "nobody"),
        ({"guest": "emt"}, InvalidInput, r"\[8, 14\]|\[1, 8, 14\]"),
        ({"guest": "gfn2-xtb", "settings": {"method": "x"}}, InvalidInput, "no setting method"),
        ({"guest": "lennard-jones", "settings": {"calculator": "os:system"}}, InvalidInput, "no setting calculator"),
        ({"guest": "chgnet"}, InvalidInput, "chgnet is not installed"),
    ],
)
def test_what_cannot_be_added_is_refused_at_once(bench_sqlite, recipe, error, says):
    version = populate(bench_sqlite, 20).version
    if recipe["guest"] == "chgnet" and guests.cards(bench_sqlite)[-1].ready:
        pytest.skip("chgnet is installed beside Isoline")
    with pytest.raises(error, match=says):
        guests.add(bench_sqlite, OWNER, Adopt(version=version.id, **recipe))


def test_who_may_not_evaluate_may_not_add_guests(bench_sqlite):
    version = populate(bench_sqlite, 4).version
    with pytest.raises(NotAllowed):
        guests.add(bench_sqlite, Actor("guest", "reader"), Adopt(guest="lennard-jones", version=version.id))


def test_retraining_never_starts_from_a_guest(bench_sqlite):
    bench = bench_sqlite
    version = populate(bench, 10).version
    recipe = Adopt(guest="lennard-jones", version=version.id)
    with bench.write() as connection:
        dump = recipe.model_dump(mode="json")
        artifacts.add(connection, "model", recipe.key("a"), "lj", dump, {"elements": [1, 8, 14]}, version.id, "owner")
    assert training.last_model(bench, version.dataset) is None
    first, *_ = training.retrain(bench, OWNER, version.id)
    assert (first.kind, first.recipe["start"]) == ("train", 0)


def test_versions_without_energies_can_only_be_evaluated(bench_sqlite, salt):
    source = SourceRecord("file", "salt", "ab" * 32, 1, {})
    *_, outcome = library.add(bench_sqlite, OWNER, "bare", [salt(1, labelled=False)], source)
    jobs = guests.add(bench_sqlite, OWNER, Adopt(guest="lennard-jones", version=outcome.version.id))
    assert len(jobs) == 2


def test_rest_tells_and_adds_guests(bench_sqlite):
    bench = bench_sqlite
    version = populate(bench, 6).version
    site(bench, GAP)
    server = create_api(bench)
    guard(server, bench)
    client = TestClient(server, base_url="http://127.0.0.1:8050", client=("127.0.0.1", 50_000))
    told = {card["name"]: card for card in client.get("/api/guests").json()}
    assert told["gap-silicon"]["licence"] == "CC-BY-4.0"
    assert told["gap-silicon"]["ready"]
    assert "interpreter" not in told["gap-silicon"]
    recipe = {"guest": "lennard-jones", "version": version.id}
    answer = client.post("/api/guests", json={"recipe": recipe})
    assert (answer.status_code, [job["kind"] for job in answer.json()]) == (202, ["adopt", "evaluate"])
    refused = client.post("/api/guests", json={"recipe": recipe | {"settings": {"interpreter": "/bin/sh"}}})
    assert (refused.status_code, refused.json()["kind"]) == (422, "invalid_input")
    assert client.post("/api/guests", json={"recipe": recipe | {"interpreter": "/bin/sh"}}).status_code == 422
