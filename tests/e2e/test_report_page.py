"""The report of boards in a real browser: from a file, light and dark, wide and narrow, sorted, accessible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from worlds import davidson_votes  # ty: ignore[import-not-found] - in the tests of ranking

from palaestra.ranking import fit_categories
from palaestra.ranking.report import write_report

pytestmark = pytest.mark.browser

HOSTILE = '<script>alert(1)</script> & "m001" [/b]'


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two boards with effects; one model has a name that would be markup."""
    rng = np.random.default_rng(0)
    votes = davidson_votes(np.array([0.6, 0.2, 0.0, -0.5]), 3000, rng, style=0.3).to_pandas()
    votes = votes.replace({"model_a": {"m001": HOSTILE}, "model_b": {"m001": HOSTILE}})
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, fit_categories(votes, ["overall", "decided=x > 0"], covariates=["x"]), title="A & B")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_it_fits_and_axe_finds_nothing(page: Page, report: Path, width: int, scheme: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert asked == [report.as_uri()], "nothing is loaded from anywhere"


def test_names_are_shown_as_they_are_and_columns_sort(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    assert page.title() == "A & B"
    assert page.locator("table.sortable tbody th", has_text="alert(1)").first.inner_text() == HOSTILE
    table = page.locator("table.sortable").first
    before = table.locator("tbody th").all_inner_texts()
    table.get_by_role("button", name="Rating").click()
    assert table.locator("tbody th").all_inner_texts() == before[::-1]
    assert table.locator("thead th", has_text="Rating").get_attribute("aria-sort") == "ascending"
    assert page.locator("svg").count() >= 8
    page.get_by_role("link", name="decided").click()
    assert page.url.endswith("#b1")
