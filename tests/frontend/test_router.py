"""Addresses and the pages that answer them."""

from __future__ import annotations

import pytest

from isoline.errors import NotFound
from isoline_web.router import Router


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


def test_the_query_cannot_replace_a_part_of_the_path(router):
    assert router.show("/map/3", "?version=9")[0][1] == "3"


def test_odd_query_names_are_left_out(router):
    assert router.show("/", "?a-b=1&ok=2")[0] == ("library", {"ok": "2"})


@pytest.mark.parametrize(("path", "words"), [("/nowhere", "/nowhere"), ("/models/7", "there is no model 7")])
def test_what_cannot_be_shown_says_so(router, path, words):
    assert words in str(router.show(path, "")[0])
