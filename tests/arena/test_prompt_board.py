"""The arena's page of a prompt's leaderboard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from router_worlds import KnownBoards

from palaestra import ranking
from palaestra.arena.app import create_app
from palaestra.arena.settings import ArenaSettings
from palaestra.errors import InputError
from palaestra.p2l.leaderboard import leaderboard
from palaestra.schema import Leaderboard, ModelSpec
from palaestra.store.ledger import Ledger

SPECS = [ModelSpec(name=name, endpoint="scripted:echo", organization="Makers & Co") for name in ("cheap", "dear")]


def known(prompt: str) -> Leaderboard:
    if prompt == "odd":
        raise InputError("this prompt cannot be read")
    return leaderboard(KnownBoards(), [prompt])


def asked(tmp_path: Path, board: Callable[[str], Leaderboard] | None, *prompts: str) -> list[httpx2.Response]:
    """The page, and what comes of prompts."""

    async def ask() -> AsyncIterator[httpx2.Response]:
        ledger = Ledger(f"sqlite:///{tmp_path / 'arena.db'}")

        async def nobody(*_: object) -> AsyncIterator[str]:
            yield "never asked"

        app = create_app(
            ArenaSettings(longest_prompt=50), ledger=ledger, specs=SPECS, ask=nobody, fit=ranking.LiveFit(),
            prompt_board=board,
        )  # fmt: skip
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://arena", timeout=60) as http:
            yield await http.get("/prompt")
            for prompt in prompts:
                yield await http.post("/api/prompt", json={"prompt": prompt})
        ledger.close()

    async def gather() -> list[httpx2.Response]:
        return [one async for one in ask()]

    return asyncio.run(gather())


def test_a_prompt_gets_its_own_leaderboard(tmp_path: Path) -> None:
    page, poem, code = asked(tmp_path, known, "poem on sand", "code a sort")
    assert "A leaderboard for a prompt" in page.text
    assert 'href="/prompt" aria-current="page"' in page.text
    assert [line["model"] for line in poem.json()["models"]] == ["cheap", "dear", "middle"]
    assert [line["model"] for line in code.json()["models"]] == ["dear", "middle", "cheap"]
    assert code.json()["html"].count("<tr data-model") == 3
    assert "Makers &amp; Co" in code.json()["html"]
    assert "not rated" in code.json()["html"], "nobody has voted here"


@pytest.mark.parametrize(
    ("prompt", "words"), [(" ", "Write a prompt first."), ("odd", "cannot be read"), ("x" * 51, "has 51 characters")]
)
def test_what_has_no_leaderboard_is_said(tmp_path: Path, prompt: str, words: str) -> None:
    refused = asked(tmp_path, known, prompt)[1]
    assert refused.status_code == 422
    assert words in refused.json()["error"]["message"]


def test_without_a_trained_model_there_is_no_such_page(tmp_path: Path) -> None:
    page = asked(tmp_path, None)[0]
    assert page.status_code == 404
    assert "/prompt" not in page.text
