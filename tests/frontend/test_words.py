"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from isoline_web import words

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.1934, 3, "0.193"),
        (-4.37884, 4, "−4.3788"),
        (50_000.0, 0, "50\u2009000"),
        (0.0, 3, "0.000"),
        (None, 3, "–"),
        (float("nan"), 3, "–"),
        (1.2e-7, 3, "1.20e−7"),
        (-3.4e8, 2, "−3.40e8"),
    ],
)
def test_a_number_has_a_real_minus_and_never_hides_what_is_small(value, digits, text):
    assert words.number(value, digits) == text


def test_counts_have_thin_spaces_and_their_noun():
    assert words.plural(1, "structure") == "1 structure"
    assert words.plural(9719, "structure") == "9\u2009719 structures"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "just now"), (120, "2 min ago"), (7200, "2 h ago"), (3 * 86_400, "3 d ago")]
)
def test_a_moment_is_told_in_one_unit(seconds, text):
    assert words.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_moments_without_a_zone_are_read_as_utc():
    assert words.ago(NOW.replace(tzinfo=None) - timedelta(minutes=3), NOW) == "3 min ago"


@pytest.mark.parametrize(("seconds", "text"), [(3.21, "3.2 s"), (252, "4 min 12 s"), (7500, "2 h 05 min")])
def test_durations(seconds, text):
    assert words.duration(NOW, NOW + timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("n_bytes", "text"), [(12, "12 B"), (45_430, "45.4 kB"), (373_190, "373 kB"), (2e9, "2.0 GB")])
def test_sizes(n_bytes, text):
    assert words.size(int(n_bytes)) == text
