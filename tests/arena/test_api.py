"""The arena inside one process, with models written for the case: every refusal and failure, and the words for it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from palaestra import ranking
from palaestra.arena.app import create_app
from palaestra.arena.settings import ArenaSettings
from palaestra.errors import DatabaseError, ModelError
from palaestra.gateway.client import Completion
from palaestra.schema import ErrorRecord, Message, ModelSpec, Usage
from palaestra.store.ballots import vote_frame
from palaestra.store.ledger import Ledger

SPECS = [
    ModelSpec(name="Amphora-Prime", endpoint="scripted:echo", organization="Potters", license="MIT"),
    ModelSpec(name="Bouleuterion-7", endpoint="scripted:echo"),
]
Stream = AsyncIterator[str | Completion]
HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) **bold** $x^2$"


class Models:
    """What both models do; a case sets `behave`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[Message]]] = []
        self.closed = 0
        self.behave: Callable[[str, str], Stream] = self.answer

    async def ask(self, name: str, messages: Sequence[Message]) -> Stream:
        self.asked.append((name, list(messages)))
        try:
            async for piece in self.behave(name, messages[-1].text):
                yield piece
        finally:
            self.closed += 1

    @staticmethod
    async def answer(_: str, prompt: str) -> Stream:
        for word in f"You said: {prompt}".split():
            yield word + " "
        yield Completion(
            usage=Usage(input_tokens=3, output_tokens=9), finish_reason="stop", first_token_s=0.01, total_s=0.1
        )


class Arena:
    """A client of the application, and what stands behind it."""

    def __init__(self, http: httpx2.AsyncClient, models: Models, ledger: Ledger) -> None:
        self.http, self.models, self.ledger = http, models, ledger

    async def post(self, path: str, **body: object) -> httpx2.Response:
        return await self.http.post(f"/api/{path}", json=body)

    async def begin(self, prompt: str = "hello") -> tuple[str, str]:
        begun = (await self.post("battles", prompt=prompt)).raise_for_status().json()
        return begun["battle"], begun["turn"]["id"]

    async def last_event(self, turn: str) -> dict[str, Any]:
        text = (await self.http.get(f"/api/turns/{turn}/events")).raise_for_status().text
        return json.loads([line for line in text.splitlines() if line.startswith("data:")][-1][5:])

    async def finished(self, prompt: str = "hello") -> tuple[str, str]:
        battle, turn = await self.begin(prompt)
        assert (await self.last_event(turn))["state"] == "done"
        return battle, turn


Story = Callable[[Arena], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a story against a fresh arena."""

    def run(story: Story, **settings: Any) -> None:
        async def whole() -> None:
            ledger, models = Ledger(f"sqlite:///{tmp_path / 'arena.db'}"), Models()
            chosen = ArenaSettings.model_validate({"pace": 100_000.0} | settings)
            app = create_app(chosen, ledger=ledger, specs=SPECS, ask=models.ask, fit=ranking.LiveFit())
            async with _running(app), client(app) as http:
                await story(Arena(http, models, ledger))
            ledger.close()

        asyncio.run(asyncio.wait_for(whole(), 60))

    return run


def client(app: Any) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://arena.test", timeout=30)


@asynccontextmanager
async def _running(app: Any) -> AsyncGenerator[None]:
    async with app.router.lifespan_context(app):
        yield


def refused(response: httpx2.Response, status: int, words: str) -> None:
    assert response.status_code == status, response.text
    assert words in response.json()["error"]["message"]
    assert response.json()["error"]["code"]


def test_a_whole_battle(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        battle, turn = await arena.finished()
        again = await arena.last_event(turn)  # from the ledger now
        assert "You said: hello" in again["a"]["blocks"][0][1]
        for _ in range(2):  # the same vote twice is one vote
            reveal = (await arena.post(f"turns/{turn}/vote", choice="a")).raise_for_status().json()["reveal"]
        assert {reveal["a"]["model"], reveal["b"]["model"]} == {spec.name for spec in SPECS}
        assert reveal["a"]["rating"]["rating"] > reveal["b"]["rating"]["rating"]
        assert reveal["a"]["output_tokens"] == 9
        board = (await arena.http.get("/api/leaderboard")).json()
        assert board["schema"] == "palaestra.leaderboard/1"
        assert board["models"][0]["model"] == reveal["a"]["model"]
        page = (await arena.http.get(f"/battle/{battle}")).text
        assert reveal["a"]["model"] in page
        assert vote_frame(arena.ledger.engine).height == 1

    play(story)


def test_the_board_is_the_one_that_the_command_line_fits(play: Callable[..., None], tmp_path: Path) -> None:
    async def story(arena: Arena) -> None:
        for choice in ["a", "b", "tie", "both_bad", "a"]:
            _, turn = await arena.finished()
            (await arena.post(f"turns/{turn}/vote", choice=choice)).raise_for_status()
        live = (await arena.http.get("/api/leaderboard")).json()
        assert live == json.loads(json.dumps(ranking.fit(f"sqlite:///{tmp_path / 'arena.db'}").to_dict()))

    play(story)


def test_a_conversation_goes_on_with_each_side_s_own_answers(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        _, first = await arena.finished("first")
        turn = (await arena.post(f"turns/{first}/next", prompt="second")).raise_for_status().json()["turn"]["id"]
        await arena.last_event(turn)
        for _, messages in arena.models.asked[2:]:
            assert [(message.role, message.text.strip()) for message in messages] == [
                ("user", "first"),
                ("assistant", "You said: first"),
                ("user", "second"),
            ]

    play(story)


@pytest.mark.parametrize(
    ("prompt", "status", "words"),
    [
        ("", 422, "empty"),
        ("  \n ", 422, "empty"),
        ("x" * 21_000, 413, "21,000"),
        ("a\0b", 422, "no text"),
        ("half \ud83d", 422, "no text"),
    ],
)
def test_prompts_that_cannot_be_sent(play: Callable[..., None], prompt: str, status: int, words: str) -> None:
    async def story(arena: Arena) -> None:
        body, headers = json.dumps({"prompt": prompt}).encode(), {"content-type": "application/json"}
        refused(await arena.http.post("/api/battles", content=body, headers=headers), status, words)
        assert arena.models.asked == []

    play(story)


@pytest.mark.parametrize("declared", [True, False])
def test_two_megabytes_are_refused_before_they_are_read(play: Callable[..., None], *, declared: bool) -> None:
    body = json.dumps({"prompt": "x" * 2_000_000}).encode()
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, len(body), 10_000):
            sent += 10_000
            yield body[start : start + 10_000]

    async def story(arena: Arena) -> None:
        headers = {"content-type": "application/json"}
        content = body if declared else chunks()
        refused(await arena.http.post("/api/battles", content=content, headers=headers), 413, "256 KiB")

    play(story)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"prompt": 3}', b'{"text": "x"}', b"\xff\xfe"])
def test_a_malformed_body(play: Callable[..., None], body: bytes) -> None:
    async def story(arena: Arena) -> None:
        response = await arena.http.post("/api/battles", content=body, headers={"content-type": "application/json"})
        assert response.status_code in {400, 422}
        assert response.json()["error"]["message"]

    play(story)


def test_what_is_hostile_in_prompt_and_answer_is_shown_and_does_nothing(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        battle, turn = await arena.finished(HOSTILE)
        event = await arena.last_event(turn)
        page = (await arena.http.get(f"/battle/{battle}")).text
        for html in [block for _, block in event["a"]["blocks"]] + [page]:
            assert "<script>alert" not in html
            assert "<img src=x" not in html
            assert 'href="javascript' not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<strong>bold</strong>" in event["a"]["blocks"][0][1]
        policy = (await arena.http.get("/")).headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy

    play(story)


def test_a_vote_on_what_is_not_mine_voted_or_unfinished(play: Callable[..., None]) -> None:
    async def slow(name: str, prompt: str) -> Stream:
        for _ in range(1000):
            yield "word "
            await asyncio.sleep(0.02)

    async def story(arena: Arena) -> None:
        battle, mine = await arena.finished()
        cookies = dict(arena.http.cookies)
        arena.http.cookies.clear()
        refused(await arena.post(f"turns/{mine}/vote", choice="a"), 404, "no such battle")
        assert (await arena.http.get(f"/battle/{battle}")).status_code == 404
        arena.http.cookies.clear()
        arena.http.cookies.update(cookies)
        refused(await arena.post(f"turns/{mine}/vote", choice="left"), 422, "choice")
        refused(await arena.post("turns/none/vote", choice="a"), 404, "no such turn")
        (await arena.post(f"turns/{mine}/vote", choice="a")).raise_for_status()
        refused(await arena.post(f"turns/{mine}/vote", choice="b"), 409, "already")
        arena.models.behave = slow
        _, turn = await arena.begin()
        refused(await arena.post(f"turns/{turn}/vote", choice="a"), 409, "still answering")
        refused(await arena.post(f"turns/{turn}/next", prompt="more"), 409, "still answering")
        refused(await arena.post(f"turns/{turn}/regenerate"), 409, "still answering")
        await asyncio.sleep(0.8)
        assert (await arena.post(f"turns/{turn}/stop")).json() == {"state": "stopped"}
        assert arena.models.closed == 4
        (await arena.post(f"turns/{turn}/vote", choice="tie")).raise_for_status()

    play(story)


def test_a_page_that_another_tab_left_behind_cannot_vote_on_what_it_does_not_show(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        _, old = await arena.finished()
        new = (await arena.post(f"turns/{old}/regenerate")).raise_for_status().json()["turn"]["id"]
        await arena.last_event(new)
        refused(await arena.post(f"turns/{old}/vote", choice="a"), 409, "gone on since")
        refused(await arena.post(f"turns/{old}/next", prompt="more"), 409, "gone on since")
        assert vote_frame(arena.ledger.engine).is_empty()
        (await arena.post(f"turns/{new}/vote", choice="a")).raise_for_status()
        assert (await arena.post(f"turns/{old}/vote", choice="a")).status_code == 200, "the same vote, as it was stored"
        refused(await arena.post(f"turns/{old}/vote", choice="b"), 409, "Reload the page")

    play(story)


def test_after_a_crash_nobody_sees_which_model_was_ahead(play: Callable[..., None], tmp_path: Path) -> None:
    """One model writes at once, the other one never: the voter has seen nothing, and sees nothing afterwards."""

    async def unequal(name: str, prompt: str) -> Stream:
        if name == "Bouleuterion-7":
            await asyncio.sleep(3600)
        for _ in range(200):
            yield "quick words "
        await asyncio.sleep(3600)

    async def story(arena: Arena) -> None:
        arena.models.behave = unequal
        battle, turn = await arena.begin()
        await asyncio.sleep(1.5)
        copied = tmp_path / "after.db"
        with sqlite3.connect(tmp_path / "arena.db") as source, sqlite3.connect(copied) as target:
            source.backup(target)
        ledger = Ledger(f"sqlite:///{copied}")
        app = create_app(ArenaSettings(), ledger=ledger, specs=SPECS, ask=arena.models.ask, fit=ranking.LiveFit())
        async with _running(app), client(app) as http:
            http.cookies.update(arena.http.cookies)
            event = await Arena(http, arena.models, ledger).last_event(turn)
            assert event["state"] == "interrupted"
            assert event["a"] == event["b"] == {"blocks": [], "count": 0, "failed": False}
            page = await http.get(f"/battle/{battle}")
            assert page.status_code == 200
            assert "quick words" not in page.text
        states = [answer.state for answer in (ledger.turn(turn, _voter(arena)).a, ledger.turn(turn, _voter(arena)).b)]
        assert states == ["interrupted", "interrupted"]
        ledger.close()

    play(story)


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize(
    "failure",
    [
        ModelError(ErrorRecord(kind="unreachable", detail="Amphora-Prime: connection refused")),
        ModelError(ErrorRecord(kind="interrupted", detail="the stream of Amphora-Prime broke")),
        RuntimeError("a fault of ours about Amphora-Prime"),
    ],
)
def test_a_model_that_fails_says_nothing_of_itself(play: Callable[..., None], failure: Exception, after: int) -> None:
    async def fail(name: str, prompt: str) -> Stream:
        if name == "Bouleuterion-7":
            await asyncio.sleep(0.05)
            yield "a fine answer"
            return
        for _ in range(after):
            yield "word "
        raise failure

    async def story(arena: Arena) -> None:
        arena.models.behave = fail
        battle, turn = await arena.begin()
        for _ in range(2):  # live, then from the ledger
            event = await arena.last_event(turn)
            assert event["state"] == "failed"
            assert [event["a"]["failed"], event["b"]["failed"]].count(True) == 1
            assert "Amphora" not in json.dumps(event)
        refused(await arena.post(f"turns/{turn}/vote", choice="a"), 409, "missing or incomplete")
        kept = arena.ledger.turn(turn, arena.ledger.battle(battle, _voter(arena)).voter)
        assert [answer.error.kind for answer in (kept.a, kept.b) if answer.error] != []
        arena.models.behave = arena.models.answer
        again = (await arena.post(f"turns/{turn}/regenerate")).raise_for_status().json()["turn"]["id"]
        assert (await arena.last_event(again))["state"] == "done"
        (await arena.post(f"turns/{again}/vote", choice="tie")).raise_for_status()

    play(story)


def test_an_answer_of_blanks_is_a_failure(play: Callable[..., None]) -> None:
    async def blank(name: str, prompt: str) -> Stream:
        yield " \n"

    async def story(arena: Arena) -> None:
        arena.models.behave = blank
        _, turn = await arena.begin()
        assert (await arena.last_event(turn))["state"] == "failed"

    play(story)


def test_limits_of_a_voter_and_of_the_arena(play: Callable[..., None]) -> None:
    async def silent(name: str, prompt: str) -> Stream:
        await asyncio.sleep(3600)
        yield ""

    async def story(arena: Arena) -> None:
        arena.models.behave = silent
        await arena.begin()
        await arena.begin()
        refused(await arena.post("battles", prompt="third"), 429, "earlier answers")
        arena.http.cookies.clear()
        await arena.begin()
        arena.http.cookies.clear()
        refused(await arena.post("battles", prompt="fourth"), 503, "full")

    play(story, most_live=3, most_live_each=2)


def test_when_fewer_than_two_models_answer(play: Callable[..., None]) -> None:
    async def fail(name: str, prompt: str) -> Stream:
        raise ModelError(ErrorRecord(kind="unreachable", detail="nothing listens"))
        yield ""

    async def story(arena: Arena) -> None:
        arena.models.behave = fail
        for _ in range(3):
            _, turn = await arena.begin()
            await arena.last_event(turn)
        refused(await arena.post("battles", prompt="fourth"), 503, "Fewer than two")

    play(story)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://arena.test"}, 201),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://arena.test"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://arena.public"}, 201),  # a proxy that changes the host
    ],
)
def test_another_site_cannot_write(play: Callable[..., None], headers: dict[str, str], status: int) -> None:
    async def story(arena: Arena) -> None:
        response = await arena.http.post("/api/battles", json={"prompt": "x"}, headers=headers)
        assert response.status_code == status
        if status == 403:
            refused(response, 403, "another site")

    play(story)


def test_two_new_tabs_are_one_voter(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        await arena.http.get("/")
        mine = dict(arena.http.cookies)
        assert list(mine) == ["voter"]
        await arena.http.get("/")
        await asyncio.gather(arena.begin("one"), arena.begin("two"))
        assert dict(arena.http.cookies) == mine

    play(story)


def test_a_ledger_that_cannot_be_written(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise DatabaseError("cannot use database sqlite:///secret/place.db: disk is full")

    async def story(arena: Arena) -> None:
        _, turn = await arena.finished()
        with monkeypatch.context() as patch:
            patch.setattr(arena.ledger, "vote", full)
            response = await arena.post(f"turns/{turn}/vote", choice="a")
            refused(response, 503, "nothing was recorded")
            assert "secret" not in response.text
            patch.setattr(arena.ledger, "finish", full)
            _, unwritten = await arena.begin()
            assert (await arena.last_event(unwritten))["state"] == "interrupted"
        (await arena.post(f"turns/{turn}/vote", choice="a")).raise_for_status()
        await asyncio.sleep(1.5)  # what could not be written to its end is marked so, and can be asked again
        again = (await arena.post(f"turns/{unwritten}/regenerate")).raise_for_status().json()["turn"]["id"]
        assert (await arena.last_event(again))["state"] == "done"

    play(story)


def test_an_answer_that_cannot_be_encoded_ends_its_turn_and_nothing_else(play: Callable[..., None]) -> None:
    """The gateway lets no such text through; should another source of answers do so, one turn is lost and no more."""

    async def halved(name: str, prompt: str) -> Stream:
        yield "half an emoji: \ud83d"
        await asyncio.sleep(1.2)
        yield Completion(usage=Usage(), finish_reason="stop", first_token_s=0.1, total_s=1.2)

    async def drips(name: str, prompt: str) -> Stream:
        for _ in range(40):
            yield "one drop and more "
            await asyncio.sleep(0.1)

    async def story(arena: Arena) -> None:
        arena.models.behave = halved
        _, broken = await arena.begin()
        assert (await arena.last_event(broken))["state"] == "interrupted"
        arena.models.behave = drips
        _, turn = await arena.begin()
        await asyncio.sleep(2.5)
        assert "one drop" in arena.ledger.turn(turn, _voter(arena)).a.text
        arena.models.behave = arena.models.answer
        again = (await arena.post(f"turns/{broken}/regenerate")).raise_for_status().json()["turn"]["id"]
        assert (await arena.last_event(again))["state"] == "done"

    play(story)


def test_a_stored_vote_is_confirmed_even_if_the_board_cannot_be_fitted(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def story(arena: Arena) -> None:
        _, turn = await arena.finished()
        with monkeypatch.context() as patch:
            patch.setattr("palaestra.arena.board.vote_frame", broken)
            voted = (await arena.post(f"turns/{turn}/vote", choice="a")).raise_for_status().json()
        assert voted["reveal"]["a"]["model"] in {spec.name for spec in SPECS}
        assert vote_frame(arena.ledger.engine).height == 1
        _, another = await arena.finished()
        (await arena.post(f"turns/{another}/vote", choice="a")).raise_for_status()
        assert (await arena.http.get("/api/leaderboard")).json()["data"]["votes"] == 2

    play(story)


def test_pages_and_addresses_that_lead_nowhere(play: Callable[..., None]) -> None:
    async def story(arena: Arena) -> None:
        for path in ["/", "/leaderboard", "/about"]:
            response = await arena.http.get(path)
            assert response.status_code == 200
            assert "<h1" in response.text
        assert "Amphora" not in (await arena.http.get("/")).text
        missing = await arena.http.get("/nowhere")
        assert missing.status_code == 404
        assert "nothing at this address" in missing.text
        refused(await arena.http.get("/api/nowhere"), 404, "nothing at this address")
        assert (await arena.http.get("/highlight.css")).headers["content-type"].startswith("text/css")

    play(story)


def _voter(arena: Arena) -> str:
    import sqlalchemy as sa

    with arena.ledger.engine.connect() as connection:
        return connection.execute(sa.text("SELECT DISTINCT voter FROM battles")).scalar_one()
