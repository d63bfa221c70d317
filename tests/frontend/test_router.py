"""Addresses and the pages that answer them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

import isoline_web
from isoline.errors import NotFound
from isoline_web.router import Router, dataset_link


@pytest.fixture
def router() -> Router:
    made = Router()
    made.add("/", "Library", lambda **query: ("library", query))
    made.add("/map/<version>", "Map", lambda version, **query: ("map", version, query))
    made.add("/datasets/<name>", "Dataset", lambda name, **_: ("dataset", name))

    def missing(**_):
        raise NotFound("there is no model 7", hint="Look in the lists.")

    made.add("/models/7", "Model", missing)
    return made


def test_named_parts_and_query_reach_the_page_as_text(router):
    assert router.show("/map/3", "?sel=ab&id=7") == (("map", "3", {"sel": "ab", "id": "7"}), "Map · Isoline")


def test_a_trailing_slash_and_escaped_characters_are_understood(router):
    assert router.show("/datasets/Si%20melt/", "")[0] == ("dataset", "Si melt")


@pytest.mark.parametrize("name", ["Si", "Si#2", "Si?version=1", "50 % Si", "Si%23", "a&b+c", "Größe µ", "a/b"])
@pytest.mark.parametrize("version", [None, 3])
def test_the_link_of_a_dataset_opens_that_dataset(router, name, version):
    address = urlsplit(dataset_link(name, version))
    assert router.show(address.path, f"?{address.query}")[0] == ("dataset", name)
    assert address.query == ("" if version is None else f"version={version}")
    assert not address.fragment


def test_no_page_writes_the_address_of_a_dataset_by_hand():
    sources = Path(isoline_web.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if 'f"/datasets/' in path.read_text()] == ["router.py"]


def test_the_query_cannot_replace_a_part_of_the_path(router):
    assert router.show("/map/3", "?version=9")[0][1] == "3"


def test_odd_query_names_are_left_out(router):
    assert router.show("/", "?a-b=1&ok=2")[0] == ("library", {"ok": "2"})


@pytest.mark.parametrize(("path", "words"), [("/nowhere", "/nowhere"), ("/models/7", "there is no model 7")])
def test_what_cannot_be_shown_says_so(router, path, words):
    assert words in str(router.show(path, "")[0])
