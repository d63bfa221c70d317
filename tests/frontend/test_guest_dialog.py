"""Adding a potential of others from the models page."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from isoline.errors import InvalidInput
from isoline_web.pages.guest_dialog import read_settings


def test_settings_are_read_as_numbers_and_words():
    found = read_settings("epsilon=0.1, sigma=3  smooth=true model=medium")
    assert found == {"epsilon": 0.1, "sigma": 3, "smooth": True, "model": "medium"}
    assert read_settings(" ") == {}


@pytest.mark.parametrize("text", ["epsilon", "=3", "epsilon= 3"])
def test_what_is_no_setting_is_said(text):
    with pytest.raises(InvalidInput, match="is no setting"):
        read_settings(text)


def test_lists_in_settings_stay_text():
    assert read_settings("a=[1]") == {"a": "[1]"}


@pytest.mark.browser
@pytest.mark.filterwarnings("ignore:Session-scoped fixtures defined as instance methods")
def test_the_dialog_tells_guests_with_their_licences(tab, site):
    tab.goto(f"{site}/models")
    tab.get_by_role("button", name="Add a guest model").click()
    dialog = tab.get_by_role("dialog")
    expect(dialog).to_contain_text("LGPL-3.0-or-later (tblite)")
    expect(dialog.get_by_role("radio", name="emt")).to_be_checked()
    expect(tab.locator("#guest-settings")).to_be_hidden()
    dialog.get_by_role("radio", name="lennard-jones").check()
    expect(tab.locator("#guest-settings")).to_have_value("epsilon=0.0104 sigma=3.4 rc=10.0")
    expect(tab.locator("#guest-dataset")).to_have_value("Si@1")
    grave = [
        fault["id"] for fault in Axe().run(tab).response["violations"] if fault["impact"] in ("serious", "critical")
    ]
    assert grave == []
    # Silicon is not among its elements: the refusal is a notice, and the dialog stays.
    dialog.get_by_role("radio", name="emt").check()
    tab.get_by_role("button", name="Add and evaluate").click()
    expect(tab.get_by_text("does not know the elements")).to_be_visible()
    expect(dialog).to_be_visible()
