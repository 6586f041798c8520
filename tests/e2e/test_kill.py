"""kill -9 in the middle of a vote storm: every acknowledged vote is there, and what was unfinished is known as such."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from arena_client import Voter

from conftest import Server, models_toml
from palaestra.store.ballots import vote_frame

BATTLES = 120


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_acknowledged_vote_survives(
    serve: Callable[..., Server],
    kind: str,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = "sqlite:///arena.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    server = serve(models_toml(*["scripted:echo?first=0.01&delay=0"] * 4), database=database)
    url = f"sqlite:///{server.folder / 'arena.db'}" if kind == "sqlite" else database

    async def storm() -> tuple[dict[str, str], int, str]:
        voters = [Voter(server.url) for _ in range(BATTLES)]

        async def finished(voter: Voter) -> dict[str, Any]:
            battle = await voter.begin("hello")
            assert (await voter.watch(battle["turn"])).state == "done"
            return battle

        begun = await asyncio.gather(*map(finished, voters))
        unfinished = await voters[0].begin("an answer that will be cut off " * 500)
        await voters[0].watch(unfinished["turn"], events=1)
        acknowledged: dict[str, str] = {}
        sent = 0

        async def vote(voter: Voter, begun: dict[str, Any], choice: str) -> None:
            nonlocal sent
            sent += 1
            try:
                response = await voter.vote(begun["turn"], choice)
            except httpx2.HTTPError:
                return
            if response.status_code == 200:
                acknowledged[begun["battle"]] = choice
            if len(acknowledged) == BATTLES // 3:
                server.kill()

        choices = ["a", "b", "tie", "both_bad"] * (BATTLES // 4)
        await asyncio.gather(*map(vote, voters, begun, choices))
        return acknowledged, sent, unfinished["battle"]

    acknowledged, sent, _ = asyncio.run(asyncio.wait_for(storm(), 120))
    assert BATTLES // 3 <= len(acknowledged) < BATTLES
    stored = {row["evaluation_session_id"]: row["winner"] for row in vote_frame(url).to_dicts()}
    for battle, choice in acknowledged.items():
        assert stored[battle] == {"a": "model_a", "b": "model_b"}.get(choice, choice)
    server.start()
    board = httpx2.get(f"{server.url}/api/leaderboard").json()
    assert board["data"]["votes"] == len(stored)
    if kind == "sqlite":
        with sqlite3.connect(server.folder / "arena.db") as opened:
            states = dict(opened.execute("SELECT state, count(*) FROM answers GROUP BY state"))
        assert states == {"complete": 2 * BATTLES, "interrupted": 2}
    print(
        f"\nkill -9 ({kind}): {sent} votes sent, {len(acknowledged)} acknowledged before the kill, "
        f"{len(acknowledged)} of them found afterwards, {len(stored)} in the ledger in all"
    )
