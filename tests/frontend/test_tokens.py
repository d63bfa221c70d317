"""Colours can be told apart and read, in both themes, and every one that is used is defined."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import isoline_web
from isoline_web import tokens

ASSETS = Path(isoline_web.__file__).parent / "assets"
THEMES = ("light", "dark")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("surface", ["bg", "surface", "surface-2", "hover"])
def test_text_can_be_read_on_every_surface(theme, surface):
    colours = tokens.COLOURS[theme]
    assert contrast(colours["text"], colours[surface]) >= 7
    assert contrast(colours["muted"], colours[surface]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_what_can_be_pressed_or_must_be_seen_stands_out(theme):
    colours = tokens.COLOURS[theme]
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    for name in ("accent", "ok", "no", "warn", "force"):
        assert contrast(colours[name], colours["surface"]) >= 3, name


@pytest.mark.parametrize("theme", THEMES)
def test_high_values_contrast_most(theme):
    surface = tokens.COLOURS[theme]["surface"]
    steps = [contrast(colour, surface) for colour in tokens.SEQUENTIAL[theme]]
    assert steps == sorted(steps)


def test_every_variable_that_is_used_is_defined():
    defined = set(re.findall(r"--([\w-]+):", tokens.stylesheet()))
    for path in [*ASSETS.glob("*.css"), *ASSETS.glob("*.js")]:
        text = path.read_text()
        used = set(re.findall(r"var\(--([\w-]+)\)", text)) | set(re.findall(r'variable\("([\w-]+)"\)', text))
        assert {name for name in used if name != "icon"} <= defined, path.name


def test_no_asset_names_another_host():
    for path in [*ASSETS.glob("*.css"), *ASSETS.glob("*.js")]:
        addresses = re.findall(r"https?://[^\s'\")]+", path.read_text())
        assert [address for address in addresses if address != "http://www.w3.org/2000/svg"] == [], path.name


def test_the_font_comes_with_its_licence():
    assert (ASSETS / "fonts" / "inter-latin-wght-normal.woff2").read_bytes()[:4] == b"wOF2"
    assert "SIL Open Font License" in (ASSETS / "fonts" / "OFL.txt").read_text()
