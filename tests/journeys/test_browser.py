"""A newcomer's first quarter of an hour, in a real browser: start, import, map, choose, train, judge, retrain.

`pytest tests/journeys/test_browser.py --screens docs/screens` keeps the screenshots.
"""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# plotly.js alone takes seconds to parse on two cores without a GPU
PATIENCE_MS = 60_000
# a small training on a shared machine
TRAINING_MS = 900_000

expect.set_options(timeout=PATIENCE_MS)


class Visit:
    """One browser tab on the workbench, with what must not happen in it."""

    def __init__(self, page: Page, url: str, screens):
        self.page, self.url, self.screens = page, url, screens
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: self._note_foreign(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)

    def _note_foreign(self, address: str) -> None:
        if not address.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(address)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def look(self, name: str) -> None:
        """Both themes: no serious accessibility fault, and a screenshot of each."""
        if self.screens:
            expect(self.page.locator(".mantine-Notification-root")).to_have_count(0)
        for theme in ("light", "dark"):
            self.wear(theme)
            self.page.mouse.move(1, 1)
            self.page.wait_for_timeout(600)  # transitions and canvas redraws
            if self.screens:
                self.page.screenshot(path=self.screens / f"{name}_{theme}.png")
            found = Axe().run(self.page).response["violations"]
            grave = [
                f"{fault['id']} ({fault['impact']}): {fault['nodes'][0]['html'][:160]}"
                for fault in found
                if fault["impact"] in ("serious", "critical")
            ]
            assert grave == [], f"{name}, {theme}"
            assert self.errors == [], f"{name}, {theme}"
        self.wear("light")

    def wear(self, theme: str) -> None:
        page = self.page.locator("html")
        if page.get_attribute("data-mantine-color-scheme") != theme:
            # A dialog that is open stands before the toggle.
            self.page.evaluate("document.getElementById('theme-toggle').click()")
        expect(page).to_have_attribute("data-mantine-color-scheme", theme)


@pytest.fixture
def visit(page, workbench_url, pytestconfig):
    screens = pytestconfig.getoption("--screens")
    if screens:
        screens.mkdir(parents=True, exist_ok=True)
    tab = Visit(page, workbench_url, screens)
    yield tab
    assert tab.foreign == []
    assert tab.errors == []


def lasso(page: Page, stage: str, corners: list[tuple[float, float]]) -> None:
    """Draw a closed lasso; corners are fractions of the plot."""
    box = page.locator(f"{stage} .nsewdrag").first.bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in [*points[1:], points[0]]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def test_from_an_empty_workbench_to_a_retrained_committee(visit, data):
    page = visit.page

    # An empty workbench says what to do.
    visit.go("/")
    expect(page.get_by_role("button", name="Silicon")).to_be_visible()
    expect(page.get_by_role("button", name="Ethanol")).to_be_visible()
    visit.look("start")

    # Import a file through the page: the label contract stands before anything is stored.
    visit.go("/import")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(data / "zuo2020_Si_train.extxyz.gz")
    contract = page.locator("#contract")
    expect(contract).to_contain_text("energy")
    expect(contract).to_contain_text("214")
    page.locator("#import-dataset").fill("Si")
    page.locator("#import-theory").fill("PBE, VASP")
    visit.look("import")
    page.locator("#import-start").click()
    expect(page.locator("#import-progress")).to_contain_text("214 structures added to Si v1")
    expect(page.locator(".upload")).to_have_count(0)

    # Its map: PCA at once, UMAP when ready.
    visit.go("/datasets/Si")
    expect(page.get_by_role("heading", name="Si", exact=True)).to_be_visible()
    visit.look("dataset")
    page.locator("#dataset-map").click()
    page.locator("#describe-now").click()
    expect(page.locator("#map-stage .nsewdrag").first).to_be_visible(timeout=TRAINING_MS)
    expect(page.get_by_role("button", name="UMAP")).to_be_visible(timeout=TRAINING_MS)
    page.reload()
    expect(page.locator("#table .ag-row").first).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".structure")).to_contain_text("eV/atom")
    visit.look("map")

    # Lasso, look at what is chosen, accept it, take it back, accept it again, freeze it.
    lasso(page, "#map-stage", [(0.02, 0.02), (0.93, 0.02), (0.93, 0.98), (0.02, 0.98)])
    chip = page.locator("#selection-chip [data-part=n]")
    expect(chip).to_have_text(re.compile(r"\d"))
    n_chosen = number(chip.inner_text())
    assert 2 <= n_chosen < 214
    visit.look("lasso")
    page.keyboard.press("Shift+A")
    page.get_by_role("button", name=re.compile("^Accept")).last.click()
    reviewed = page.locator("[data-part=reviewed]")
    expect(reviewed).to_have_text(f"{n_chosen} reviewed")
    page.keyboard.press("z")
    expect(reviewed).to_have_text("0 reviewed")
    page.keyboard.press("Shift+A")
    page.get_by_role("button", name=re.compile("^Accept")).last.click()
    expect(reviewed).to_have_text(f"{n_chosen} reviewed")
    page.locator("#freeze-accepted").click()
    page.locator("#freeze-confirm").click()
    expect(page.get_by_text("v2").first).to_be_visible()

    # Train a small committee on it, with live curves, tested on structures it has never seen.
    bring_in_the_test_set(page, visit.url, data)
    page.locator("#train-open").click()
    expect(page.locator("#train-what")).to_contain_text(str(n_chosen))
    field(page, "Members").fill("3")
    page.get_by_role("dialog").get_by_text("Advanced").click()
    field(page, "Epochs").fill("25")
    page.get_by_role("dialog").get_by_label("Also evaluate on").click()
    page.get_by_role("option", name=re.compile("Si-test")).click()
    visit.look("train")
    page.locator("#train-start").click()
    expect(page).to_have_url(re.compile(r"/jobs/\d+$"))
    expect(page.get_by_role("link", name="Open model")).to_be_visible(timeout=TRAINING_MS)
    visit.look("training")

    # Judge it: parity, errors by group with N, spread against error; a mark opens its structure.
    visit.go("/jobs")
    expect(page.get_by_role("link", name="Open accuracy")).to_have_count(2, timeout=TRAINING_MS)
    visit.look("jobs")
    page.get_by_role("row", name=re.compile("Si-test")).get_by_role("link", name="Open accuracy").click()
    expect(page.locator("#errors")).to_contain_text("not seen")
    expect(page.locator("#parity-energy")).to_contain_text("N = 25")
    expect(page.locator(".parity.energy .scores")).to_contain_text("RMSE")
    page.locator("[data-act=grouping][data-value=group]").click()
    expect(page.locator("#errors")).to_contain_text("Vacancy")
    visit.look("accuracy")

    # One click retrains from the last model and shows both on the same test set.
    visit.go("/datasets/Si")
    page.locator("#dataset-retrain").click()
    expect(page).to_have_url(re.compile(r"/jobs$"))
    expect(page.get_by_role("heading", name="Under way")).to_be_visible()
    expect(page.get_by_role("heading", name="Under way")).to_be_hidden(timeout=TRAINING_MS)
    page.get_by_role("row", name=re.compile("Si-test")).first.get_by_role("link", name="Open accuracy").click()
    page.locator("[data-act=grouping][data-value=models]").click()
    expect(page.locator("#errors tbody tr")).to_have_count(2)
    visit.look("retrained")
    visit.go("/models")
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    visit.look("models")


def bring_in_the_test_set(page: Page, url: str, data) -> None:
    """Import the published test set as a dataset of its own, as a script would."""
    api, file = page.request, data / "zuo2020_Si_test.extxyz.gz"
    upload = api.put(f"{url}/api/uploads/{file.name}", data=file.read_bytes()).json()
    job = api.post(f"{url}/api/imports", data={"uploads": [upload["id"]], "dataset": "Si-test"}).json()
    for _ in range(600):
        if (state := api.get(f"{url}/api/jobs/{job['id']}").json()["state"]) in ("done", "failed", "cancelled"):
            break
        page.wait_for_timeout(200)
    assert state == "done"


def field(page: Page, name: str):
    """The input of one field of the training recipe."""
    return page.get_by_role("dialog").get_by_label(name, exact=True)


def test_every_page_answers_a_cold_deep_link(visit):
    for path in ("/import", "/jobs", "/models", "/accuracy", "/map", "/login"):
        visit.go(path)
        expect(visit.page.locator("h1, form, .empty").first).to_be_visible()
    visit.errors.clear()


def test_what_is_not_there_says_so(visit):
    visit.go("/datasets/nothing")
    expect(visit.page.get_by_text("there is no dataset 'nothing'")).to_be_visible()
