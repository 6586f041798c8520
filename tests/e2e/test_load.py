"""Two hundred voters at once against scripted models: no vote lost, no answer in the wrong place, and the figures."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from arena_client import Seen, Voter

from conftest import NAMES, Server, models_toml
from palaestra.store.ballots import vote_frame

VOTERS = 200
CHOICES = ["a", "b", "tie", "both_bad"]


@pytest.mark.slow
def test_two_hundred_battles_at_once(serve: Callable[..., Server]) -> None:
    server = serve(models_toml(*["scripted:echo?first=0.2&delay=0.02"] * 4), "--seed", "11")

    async def one(number: int) -> dict[str, Any]:
        voter = Voter(server.url)
        key = f"voter{number:04d}"
        started = time.monotonic()
        begun = await voter.begin(f"{key} says " + " ".join(f"{key}x{word}" for word in range(40)))
        posted = time.monotonic() - started
        seen: Seen = await voter.watch(begun["turn"])
        assert seen.state == "done"
        for side in ("a", "b"):
            html = seen.html(side)
            assert html.count(key) >= 40, "an answer of somebody else, or a part of one, was shown"
            assert html.count("voter") == html.count(key)
        choice = CHOICES[number % 4]
        asked = time.monotonic()
        reveal = (await voter.vote(begun["turn"], choice)).raise_for_status().json()["reveal"]
        voted = time.monotonic() - asked
        await voter.http.aclose()
        return {
            "battle": begun["battle"],
            "choice": choice,
            "models": (reveal["a"]["model"], reveal["b"]["model"]),
            "first_text_s": posted + (seen.first_text_s or 0.0),
            "vote_s": voted,
        }

    async def all_at_once() -> list[dict[str, Any]]:
        return await asyncio.gather(*(one(number) for number in range(VOTERS)))

    started = time.monotonic()
    stories = asyncio.run(asyncio.wait_for(all_at_once(), 180))
    took = time.monotonic() - started

    votes = {
        row["evaluation_session_id"]: row for row in vote_frame(f"sqlite:///{server.folder / 'arena.db'}").to_dicts()
    }
    assert len(votes) == VOTERS
    for story in stories:
        vote = votes[story["battle"]]
        assert (vote["model_a"], vote["model_b"]) == story["models"]
        assert vote["winner"] == {"a": "model_a", "b": "model_b"}.get(story["choice"], story["choice"])
    board = httpx2.get(f"{server.url}/api/leaderboard").json()
    assert board["data"]["votes"] == VOTERS
    assert {line["model"] for line in board["models"]} == set(NAMES)
    first = sorted(story["first_text_s"] for story in stories)
    votes_s = sorted(story["vote_s"] for story in stories)
    figures = {
        "battles": VOTERS,
        "seconds": round(took, 2),
        "first_text_s": {
            "median": round(statistics.median(first), 3),
            "p95": round(first[int(0.95 * VOTERS)], 3),
        },
        "vote_s": {
            "median": round(statistics.median(votes_s), 3),
            "p95": round(votes_s[int(0.95 * VOTERS)], 3),
        },
        "model's own first token": 0.2,
    }
    print(f"\nload: {json.dumps(figures)}")
