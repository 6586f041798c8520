"""The whole story in a real browser: ask, stream, vote, reveal, the board moves; with scripted and with real models."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from conftest import NAMES, SCREENSHOTS, Server, WireTap, models_toml

QUICK = "scripted:markdown?first=0.2&delay=0.01&words=60"
SLOW = "scripted:markdown?first=0.2&delay=0.05&words=4000"
ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.browser


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message to both models").fill(text)
    page.keyboard.press("Enter")


def wait_for_answers(page: Page, seconds: float = 30) -> None:
    expect(page.locator(".turn").last).to_have_attribute("data-state", "done", timeout=seconds * 1000)


def look(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def whole_story(page: Page, server: Server, wire: WireTap, prompt: str, seconds: float) -> tuple[str, str]:
    page.goto(wire.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Two models. No names. You decide.")
    ask(page, prompt)
    expect(page.locator("#votes")).to_be_visible(timeout=seconds * 1000)
    wait_for_answers(page, seconds)
    expect(page.locator("#status")).to_contain_text("You can vote now")
    names = [line.split('"')[1] for line in server.models.read_text().splitlines() if line.startswith("name")]
    before = bytes(wire.bytes).decode(errors="replace")
    assert [name for name in names if name in before] == []
    assert "Model A" in page.locator(".answer.a h2").inner_text()
    page.get_by_role("button", name="A is better").click()
    expect(page.get_by_role("heading", name="You preferred A")).to_be_focused()
    shown = tuple(page.locator(f".revealed.{side} .who strong").inner_text() for side in "ab")
    assert set(shown) <= set(names)
    assert [page.locator(f".answer.{side} .name").inner_text() for side in "ab"] == list(shown)
    return shown[0], shown[1]


def test_open_ask_vote_reveal_and_the_board_moves(
    serve: Callable[..., Server], tap: Callable[[str], WireTap], page: Page, browser: Browser
) -> None:
    server = serve(models_toml(*[QUICK] * 4))
    onlooker = browser.new_page()
    onlooker.goto(f"{server.url}/leaderboard")
    expect(onlooker.locator(".nothing")).to_contain_text("No votes yet")
    a, b = whole_story(page, server, tap(server.url), "Teach me about wrestling", 30)
    rows = onlooker.locator("[data-model]")
    expect(rows).to_have_count(2)
    assert [row.get_attribute("data-model") for row in rows.all()] == [a, b]
    onlooker.close()
    page.reload()
    expect(page.get_by_role("heading", name="You preferred A")).to_be_visible()
    page.locator("body").press("n")
    expect(page.locator("#arena")).to_have_class(re.compile("empty"))


def test_what_is_written_is_rendered(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    page.goto(server.url)
    ask(page, "Show me everything")
    wait_for_answers(page)
    for side in "ab":
        answer = page.locator(f".answer.{side} .text")
        for part in ("h3", "em", "strong", "ol li", "table td.right", ".code .k", "math msup", ".code button.copy"):
            expect(answer.locator(part).first).to_be_visible()
    live = page.locator(".answer.a .text").inner_text()
    page.reload()
    assert page.locator(".answer.a .text").inner_text().split() == live.split()


def test_by_keyboard_alone_with_several_turns(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    page.goto(server.url)
    expect(page.get_by_label("Your message to both models")).to_be_focused()
    page.keyboard.type("First")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("question 1234?")  # keys of the vote, typed into the box, are text
    page.keyboard.press("Enter")
    wait_for_answers(page)
    assert page.locator(".prompt p").inner_text() == "First\nquestion 1234?"
    page.keyboard.type("Second question")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(2)
    wait_for_answers(page)
    page.get_by_label("Your message to both models").blur()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("3")  # at once: the closed dialog still has the focus
    expect(page.get_by_role("heading", name="You found both bad")).to_be_visible()


def test_stop_ask_again_and_an_early_vote(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(SLOW, SLOW))
    page.goto(server.url)
    ask(page, "A very long answer")
    expect(page.locator("#votes")).to_be_visible()
    page.keyboard.press("Escape")
    turn = page.locator(".turn")
    expect(turn).to_have_attribute("data-state", "stopped")
    first = turn.get_attribute("data-turn")
    page.get_by_role("button", name="Ask again").click()
    expect(turn).not_to_have_attribute("data-turn", first or "")
    expect(page.locator("#votes")).to_be_visible()
    assert turn.get_attribute("data-state") == "streaming"
    page.get_by_role("button", name="Tie").click()
    expect(page.get_by_role("heading", name="You called it a tie")).to_be_visible()
    shown = page.locator(".answer.a .text").inner_text()
    page.reload()
    assert page.locator(".answer.a .text").inner_text().split() == shown.split()


def test_a_reload_in_the_middle_goes_on(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(*["scripted:markdown?first=0.2&delay=0.02&words=150"] * 2))
    page.goto(server.url)
    ask(page, "Hold on")
    expect(page.locator("#votes")).to_be_visible()
    page.reload()
    assert page.locator(".turn").get_attribute("data-state") in {"waiting", "streaming"}
    wait_for_answers(page)
    assert len(page.locator(".answer.b .text").inner_text()) > 500


def test_a_failed_turn_keeps_the_battle_and_can_be_tried_again(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml("scripted:fail?after=6&delay=0.05", QUICK))
    page.goto(server.url)
    ask(page, "Try this")
    expect(page.locator(".turn")).to_have_attribute("data-state", "failed")
    expect(page.locator(".failed:visible")).to_have_text("This answer could not be completed.")
    expect(page.locator("#votes")).to_be_hidden()
    first = page.locator(".turn").get_attribute("data-turn")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".turn")).not_to_have_attribute("data-turn", first or "")
    expect(page.locator(".turn")).to_have_attribute("data-state", "failed")


def test_a_server_that_went_away_keeps_the_text(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    page.goto(server.url)
    server.kill()
    ask(page, "A message that took me long to write")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    assert page.get_by_label("Your message to both models").input_value() == "A message that took me long to write"
    page.script_errors.clear()  # ty: ignore[missing-attribute] - the browser notes the refused connection


def test_two_tabs_of_one_battle(serve: Callable[..., Server], page: Page) -> None:
    """The old tab cannot vote on answers that it does not show, and is told to reload; then it can."""
    server = serve(models_toml(QUICK, QUICK))
    page.goto(server.url)
    ask(page, "For both tabs")
    wait_for_answers(page)
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Ask again").click()
    expect(other.locator(".turn")).not_to_have_attribute(
        "data-turn", page.locator(".turn").get_attribute("data-turn") or ""
    )
    wait_for_answers(other)
    page.get_by_role("button", name="A is better").click()
    expect(page.get_by_role("alert")).to_contain_text("gone on since, perhaps in another tab. Reload the page")
    page.reload()
    page.get_by_role("button", name="A is better").click()
    expect(page.get_by_role("heading", name="You preferred A")).to_be_visible()
    page.script_errors.clear()  # ty: ignore[missing-attribute] - the browser notes the refusal


def test_a_stream_that_a_proxy_refuses_is_tried_again(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    refusals = iter([502, 502, 503])

    def refuse(route: Route) -> None:
        status = next(refusals, None)
        route.continue_() if status is None else route.fulfill(status=status, body="no")

    page.route("**/events", refuse)
    page.goto(server.url)
    ask(page, "Patience")
    wait_for_answers(page)
    assert len(page.locator(".answer.b .text").inner_text()) > 200
    assert next(refusals, None) is None
    page.script_errors.clear()  # ty: ignore[missing-attribute] - the browser notes the 502


def test_what_is_typed_while_a_message_is_sent_stays(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    held: list[Route] = []
    page.route("**/api/battles", lambda route: held.append(route))  # noqa: PLW0108 - playwright marks its handlers

    def sent() -> Route:
        while not held:
            page.wait_for_timeout(20)
        return held.pop()

    page.goto(server.url)
    box = page.get_by_label("Your message to both models")
    box.fill("A draft")
    page.get_by_role("button", name="Why is the sky blue?").click()  # an idea is sent; the draft is not touched
    expect(box).to_have_value("A draft")
    sent().abort()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    expect(box).to_have_value("A draft")
    box.press("Enter")
    expect(box).to_have_value("")
    box.type("and more")
    sent().continue_()
    wait_for_answers(page)
    expect(page.locator(".prompt p")).to_have_text("A draft")
    expect(box).to_have_value("and more")
    page.goto(server.url)
    expect(box).to_have_value("and more")
    page.script_errors.clear()  # ty: ignore[missing-attribute] - the browser notes the connection that was cut


def test_a_copied_answer_is_its_text(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml(QUICK, QUICK))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(server.url)
    ask(page, "Copy this")
    wait_for_answers(page)
    page.get_by_role("button", name="Copy answer A").click()
    expect(page.get_by_role("button", name="Copied answer A")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "def expected(r_a: float, r_b: float) -> float:\n    return" in copied
    assert "Copy" not in copied
    assert "python" not in copied
    page.locator(".answer.a .code").get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied code")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def expected")


def test_hostile_text_does_nothing(serve: Callable[..., Server], page: Page) -> None:
    server = serve(models_toml("scripted:echo", "scripted:echo"))
    page.goto(server.url)
    hostile = "<img src=x onerror=document.title='owned'> <script>document.title='owned'</script> [x](javascript:1)"
    ask(page, hostile)
    wait_for_answers(page)
    assert "owned" not in page.title()
    assert page.locator(".text img, .text script, .prompt img").count() == 0
    assert "<script>" in page.locator(".answer.a .text").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844), (320, 640)])
def test_pages_are_accessible_and_fit(
    serve: Callable[..., Server], browser: Browser, scheme: str, width: int, height: int
) -> None:
    server = serve(models_toml(*[QUICK] * 4))
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # ty: ignore[invalid-argument-type]
        reduced_motion="reduce",
    )
    page = context.new_page()
    found: list[str] = []

    def inspect(name: str) -> None:
        look(page, f"{name}-{scheme}-{width}")
        result = Axe().run(page)
        found.extend(
            f"{name}: {item['id']} {[node['target'] for node in item['nodes']]}"
            for item in result.response["violations"]
        )
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if overflow > 0:
            found.append(f"{name}: {overflow} px too wide")

    page.goto(server.url)
    inspect("empty")
    ask(page, "Teach me about wrestling")
    expect(page.locator("#votes")).to_be_visible()
    inspect("streaming")
    wait_for_answers(page)
    inspect("finished")
    page.get_by_role("button", name="B is better").click()
    expect(page.locator("#again")).to_be_visible()
    inspect("reveal")
    for path in ("leaderboard", "about", "nowhere"):
        page.goto(f"{server.url}/{path}")
        inspect(path)
    context.close()
    assert found == [], "\n".join(found)


@pytest.mark.real_models
@pytest.mark.slow
def test_the_demo_with_its_two_real_models(
    serve: Callable[..., Server], tap: Callable[[str], WireTap], page: Page
) -> None:
    server = serve(ROOT / "models.toml")
    a, b = whole_story(page, server, tap(server.url), "Why is the sky blue? Answer in two sentences.", 120)
    text = page.locator(".answer.a .text").inner_text()
    assert len(text.split()) >= 3
    look(page, "real-reveal")
    page.goto(f"{server.url}/leaderboard")
    assert [row.get_attribute("data-model") for row in page.locator("[data-model]").all()] == [a, b]
    print(f"\nreal models: {a} beat {b}")
    assert NAMES[0] not in page.content()
