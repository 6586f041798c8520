"""The reading room in a real browser, from disk: filters, pairs, keys, hostile answers, light and dark, accessible."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from room_worlds import (
    HOSTILE_NAME,
    answers_of,
    both,
    known_run,
    questions_file,
    write_run,
)

from conftest import SCREENSHOTS
from palaestra.recipes.reading_room import open_reading_room

pytestmark = pytest.mark.browser

SHOWN = "ol.questions li:not([hidden])"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room with changes, and an answer that would be a program."""
    folder = tmp_path_factory.mktemp("room")
    before = known_run(folder, "before")
    questions = folder / "before.jsonl"
    rows = [row for n in range(1, 5) for name in ("one", "two") for row in both(f"q{n}", "j", name, "A>B", "B>A")]
    earlier = write_run(
        folder / "earlier", questions, answers_of([f"q{n}" for n in range(1, 5)], ["one", "two", "base"]), rows
    )
    open_reading_room(before, folder / "out", against=earlier)
    return folder / "out"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Names of models, judges and questions that would be markup."""
    folder = tmp_path_factory.mktemp("hostile")
    questions = questions_file(folder / "q.jsonl", {"</script><b>q": "</title><script>window.hacked = 1</script>"})
    name = HOSTILE_NAME
    rows = [("</script><b>q", name, "base", name, 1, "A>B"), ("</script><b>q", name, name, "base", 2, "A>B")]
    answers = answers_of(["</script><b>q"], [name, "base"])
    run = write_run(folder / "run", questions, answers, rows, text="</details><script>window.hacked = 1</script>")
    open_reading_room(run, folder / "out")
    return folder / "out"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["index.html", "q/0001.html", "changes.html"])
def test_it_fits_and_axe_finds_nothing(page: Page, room: Path, name: str, width: int, scheme: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto((room / name).as_uri())
    for summary in page.locator("summary:visible").all():
        if summary.locator("xpath=..").get_attribute("open") is None:
            summary.click()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    shot = f"reading-room-{Path(name).stem}-{scheme}-{width}.png"
    page.screenshot(path=SCREENSHOTS / shot, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options={"preload": False})  # it would fetch the style sheet, which file:// refuses
    assert found.violations_count == 0, found.generate_report()
    assert all(url.startswith(room.as_uri()) for url in asked), "nothing is loaded from anywhere else"


def test_filters_count_what_they_show_and_stand_in_the_address(page: Page, room: Path) -> None:
    page.goto((room / "index.html").as_uri())
    status = page.get_by_role("status")
    expect(status).to_have_text("4 of 4 questions, 8 of 8 pairs")
    for label, number, pairs in (
        ("The two orders contradict each other", 1, 1),
        ("Judges disagree", 1, 1),
        ("A strong verdict", 1, 1),
        ("A tie", 1, 2),
        ("A verdict that could not be read", 1, 1),
    ):
        box = page.get_by_label(label)
        box.check()
        expect(status).to_have_text(f"{number} of 4 questions, {pairs} of 8 pairs")
        expect(page.locator(SHOWN)).to_have_count(number)
        box.uncheck()
    page.get_by_role("combobox", name="Model", exact=True).select_option("one")
    page.get_by_role("combobox", name="The model", exact=True).select_option("wins")
    expect(status).to_have_text("2 of 4 questions, 2 of 8 pairs")
    page.get_by_role("combobox", name="The model", exact=True).select_option("loses")
    expect(status).to_have_text("1 of 4 questions, 1 of 8 pairs")
    page.get_by_role("combobox", name="Model", exact=True).select_option("base")
    expect(status).to_have_text("2 of 4 questions, 3 of 8 pairs")
    page.get_by_label("Category").select_option("a")
    expect(status).to_have_text("0 of 4 questions, 0 of 8 pairs")
    page.get_by_label("Category").select_option("b")
    expect(status).to_have_text("2 of 4 questions, 3 of 8 pairs")
    page.get_by_label("Words in the question").fill("APPLES two")
    expect(status).to_have_text("1 of 4 questions, 1 of 8 pairs")
    address = page.url
    assert "category=b" in address
    page.goto("about:blank")
    page.goto(address)
    expect(status).to_have_text("1 of 4 questions, 1 of 8 pairs")
    assert page.get_by_label("Words in the question").input_value() == "APPLES two"
    page.get_by_role("button", name="Show all").click()
    expect(status).to_have_text("4 of 4 questions, 8 of 8 pairs")
    assert page.url == (room / "index.html").as_uri()


def test_the_list_sorts_by_how_much_a_question_separates(page: Page, room: Path) -> None:
    page.goto((room / "index.html").as_uri())
    page.get_by_label("Sort by").select_option("spread")
    spreads = [float(said.split("spread ")[1].split()[0]) for said in page.locator("ol .about").all_inner_texts()]
    assert spreads == sorted(spreads, reverse=True)
    assert len(set(spreads)) > 1
    page.get_by_label("Sort by").select_option("")
    assert page.locator("ol .number").all_inner_texts() == ["1", "2", "3", "4"]


def test_a_pair_of_the_table_filters_the_list(page: Page, room: Path) -> None:
    page.goto((room / "index.html").as_uri())
    page.get_by_role("link", name="Questions on which two met base").click()
    expect(page.get_by_role("status")).to_have_text("4 of 4 questions, 4 of 8 pairs")
    assert page.get_by_role("combobox", name="Model", exact=True).input_value() == "two"
    page.locator(SHOWN).first.get_by_role("link").click()
    expect(page.locator("#left")).to_have_value("1")
    expect(page.locator("#right")).to_have_value("2")


def test_two_answers_stand_side_by_side_with_their_verdicts(page: Page, room: Path) -> None:
    page.goto((room / "q" / "0001.html").as_uri())
    answers = page.locator("article:visible")
    expect(answers).to_have_count(2)
    expect(page.locator("section.verdicts:visible")).to_have_count(1)
    expect(page.locator("section.verdicts:visible")).to_contain_text("j names another winner in each order")
    left, right = (answers.nth(n).bounding_box() for n in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    page.get_by_role("link", name="two against base").click()
    expect(page.locator("section.verdicts:visible")).to_contain_text("k prefers base")
    page.get_by_role("button", name="Swap").click()
    assert [page.locator(f"#{side}").input_value() for side in ("left", "right")] == ["2", "1"]
    expect(page.locator("section.verdicts:visible")).to_contain_text("two against base")
    assert "a=base&b=two" in page.url
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("#left").input_value() == "2"
    page.get_by_label("Right").select_option("0")
    page.get_by_label("Left").select_option("1")
    expect(page.get_by_text("not compared on this question")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto((room / "q" / "0001.html").as_uri() + "#p1-2")
    expect(page.locator("#left")).to_have_value("1")


def test_keys_lead_through_the_filtered_list(page: Page, room: Path) -> None:
    page.goto((room / "index.html").as_uri() + "#category=b&sort=spread")
    order = page.locator(f"{SHOWN} .number").all_inner_texts()
    assert sorted(order) == ["2", "4"]
    page.locator(SHOWN).first.get_by_role("link").click()
    expect(page.locator("#place")).to_have_text("1 of 2 in the list")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/000{order[1]}.html*")
    expect(page.locator("#place")).to_have_text("2 of 2 in the list")
    expect(page.locator("a[rel=next]")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"**/000{order[0]}.html*")
    page.locator("#left").focus()
    page.keyboard.press("ArrowRight")
    assert f"000{order[0]}.html" in page.url
    page.get_by_role("link", name="All questions").click()
    expect(page.get_by_role("status")).to_have_text("2 of 4 questions, 4 of 8 pairs")


def test_nothing_that_strangers_wrote_runs(page: Page, room: Path, hostile: Path) -> None:
    for path in (room / "q" / "0001.html", hostile / "index.html", hostile / "q" / "0001.html"):
        page.goto(path.as_uri())
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    expect(page.get_by_role("heading", name=HOSTILE_NAME).first).to_be_visible()
    assert page.locator("article header h3").first.inner_text() == HOSTILE_NAME
    page.goto((hostile / "index.html").as_uri())
    page.get_by_role("combobox", name="Model", exact=True).select_option(HOSTILE_NAME)
    expect(page.get_by_role("status")).to_have_text("1 of 1 questions, 1 of 1 pairs")


def test_changes_lead_to_their_pairs(page: Page, room: Path) -> None:
    page.goto((room / "changes.html").as_uri())
    page.locator("table.changes tbody a").first.click()
    expect(page.locator("section.verdicts:visible")).to_have_count(1)
    assert "/q/000" in page.url


def test_it_can_be_read_without_its_script(browser: Browser, room: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((room / "index.html").as_uri())
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.locator(SHOWN)).to_have_count(4)
    page.locator(SHOWN).first.get_by_role("link").click()
    expect(page.locator("article:visible")).to_have_count(3)
    expect(page.locator("section.verdicts:visible")).to_have_count(2)
    page.get_by_role("link", name="two against base").click()
    assert page.url.endswith("#p1-2")
    context.close()
