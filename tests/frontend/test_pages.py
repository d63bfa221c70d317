"""The pages in a real browser: one selection, one open structure, decisions, themes; for everybody."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [
    pytest.mark.browser,
    # pytest-base-url, which pytest-playwright brings, is behind pytest here
    pytest.mark.filterwarnings("ignore:Session-scoped fixtures defined as instance methods"),
]

MAP = "/map/1?colour=group&id=3"
PAGES = ("/", "/datasets/Si", "/import", MAP, "/accuracy", "/models", "/models/3", "/jobs", "/nowhere")


def open_map(tab: Page, site: str, query: str = "") -> Page:
    tab.goto(f"{site}/map/1{query}")
    tab.wait_for_selector("#map-stage[data-ready=true]")
    expect(tab.locator("#table .ag-center-cols-container .ag-row").first).to_be_visible()
    return tab


def lasso(tab: Page, left: float, top: float, right: float, bottom: float) -> None:
    """Draw around a part of the plot, given in fractions of it."""
    box = tab.locator("#map-stage .nsewdrag").first.bounding_box()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    places = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=5)
    tab.mouse.up()


def a_mark(tab: Page, stage: str) -> list[float]:
    """Where on the screen some coloured point of a plot lies."""
    return tab.evaluate(
        """(stage) => {
        const canvas = document.querySelector(`${stage} canvas`), box = canvas.getBoundingClientRect();
        const { width, height } = canvas, scale = width / box.width;
        const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const colour = (i) => Math.max(...data.slice(i, i + 3)) - Math.min(...data.slice(i, i + 3));
        let i = 0;
        while (!(data[i + 3] === 255 && colour(i) > 35)) i += 4;
        const at = i / 4;
        return [box.x + (at % width) / scale, box.y + Math.floor(at / width) / scale + 2];
    }""",
        stage,
    )


def pixels(tab: Page) -> int:
    """How many pixels of the map's canvas are drawn."""
    return tab.evaluate(
        """() => {
        const canvas = document.querySelector("#map-stage canvas");
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let n = 0;
        for (let i = 3; i < data.length; i += 4) if (data[i]) n++;
        return n;
    }"""
    )


def test_a_lasso_selects_on_map_table_and_histograms_alike(tab, site):
    open_map(tab, site)
    expect(tab.locator("[data-part=table-context]")).to_have_text("214")
    lasso(tab, 0.5, 0.0, 0.999, 1.0)
    chip = tab.locator("#selection-chip [data-part=n]")
    expect(chip).to_have_text(re.compile(r"^\d+$"))
    n = int(chip.inner_text())
    assert 0 < n < 214
    expect(tab.locator("[data-part=table-context]")).to_contain_text(f"{n} of 214")
    tab.wait_for_function("async (n) => (await dash_ag_grid.getApiAsync('table')).getDisplayedRowCount() === n", arg=n)
    tab.get_by_role("button", name="Histograms").click()
    expect(tab.locator("#histograms figure")).to_have_count(5)
    assert "sel=" in tab.url
    tab.keyboard.press("Escape")
    expect(tab.locator("#selection-chip")).to_be_hidden()


def test_a_shared_address_shows_the_same_selection_and_structure(tab, site):
    open_map(tab, site)
    tab.locator("#map-legend").wait_for()
    tab.keyboard.press("3")
    tab.keyboard.press("j")
    expect(tab.locator("#structure.opened")).to_be_visible()
    lasso(tab, 0.5, 0.0, 0.999, 1.0)
    expect(tab.locator("#selection-chip")).to_be_visible()
    tab.wait_for_function("location.search.includes('sel=') && location.search.includes('id=')")
    n, title = tab.locator("#selection-chip [data-part=n]").inner_text(), tab.locator("[data-part=number]").inner_text()
    tab.reload()
    tab.wait_for_selector("#map-stage[data-ready=true]")
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text(n)
    expect(tab.locator("[data-part=number]")).to_have_text(title)


def test_keys_open_accept_reject_and_undo(tab, site):
    open_map(tab, site)
    reviewed = tab.locator("[data-part=reviewed]")
    expect(reviewed).to_have_text("0 reviewed")
    tab.keyboard.press("j")
    number = tab.locator("[data-part=number]")
    expect(number).to_have_text(re.compile(r"#\d+"))
    first = number.inner_text()
    tab.keyboard.press("a")
    expect(reviewed).to_have_text("1 reviewed")
    expect(number).not_to_have_text(first)
    tab.keyboard.press("r")
    expect(reviewed).to_have_text("2 reviewed")
    expect(tab.locator("#table .dot.accepted")).to_have_count(1)
    tab.wait_for_timeout(500)  # both are sent
    tab.keyboard.press("z")
    expect(reviewed).to_have_text("1 reviewed")
    tab.keyboard.press("z")
    expect(reviewed).to_have_text("0 reviewed")


def test_keys_are_left_alone_while_somebody_types(tab, site):
    open_map(tab, site)
    tab.keyboard.press("/")
    tab.keyboard.type("raj vacancy")
    expect(tab.locator("#table-search")).to_have_value("raj vacancy")
    expect(tab.locator("#structure.opened")).to_have_count(0)


def test_search_narrows_the_table(tab, site):
    open_map(tab, site)
    tab.locator("#table-search").fill("surface")
    tab.wait_for_function("async () => (await dash_ag_grid.getApiAsync('table')).getDisplayedRowCount() === 12")


def test_points_stay_under_the_axes_when_panned_away_and_back(tab, site):
    open_map(tab, site)
    drawn = pixels(tab)
    assert drawn > 2000
    tab.get_by_role("button", name="Pan").click()
    box = tab.locator("#map-stage .nsewdrag").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] * 0.98, box["y"] + 40)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40, steps=8)
    tab.mouse.up()
    tab.wait_for_timeout(400)
    assert pixels(tab) < 0.8 * drawn
    tab.get_by_role("button", name="Reset").click()
    tab.wait_for_timeout(400)
    assert abs(pixels(tab) - drawn) < 0.02 * drawn


def test_a_category_of_the_legend_selects_its_structures(tab, site):
    open_map(tab, site, "?colour=group")
    tab.locator("#map-legend").get_by_text("Surface").click()
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text("12")


def test_the_structure_can_be_coloured_only_by_what_it_has(tab, site):
    open_map(tab, site, "?id=0")
    expect(tab.locator("#structure.opened")).to_be_visible()
    tab.locator("[data-act=atom-colour][data-value=spread]").click()
    expect(tab.locator("[data-part=legend]")).to_contain_text("eV/Å")
    assert "63" in tab.locator("#structure canvas").get_attribute("aria-label")


def test_a_mark_in_a_parity_plot_opens_its_structure(tab, site):
    tab.goto(f"{site}/accuracy")
    tab.wait_for_selector(".accuracy[data-ready=true]")
    expect(tab.locator(".parity.stress")).to_contain_text("no references")
    tab.mouse.click(*a_mark(tab, "#parity-energy"))
    expect(tab.locator("#structure.opened")).to_be_visible()
    expect(tab.locator("[data-part=facts]")).to_contain_text("eV/atom")


def test_a_click_on_the_map_opens_a_structure_and_keeps_the_selection(tab, site):
    open_map(tab, site)
    lasso(tab, 0.001, 0.001, 0.999, 0.999)
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text("214")
    tab.mouse.click(*a_mark(tab, "#map-stage"))
    expect(tab.locator("#structure.opened")).to_be_visible()
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text("214")


def test_a_selection_is_tagged_as_a_whole_and_the_tag_taken_back(tab, site):
    open_map(tab, site, "?colour=group")
    tab.locator("#map-legend").get_by_text("Surface").click()
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text("12")
    tab.keyboard.press("t")
    tab.locator("dialog.ask input").fill("slab")
    tab.keyboard.press("Enter")
    expect(tab.locator("#table .pill").first).to_have_text("slab")
    tab.keyboard.press("z")
    expect(tab.locator("#table .pill")).to_have_count(0)


def test_a_batch_decision_asks_once_and_can_be_refused(tab, site):
    open_map(tab, site, "?colour=group")
    tab.locator("#map-legend").get_by_text("Surface").click()
    expect(tab.locator("#selection-chip [data-part=n]")).to_have_text("12")
    tab.keyboard.press("Shift+R")
    expect(tab.locator("dialog.ask")).to_contain_text("Reject 12 structures?")
    tab.locator("dialog.ask").get_by_role("button", name="Cancel").click()
    expect(tab.locator("[data-part=reviewed]")).to_have_text("0 reviewed")


def test_a_selection_is_frozen_into_a_dataset_of_its_own(tab, site):
    open_map(tab, site, "?colour=group")
    tab.locator("#map-legend").get_by_text("Surface").click()
    tab.locator("#freeze-selection").click()
    expect(tab.locator("#freeze-what")).to_contain_text("12 structures selected of 214")
    tab.locator("#freeze-dataset").fill("Si slabs")
    tab.locator("#freeze-confirm").click()
    expect(tab).to_have_url(re.compile("/datasets/Si%20slabs"))
    expect(tab.get_by_role("heading", name="Si slabs")).to_be_visible()
    expect(tab.locator(".facts").first).to_contain_text("12")


def test_an_upload_shows_its_label_contract_before_anything_is_stored(tab, site, data):
    tab.goto(f"{site}/import")
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(data / "zuo2020_Mo_test.extxyz.gz")
    contract = tab.locator("#contract")
    expect(contract).to_contain_text("grows with the number of atoms")
    expect(tab.locator("#import-dataset")).to_have_value("zuo2020_Mo_test")
    expect(tab.locator("#import-start")).to_be_enabled()
    tab.locator("input[aria-label='Unit of the energy']").click()
    tab.get_by_role("option", name="Hartree", exact=True).click()
    expect(contract).to_contain_text("Hartree/Å")  # the forces follow
    tab.goto(f"{site}/")
    expect(tab.locator("#library-list")).not_to_contain_text("zuo2020_Mo_test")


def test_all_faults_of_a_broken_file_are_told_at_once(tab, site, tmp_path):
    broken = tmp_path / "broken.extxyz"
    frame = '2\nProperties=species:S:1:pos:R:3 energy={energy} pbc="F F F"\nSi 0 0 0\nSi 0 0 {z}\n'
    broken.write_text(frame.format(energy=-1, z=0.01) + frame.format(energy="nan", z=2.3))
    tab.goto(f"{site}/import")
    with tab.expect_file_chooser() as chooser:
        tab.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(broken)
    faults = tab.locator(".faults")
    expect(faults.locator("tbody tr")).to_have_count(2)
    expect(tab.locator("#import-start")).to_be_disabled()


def test_an_address_that_is_not_there_says_so(tab, site):
    tab.goto(f"{site}/datasets/nothing")
    expect(tab.get_by_role("alert")).to_contain_text("there is no dataset 'nothing'")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_stands_in_anybodys_way(tab, site, theme):
    tab.emulate_media(color_scheme=theme)
    for path in PAGES:
        tab.goto(site + path)
        expect(tab.locator("#page > div")).to_be_visible()
        if path.startswith("/map"):
            tab.wait_for_selector("#map-stage[data-ready=true]")
        tab.wait_for_timeout(500)
        faults = [
            f"{path}: {fault['id']}: {fault['nodes'][0]['html'][:160]}"
            for fault in Axe().run(tab).response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert faults == []
