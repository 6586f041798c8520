"""Curves drawn by hand: round numbers at the axes, points within them, means that keep the whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaestra.runs.curves import figure_html, span, thinned, ticks
from palaestra.store.run_reading import Series

NUMBERS = st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(NUMBERS, NUMBERS)
def test_ticks_are_round_few_and_within(one: float, other: float) -> None:
    low, high = span([Series("a", at=[0], values=[one]), Series("b", at=[0], values=[other])], "values")
    assert low < high
    found = ticks(low, high)
    assert 1 <= len(found) <= 6
    wide = high - low
    assert all(low - 1e-9 * wide <= at <= high + 1e-9 * wide for at in found)


@given(st.lists(NUMBERS, min_size=1, max_size=50), st.integers(2, 20))
def test_a_thinned_line_keeps_its_end_and_its_bounds(values: list[float], most: int) -> None:
    line = Series("a", at=[float(k) for k in range(len(values))], values=values)
    thin = thinned(line, most)
    assert len(thin.values) == min(most, len(values))
    assert (thin.at[-1], thin.values[-1]) == (line.at[-1], values[-1])
    wide = max(map(abs, values)) * 1e-12
    assert min(values) - wide <= min(thin.values)
    assert max(thin.values) <= max(values) + wide
    assert thin.at == sorted(thin.at)


def test_points_stand_where_they_should() -> None:
    line = Series("loss", at=[0, 1, 2], values=[3.0, 1.0, 2.0])
    drawn = figure_html([line], "loss of x")
    (points,) = re.findall(r'points="([^"]+)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert places[0][1] < places[2][1] < places[1][1], "larger is higher, and y grows downwards"
    assert places[1][0] - places[0][0] == pytest.approx(places[2][0] - places[1][0], abs=0.2)
    assert 'aria-label="loss of x: loss from 3 to 2 at step 2"' in drawn
    assert 'role="img"' in drawn


def test_many_lines_are_drawn_one_by_one_and_names_are_no_markup() -> None:
    lines = [Series("held_out", f"<i>{k}", at=[0, 1], values=[0, k]) for k in range(24)]
    drawn = figure_html(lines, "held out")
    assert drawn.count("<svg") == 24
    assert "<i>" not in drawn
    assert "&lt;i&gt;1" in drawn
    assert figure_html(lines[:3], "held out").count("<polyline") == 3
    assert figure_html([Series("a", not_finite=2)], "a") == "<p>No finite number yet.</p>"
    assert figure_html([Series("a", at=[1], values=[5])], "a").count("<circle") == 1
