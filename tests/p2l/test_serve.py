"""The router as a server: asked by the client library that everybody has, over a real socket, with scripted models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any, Literal

import httpx2
import openai
import pytest
import uvicorn
from router_worlds import NAMES, KnownBoards, specs

from palaestra import ranking
from palaestra.arena.app import create_app
from palaestra.arena.settings import ArenaSettings
from palaestra.errors import ModelError
from palaestra.gateway import Completion, Gateway, Sampling
from palaestra.p2l.budget import Purse
from palaestra.p2l.costs import expect_costs
from palaestra.p2l.router import Router, RouterConfig
from palaestra.p2l.serve import RouterModel, router_app
from palaestra.schema import ErrorRecord, Message, ModelSpec, Usage
from palaestra.store.ballots import vote_frame
from palaestra.store.ledger import Ledger

Asked = list[str]


@contextmanager
def served(app: Any) -> Generator[str]:
    """The address of a running application."""
    listening = create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


class Contestants:
    """What the routed models do: those that are `down` fail at once, or after a word."""

    def __init__(self, *down: str, late: bool = False, costs: dict[str, float] | None = None) -> None:
        self.down, self.late, self.costs, self.asked = set(down), late, costs or {}, list[str]()

    async def ask(self, name: str, messages: Sequence[Message], _: Sampling) -> AsyncGenerator[str | Completion]:
        self.asked.append(name)
        if name in self.down and not self.late:
            raise ModelError(ErrorRecord(kind="unreachable", detail=f"{name} is down"))
        yield "It "
        if name in self.down:
            raise ModelError(ErrorRecord(kind="interrupted", detail=f"{name} broke off"))
        yield f"said: {messages[-1].text}"
        yield Completion(Usage(input_tokens=3, output_tokens=2, cost=self.costs.get(name, 0.001)), "stop", 0.01, 0.02)


def model(contestants: Contestants, config: RouterConfig | None = None, **more: Any) -> RouterModel:
    return RouterModel(Router(KnownBoards(), expect_costs(specs()), config), contestants.ask, **more)


def say(*turns: str) -> Any:
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]


@contextmanager
def client_of(routed: RouterModel) -> Generator[openai.OpenAI]:
    with served(router_app(routed)) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


def test_it_answers_through_the_model_it_chose_and_says_why() -> None:
    contestants = Contestants()
    with client_of(model(contestants)) as client:
        assert [one.id for one in client.models.list()] == ["router"]
        raw = client.chat.completions.with_raw_response.create(model="router", messages=say("code a sort"))
        done: Any = raw.parse()
    assert contestants.asked == ["dear"]
    assert done.choices[0].message.content == "It said: code a sort"
    assert done.model == "router"
    told = (done.model_extra or {})["palaestra"]
    assert told["model"] == raw.headers["x-palaestra-model"] == "dear"
    assert "is the best on this prompt" in told["reason"]
    assert told["chances"] == {"dear": 1.0}
    assert done.usage is not None
    assert done.usage.completion_tokens == 2


def test_a_stream_tells_it_first() -> None:
    with client_of(model(Contestants())) as client:
        chunks = list(client.chat.completions.create(model="router", messages=say("poem on sand"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It said: poem on sand"
    assert (chunks[0].model_extra or {})["palaestra"]["model"] == "cheap"
    assert all("palaestra" not in (chunk.model_extra or {}) for chunk in chunks[1:])


def test_what_the_user_said_decides_turn_by_turn() -> None:
    contestants = Contestants()
    with client_of(model(contestants)) as client:
        client.chat.completions.create(model="router", messages=say("poem on sand", "code code", "more"))
    assert contestants.asked == ["cheap"], "the model's own words are not the prompt"


def test_what_makes_no_sense_is_refused() -> None:
    contestants = Contestants()
    with client_of(model(contestants)) as client:
        with pytest.raises(openai.NotFoundError, match="found the model 'gpt', expected one of router"):
            client.chat.completions.create(model="gpt", messages=say("code"))
        with pytest.raises(openai.BadRequestError, match="found no words of the user"):
            client.chat.completions.create(model="router", messages=say("  "))
        with pytest.raises(openai.BadRequestError, match="found no words of the user"):
            client.chat.completions.create(model="router", messages=[{"role": "system", "content": "code"}])
    with (
        client_of(model(contestants, RouterConfig(budget=0.001))) as client,
        pytest.raises(openai.BadRequestError, match=r"found a budget of 0\.001"),
    ):
        client.chat.completions.create(model="router", messages=say("code"))
    assert contestants.asked == []


def test_a_model_that_is_down_is_an_error_and_nobody_else_is_asked() -> None:
    contestants = Contestants("dear")
    with client_of(model(contestants)) as client, pytest.raises(openai.InternalServerError, match="dear is down"):
        client.chat.completions.create(model="router", messages=say("code"))
    assert contestants.asked == ["dear"]


def test_the_next_best_is_asked_where_that_was_said_and_told() -> None:
    contestants = Contestants("dear", "middle")
    with client_of(model(contestants, on_error="next")) as client:
        done = client.chat.completions.create(model="router", messages=say("code"))
    assert contestants.asked == ["dear", "middle", "cheap"]
    told = (done.model_extra or {})["palaestra"]
    assert told["model"] == "cheap"
    assert told["failed"] == [{"model": name, "error": "unreachable"} for name in ("dear", "middle")]
    with client_of(model(Contestants(*NAMES), on_error="next")) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="router", messages=say("code"))


def test_after_a_word_there_is_no_other_model() -> None:
    contestants = Contestants("dear", late=True)
    with client_of(model(contestants, on_error="next")) as client:
        stream = client.chat.completions.create(model="router", messages=say("code"), stream=True)
        assert next(stream).choices[0].delta.content == "It "
        with pytest.raises(openai.APIError, match="broke off"):
            next(stream)
    assert contestants.asked == ["dear"]


def test_a_purse_is_drawn_on_and_never_overdrawn(tmp_path: Path) -> None:
    """A call of the dear one is bounded by about 0.22: three fit at once, however they overlap; then cheaper ones."""
    purse = Purse(tmp_path / "purse.db", 0.7)
    contestants = Contestants(costs={"cheap": 0.01, "middle": 0.05, "dear": 0.2})
    routed = model(contestants, purse=purse)

    async def one() -> str:
        try:
            pieces = [piece async for piece in routed.complete("router", [Message.of("user", "code")], Sampling())]
        except ModelError as error:
            return error.record.kind
        assert isinstance(pieces[-1], Completion)
        return "done"

    async def many() -> list[str]:
        return await asyncio.gather(*(one() for _ in range(12)))

    ended = asyncio.run(many())
    assert purse.left >= 0
    assert "dear" in contestants.asked
    assert "cheap" in contestants.asked
    assert set(ended) <= {"done", "rate_limited"}


def test_a_call_that_failed_before_it_cost_anything_is_free(tmp_path: Path) -> None:
    purse = Purse(tmp_path / "purse.db", 1.0)
    routed = model(Contestants("dear"), purse=purse)

    async def ask(text: str) -> None:
        async for _ in routed.complete("router", [Message.of("user", text)], Sampling()):
            pass

    with pytest.raises(ModelError):
        asyncio.run(ask("code"))
    assert purse.left == 1.0
    asyncio.run(ask("poem"))
    assert purse.left == pytest.approx(0.999)


def test_leaderboards_as_json_and_as_a_page() -> None:
    with served(router_app(model(Contestants(), RouterConfig(budget=0.03)))) as url:
        said = httpx2.post(f"{url}/v1/leaderboard", json={"prompt": "code <b>"}, timeout=60).raise_for_status().json()
        assert [line["model"] for line in said["board"]["models"]] == ["dear", "middle", "cheap"]
        assert sum(said["decision"]["chances"].values()) == pytest.approx(1)
        assert said["routed"]["dear"]["expected_cost"] > said["routed"]["cheap"]["expected_cost"]
        assert httpx2.post(f"{url}/v1/leaderboard", json={"prompt": " "}).status_code == 400
        assert "<textarea" in httpx2.get(url).text
        page = httpx2.post(url, data={"prompt": "code <b>"}).text
        assert "code &lt;b&gt;" in page
        assert "code <b>" not in page
        assert "Sent to" in page
        empty = httpx2.post(url, data={"prompt": " "})
        assert empty.status_code == 400
        assert "There is no prompt" in empty.text


def test_without_the_key_no_leaderboard() -> None:
    with served(router_app(model(Contestants()), key="let-me-in")) as url:
        assert httpx2.post(f"{url}/v1/leaderboard", json={"prompt": "code"}).status_code == 401
        assert httpx2.post(url, data={"prompt": "code", "key": "wrong"}).status_code == 400
        assert "Sent to" in httpx2.post(url, data={"prompt": "code", "key": "let-me-in"}, timeout=60).text
        head = {"Authorization": "Bearer let-me-in"}
        assert httpx2.post(f"{url}/v1/leaderboard", json={"prompt": "code"}, headers=head).status_code == 200


def test_an_arena_enrols_the_router_like_any_model(ledger_at: Callable[[], Ledger]) -> None:
    """One battle of the router against a scripted model, from the prompt to the vote; its choice leaks nowhere."""
    contestants, ledger = Contestants(), ledger_at()
    with served(router_app(model(contestants))) as url:
        enrolled = [
            ModelSpec(name="the-router", endpoint=f"{url}/v1", api_name="router"),
            ModelSpec(name="plain", endpoint="scripted:echo"),
        ]

        async def battle() -> str:
            async with Gateway(enrolled) as gateway:
                app = create_app(
                    ArenaSettings(pace=100_000),
                    ledger=ledger,
                    specs=enrolled,
                    ask=gateway.stream,
                    fit=ranking.LiveFit(),
                )
                async with (
                    app.router.lifespan_context(app),
                    httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://arena") as http,
                ):
                    await http.get("/")
                    begun = (await http.post("/api/battles", json={"prompt": "code a sort"})).raise_for_status().json()
                    stream = await http.get(begun["turn"]["events"])
                    voted = await http.post(f"/api/turns/{begun['turn']['id']}/vote", json={"choice": "a"})
                    voted.raise_for_status()
                    return stream.text

        seen = asyncio.run(battle())
    assert contestants.asked == ["dear"]
    assert "said: code" in seen
    assert "dear" not in seen
    votes = vote_frame(ledger.engine)
    assert {votes["model_a"][0], votes["model_b"][0]} == {"the-router", "plain"}


@pytest.fixture
def ledger_at(tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    opened: list[Ledger] = []

    def make() -> Ledger:
        opened.append(Ledger(f"sqlite:///{tmp_path / 'arena.db'}"))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.mark.parametrize("rule", ["mix", "strict"])
def test_where_no_other_model_can_be_paid_the_failure_is_told(rule: Literal["mix", "strict"]) -> None:
    """A model that is down is no fault of the client's: 502, not 400 about a budget."""
    contestants = Contestants("cheap")
    routed = model(contestants, RouterConfig(budget=0.02, rule=rule), on_error="next")
    with client_of(routed) as client, pytest.raises(openai.InternalServerError, match="cheap is down"):
        client.chat.completions.create(model="router", messages=say("poem on sand"))
    assert contestants.asked == ["cheap"]


def test_half_a_character_is_refused() -> None:
    body = b'{"model":"router","messages":[{"role":"user","content":"poem \\ud800"}]}'
    with served(router_app(model(Contestants()))) as url:
        said = httpx2.post(f"{url}/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert said.status_code == 400
    assert "half of a surrogate pair" in said.json()["error"]["message"]
