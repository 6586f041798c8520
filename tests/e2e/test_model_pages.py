"""Pages about prompts, routes, rewards and their evaluation in a real browser: from a file, light and dark, accessible.

One board that holds everything that a page can show, with a name and a prompt that would be markup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from prompt_worlds import Vectors, world
from reward_worlds import Words, preferences
from router_worlds import GOOD_AT, KnownBoards, specs

from conftest import SCREENSHOTS
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.costs import expect_costs
from palaestra.p2l.curve import curve
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.leaderboard import leaderboard
from palaestra.p2l.page import prompt_page
from palaestra.p2l.report import write_board_page
from palaestra.p2l.router import Router, RouterConfig
from palaestra.p2l.routing_page import write_routing_page
from palaestra.p2l.serve import answer_of
from palaestra.p2l.train import train_on
from palaestra.recipes.proxy_board import bradley_terry_board
from palaestra.rewards.config import RewardConfig
from palaestra.rewards.page import write_reward_page
from palaestra.rewards.ppe.benches import bench_of
from palaestra.rewards.ppe.evaluation import PpeConfig, evaluate
from palaestra.rewards.ppe.page import write_ppe_page
from palaestra.rewards.ppe.proxies import ScoringFunction
from palaestra.rewards.ppe.samples import Samples
from palaestra.rewards.train import train_head
from palaestra.schema import Message, Preference

pytestmark = pytest.mark.browser

HOSTILE = '<script>alert(1)</script> & "quoted"'
WIDTHS = (1280, 320)


def board(path: Path) -> None:
    """Of four prompts, one of which would be markup."""
    made = world(prompts=200, votes=2000, kind="grounded")
    head = train_on(made.votes, made.x_PD, TrainConfig(members=6, spread=1.0))
    boards = HeadBoards(head, lambda: Numbered(made.x_PD))
    prompts = [HOSTILE, "1", "2", "3"]
    write_board_page(path, boards, prompts, leaderboard(boards, prompts))


class Numbered(Vectors):
    """Vectors of prompts that are called by their number, and of one that is not."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return super().__call__([text if text.isdigit() else "0" for text in texts])


def routed() -> tuple[Router, list[str]]:
    """A router, and prompts that go to different models."""
    router = Router(KnownBoards(), expect_costs(specs()), RouterConfig(budget=0.05))
    return router, [f"{kind} {number} {HOSTILE}" for number in range(12) for kind in GOOD_AT]


def route(path: Path) -> None:
    """Of a file of prompts, with the outcomes that the router did not know."""
    router, prompts = routed()
    outlook = router.outlook(prompts)
    quality_PM = (np.random.default_rng(0).random(outlook.value_PM.shape) < outlook.value_PM).astype(float)
    write_routing_page(path, "A route", router.route(outlook), prompts, curve(outlook, router.models, quality_PM))


def ask(path: Path) -> None:
    """What a router's server shows: its form, and the leaderboard of what was asked."""
    router, prompts = routed()
    found = answer_of(router, router.outlook(prompts[:1]), prompts[0])
    path.write_text(prompt_page("Router", needs_key=True, prompt=prompts[0], found=found), encoding="utf-8")


def refusal(path: Path) -> None:
    """The same where there is nothing to show."""
    path.write_text(prompt_page("Router", wrong="There is no prompt"), encoding="utf-8")


def reward(path: Path) -> None:
    """With style, parts and calibration."""
    config = RewardConfig(features="words", rounds=10, members=4)
    write_reward_page(path, HOSTILE, train_head(preferences(200), config, Words()).evaluation)


def proxies(path: Path) -> None:
    """Votes, right and wrong replies, pairs, and what became of models."""
    rng = np.random.default_rng(0)
    asked = (Message.of("user", "?"),)
    votes = [
        Preference(
            id=f"v{number}", prompt=(Message.of("user", f"question {number}"),), ranks=(1, 2) if better else (2, 1),
            replies=("long reply", "reply"), models=(f"m{number % 4}", f"m{(number + 1) % 4}"),
        )
        for number, better in enumerate(rng.random(160) < 0.7)
    ]  # fmt: skip
    samples = [
        Samples(f"q{number}", f"q{number}", asked, tuple("x" * int(n) for n in rng.integers(1, 9, 6)), right, domain)
        for domain in ("sums", HOSTILE)
        for number, right in enumerate([tuple(map(bool, row)) for row in rng.random((20, 6)) < 0.5])
    ]
    pairs = [
        Preference(id=str(number), prompt=asked, replies=("a", "bb"), ranks=(1, 2), category=f"part {number % 2}")
        for number in range(20)
    ]

    def scoring(weight: float) -> Callable[..., list[float]]:
        return lambda _prompts, replies: [
            weight * len(reply) + (1 - weight) * (hash_of(reply) % 7) for reply in replies
        ]

    rewards = [ScoringFunction(f"r{number}", scoring(number / 4)) for number in range(5)]
    found = evaluate(
        rewards, PpeConfig(rounds=100, board_rounds=50, least_pairs=50), maker=bradley_terry_board, human=votes,
        samples=samples, benches=[bench_of(HOSTILE, "pairs", pairs)],
        results={"later": {f"r{number}": 1000.0 + 7 * number * (-1) ** number for number in range(5)}},
    )  # fmt: skip
    write_ppe_page(path, found)


def hash_of(text: str) -> int:
    """A number of a text that is the same in every process."""
    return sum(place * ord(letter) for place, letter in enumerate(text, start=1))


PAGES: dict[str, Callable[[Path], None]] = {
    "board": board, "route": route, "ask": ask, "refusal": refusal, "reward": reward, "ppe": proxies,
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them."""
    folder = tmp_path_factory.mktemp("pages")
    for name, write in PAGES.items():
        write(folder / f"{name}.html")
    return folder


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_it_fits_and_axe_finds_nothing(page: Page, pages: Path, name: str, width: int) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = (pages / f"{name}.html").as_uri()
    page.set_viewport_size({"width": width, "height": 900})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(address)
        for closed in page.locator("details").all():
            closed.evaluate("one => { one.open = true; }")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert asked == [address] * 2, "nothing is loaded from anywhere"


@pytest.mark.parametrize("name", ["board", "route", "reward", "ppe"])
def test_what_would_be_markup_is_shown_as_it_is(page: Page, pages: Path, name: str) -> None:
    page.goto((pages / f"{name}.html").as_uri())
    expect(page.get_by_text("alert(1)").first).to_be_attached()
    assert page.locator("script").count() == 0
