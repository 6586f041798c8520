"""Until the vote is stored, nothing that crosses the wire names a model; and the stream can be taken up again."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable

import pytest
from arena_client import Voter

from conftest import NAMES, Server, WireTap, models_toml

PARAMETERS = "first=0.05&delay=0.01&words=60"
FOUR = models_toml(*[f"scripted:markdown?{PARAMETERS}"] * 3, "scripted:fail?after=5")


def leaks(wire: bytes) -> list[str]:
    """What the wire says that it must not: names, makers, endpoints, figures, provider's words."""
    text = wire.decode(errors="replace").lower()
    forbidden = [
        *NAMES,
        "Maker of",
        "scripted",
        "tokens",
        "first_token",
        "usage",
        "cost",
        "finish_reason",
        "latency",
    ]
    return [word for word in forbidden if word.lower() in text]


def test_no_name_before_the_vote(serve: Callable[..., Server], tap: Callable[[str], WireTap]) -> None:
    """Ten battles with every route of a battle used: begin, stream, page, go on, ask again, stop, a refused vote."""

    async def battle(wire: WireTap) -> tuple[bytes, bytes]:
        voter = Voter(wire.url)
        await voter.http.get("/")
        begun = await voter.begin("Tell me something about wrestling, with a table and some code.")
        seen = await voter.watch(begun["turn"])
        assert (await voter.http.get(f"/battle/{begun['battle']}")).status_code == 200
        if seen.state == "failed":
            assert (await voter.vote(begun["turn"], "a")).status_code == 409
            return bytes(wire.bytes), b""
        again = (await voter.http.post(f"/api/turns/{begun['turn']['id']}/regenerate")).json()
        await voter.watch(again["turn"], events=2)
        for stale_or_unfinished in (begun["turn"], again["turn"]):
            assert (await voter.vote(stale_or_unfinished, "a")).status_code == 409
        assert (await voter.http.post(f"/api/turns/{again['turn']['id']}/stop")).json() == {"state": "stopped"}
        more = (await voter.http.post(f"/api/turns/{again['turn']['id']}/next", json={"prompt": "And more?"})).json()
        await voter.watch(more["turn"])
        await voter.http.get(f"/battle/{begun['battle']}")
        before = bytes(wire.bytes)
        reveal = (await voter.vote(more["turn"], "tie")).raise_for_status().json()["reveal"]
        assert {reveal["a"]["model"], reveal["b"]["model"]} <= set(NAMES)
        await asyncio.sleep(0.1)
        return before, bytes(wire.bytes)[len(before) :]

    async def all_of_them() -> list[tuple[bytes, bytes]]:
        return await asyncio.gather(*(battle(tap(server.url)) for _ in range(10)))

    server = serve(FOUR, "--seed", "5")
    found, revealed = [], 0
    for before, after in asyncio.run(all_of_them()):
        found += leaks(before)
        revealed += bool(after) and any(name.encode() in after for name in NAMES)
        assert len(before) > 2000
    print(f"\nwire: 10 battles, names found before the vote: {len(found)}; battles revealed after it: {revealed}")
    assert found == []
    assert revealed >= 4


def test_a_broken_stream_is_taken_up_where_it_broke(serve: Callable[..., Server]) -> None:
    server = serve(models_toml(*["scripted:markdown?first=0.05&delay=0.02&words=80"] * 2))

    async def story() -> None:
        voter = Voter(server.url)
        begun = await voter.begin("A long answer, please")
        broken = await voter.watch(begun["turn"], events=3)
        assert broken.state == "streaming"
        resumed = await voter.watch(begun["turn"], broken)
        assert resumed.numbers == sorted(set(resumed.numbers))
        whole = await voter.watch(begun["turn"])
        assert resumed.state == whole.state == "done"
        for side in ("a", "b"):
            assert resumed.html(side) == whole.html(side)
            assert len(whole.html(side)) > 100
        page = (await voter.http.get(f"/battle/{begun['battle']}")).text
        visible = re.sub(r"<[^>]+>", "", whole.html("a")).strip().split("\n")[0]
        assert visible in re.sub(r"<[^>]+>", "", page)

    asyncio.run(story())


def test_both_sides_are_shown_at_one_pace(serve: Callable[..., Server]) -> None:
    """One model is twenty times slower and begins later; what is shown of both stays level all the same."""
    server = serve(models_toml("scripted:echo?first=0.01&delay=0.001", "scripted:echo?first=0.8&delay=0.02"))
    prompt = " ".join(f"word{number:03d}" for number in range(120))

    async def story() -> None:
        voter = Voter(server.url)
        begun = await voter.begin(prompt)
        seen = None
        for step in range(1, 12):
            seen = await voter.watch(begun["turn"], seen, events=step)
            lengths = [len(re.sub(r"<[^>]+>", "", seen.html(side)).strip()) for side in ("a", "b")]
            assert abs(lengths[0] - lengths[1]) <= 2, lengths
            if seen.state != "streaming":
                break

    asyncio.run(story())


def test_when_nobody_looks_the_models_are_stopped(serve: Callable[..., Server]) -> None:
    server = serve(models_toml(*["scripted:markdown?first=0.05&delay=0.05&words=100000"] * 2), "--abandoned-after", "1")

    async def story() -> None:
        voter = Voter(server.url)
        begun = await voter.begin("Never mind")
        await voter.watch(begun["turn"], events=2)
        for _ in range(100):
            await asyncio.sleep(0.1)
            with sqlite3.connect(f"file:{server.folder / 'arena.db'}?mode=ro", uri=True) as database:
                states = {row[0] for row in database.execute("SELECT state FROM answers")}
            if states == {"stopped"}:
                return
        pytest.fail(f"the models still write: {states}")

    asyncio.run(story())
