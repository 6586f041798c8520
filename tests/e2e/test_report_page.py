"""The report of boards in a real browser: from a file, light and dark, wide and narrow, sorted, accessible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from worlds import davidson_votes  # ty: ignore[import-not-found] - in the tests of ranking

from conftest import SCREENSHOTS
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
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report-{scheme}-{width}.png", full_page=True)
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


@pytest.mark.parametrize("width", [1280, 320])
def test_letters_of_pictures_stay_readable_and_inside(page: Page, report: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(report.as_uri())
    smallest, outside = page.evaluate("""() => {
      let smallest = Infinity, outside = [];
      for (const svg of document.querySelectorAll("svg")) {
        const box = svg.getBoundingClientRect();
        const scale = box.width / svg.viewBox.baseVal.width;
        for (const text of svg.querySelectorAll("text")) {
          const at = text.getBoundingClientRect();
          smallest = Math.min(smallest, scale * parseFloat(getComputedStyle(text).fontSize));
          if (at.left < box.left - 1 || at.right > box.right + 1) outside.push(text.textContent);
        }
      }
      return [smallest, outside];
    }""")
    assert smallest >= 8.4  # CSS pixels; those of a heat map's cells are ten, or 0.85 of that on a narrow screen
    assert outside == []


def test_pictures_have_their_own_colours_in_the_dark_and_on_paper(page: Page, report: Path) -> None:
    page.goto(report.as_uri())
    color = "getComputedStyle(document.querySelector('svg text')).fill"
    colors = []
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        page.emulate_media(
            media="print" if media == "print" else "screen", color_scheme="dark" if scheme == "dark" else "light"
        )
        colors.append(page.evaluate(color))
    light, dark, paper = colors
    assert light != dark
    assert paper == light


def test_it_can_be_read_without_its_script(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", name="Ratings").first).to_be_visible()
    expect(page.get_by_role("columnheader", name="Rating").first).to_be_visible()
    expect(page.get_by_role("img", name="Foretold win rates").first).to_be_visible()
    context.close()
