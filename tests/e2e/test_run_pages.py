"""Pages of runs in a real browser: one from disk, and one that follows a run; light and dark, narrow, accessible."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from conftest import SCREENSHOTS
from palaestra.runs.page import write_run_page
from palaestra.store.run_reading import view_run
from palaestra.store.runs import RunFolder

pytestmark = pytest.mark.browser

HOSTILE = '<script>window.hacked = 1</script><img src="/x" onerror="window.hacked = 1">'
WIDTHS = (1280, 320)


def measured(run: RunFolder, first: int, last: int, rate: float = 0.1) -> None:
    """Steps of a run with 24 domains, and samples that would be markup."""
    for step in range(first, last + 1):
        run.measure(step=step, loss=math.exp(-rate * step), learning_rate=1e-3 / step)
        run.measure(step=step, **{f"held_out/domain {d}": 1 - math.exp(-rate * step / (d + 1)) for d in range(24)})
        run.measure(step=step, **{f"reward/{name}": step * rate + k for k, name in enumerate(("a", "b", HOSTILE))})
    run.sample(step=last, domain="add", prompt="12 + 3 =", reply=f"15 {HOSTILE} " + "long" * 300, reward=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs: one that goes on, in this process, and one that is done."""
    done = RunFolder(tmp_path / "runs" / "baseline", "train sft", {"rate": 0.05, "note": HOSTILE}, seed=1)
    measured(done, 1, 60, 0.05)
    done.finish({"accuracy": 0.5}, [], "")
    return tmp_path / "runs"


@pytest.fixture
def watched(folder: Path) -> Iterator[str]:
    """The address of `palaestra run watch`."""
    command = [sys.executable, "-m", "palaestra", "run", "watch", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        yield found.group(0)
        process.send_signal(signal.SIGINT)
        process.wait(10)


def looks_well(page: Page, address: str, shot: str, width: int) -> None:
    """It fits, axe finds nothing, and nothing that would be markup is."""
    page.set_viewport_size({"width": width, "height": 900})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(address)
        for closed in page.locator("details").all():
            closed.evaluate("one => { one.open = true; }")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{shot}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page, options={"preload": False})
        assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_that_stands_alone(page: Page, folder: Path, width: int, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    write_run_page(tmp_path / "page.html", view_run(folder / "baseline"))
    address = (tmp_path / "page.html").as_uri()
    looks_well(page, address, "run-page", width)
    expect(page.get_by_role("img", name="loss")).to_be_visible()
    assert set(asked) == {address}, "nothing is loaded from anywhere"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_page(watched: str, page: Page, folder: Path, width: int) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    going = RunFolder(folder / "going", "train distill", {"rate": 0.1}, seed=2)
    measured(going, 1, 40)
    looks_well(page, watched, "run-watch", width)
    assert all(url.startswith(watched) for url in asked), "nothing is loaded from elsewhere"
    going.end("interrupted")


def test_it_follows_a_run_until_it_ends_and_side_by_side(watched: str, page: Page, folder: Path) -> None:
    going = RunFolder(folder / "going", "train distill", {"rate": 0.1}, seed=2)
    measured(going, 1, 3)
    page.goto(watched)
    expect(page.get_by_role("checkbox", name="going")).to_be_checked()
    expect(page.get_by_role("heading", name="loss")).to_have_count(1)
    expect(page.get_by_role("img", name=re.compile("^loss of"))).to_have_count(2)
    page.get_by_role("checkbox", name="baseline").uncheck()
    page.get_by_role("button", name="Show").press("Enter")
    expect(page).to_have_url(re.compile("run=going$"))
    picture = page.get_by_role("img", name=re.compile("^loss of going"))
    expect(picture).to_have_count(1)
    expect(picture).to_have_attribute("aria-label", re.compile("at step 3$"))
    page.locator("summary").click()
    page.evaluate("window.same = 1")
    measured(going, 4, 30)
    expect(picture).to_have_attribute("aria-label", re.compile("at step 30$"))
    expect(page.locator("details")).to_have_attribute("open", "")
    expect(page.locator("summary")).to_have_count(1)
    going.finish({"accuracy": 0.9}, [{"prompt": "the end"}], "")
    expect(page.get_by_role("status")).to_contain_text("going is done")
    expect(page.get_by_text("the end")).to_be_visible()
    assert page.evaluate("window.same") == 1, "the page was not loaded anew"
    assert page.evaluate("window.hacked") is None


def test_it_says_when_nobody_answers_and_needs_no_script(browser: Browser, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "palaestra", "run", "watch", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found
        plain = browser.new_context(java_script_enabled=False)
        still = plain.new_page()
        still.goto(found.group(0))
        expect(still.get_by_role("img", name=re.compile("^loss of baseline"))).to_be_visible()
        plain.close()
        context = browser.new_context()
        page = context.new_page()
        page.goto(found.group(0))
        process.send_signal(signal.SIGINT)
        process.wait(10)
        expect(page.get_by_role("status")).to_have_text(
            "The server does not answer any more; this is what it said last."
        )
        expect(page.get_by_role("img", name=re.compile("^loss of baseline"))).to_be_visible()
        context.close()
