"""The pictures of the report's page, wide and light, narrow and dark, made anew where there is a Chromium."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from make_ranking import HERE, named
from playwright.sync_api import sync_playwright
from worlds import davidson_votes  # ty: ignore[import-not-found] - the tests' worlds

import palaestra
from palaestra.ranking.report import write_report


def main() -> None:
    """A report of three simulated categories, looked at in a browser."""
    rng = np.random.default_rng(4)
    votes = named(davidson_votes(np.linspace(0.9, -0.9, 12), 9000, rng, style=0.3)).rename({"x": "length_difference"})
    votes = votes.with_columns(
        language=pl.Series(rng.choice(["English", "German", "French"], len(votes), p=[0.6, 0.25, 0.15]))
    )
    boards = palaestra.rank.fit_categories(votes, ["all"], covariates=["length_difference"])
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no Chromium on the path; install it with: make test-system")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "report.html"
        write_report(path, boards, title="Leaderboard of simulated votes")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, width, height, scheme, scale in (("", 1240, 1950, "light", 1), ("-narrow", 390, 844, "dark", 2)):
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                device_scale_factor=scale,
            )
            page.goto(path.as_uri())
            if name:
                page.evaluate("document.querySelector('#b0').scrollIntoView()")
            page.screenshot(path=HERE / f"report{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
