"""Calls that are paid for once: replies from the book, failures, and what happens when somebody is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from till import Till

from palaestra.errors import BookError, MissingPartError, PalaestraError
from palaestra.gateway import Gateway, GatewaySettings
from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call, Reply, ReplyBook, call_key
from palaestra.gateway.courier import Courier
from palaestra.gateway.pace import Pace
from palaestra.schema import ErrorRecord, Message, ModelSpec

SENDER = """
import asyncio, sys
from pathlib import Path
from palaestra.gateway import GatewaySettings
from palaestra.gateway.asking import Post
from palaestra.gateway.calls import Call
from palaestra.schema import Message, ModelSpec

async def main(path, url, count):
    spec = ModelSpec(name="m", endpoint=url)
    calls = ((i, Call(model="m", messages=(Message.of("user", f"question {i}"),))) for i in range(count))
    async with Post(Path(path), [spec], GatewaySettings(concurrency=8), print) as post:
        async for i, reply in post.ask({"m": calls}):
            print(i, reply.text, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def model(url: str, name: str = "m", **fields: Any) -> ModelSpec:
    return ModelSpec(name=name, endpoint=url, **fields)


def call(text: str, name: str = "m", **fields: Any) -> Call:
    return Call(model=name, messages=(Message.of("user", text),), **fields)


def ask(
    path: Path, specs: list[ModelSpec], calls: dict[str, list[Call]], *, concurrency: int = 8
) -> tuple[dict[int, Reply], Post, list[str]]:
    """The replies by the place of their call, the post with its tally, and what it said."""
    said: list[str] = []

    async def story() -> tuple[dict[int, Reply], Post]:
        numbered = iter(range(10**6))
        pairs = {name: [(next(numbered), each) for each in own] for name, own in calls.items()}
        async with Post(path, specs, GatewaySettings(concurrency=concurrency, retries=0), said.append) as post:
            return {tag: reply async for tag, reply in post.ask(pairs)}, post

    found, post = asyncio.run(story())
    return found, post, said


def test_what_stands_in_the_book_is_not_asked_again(tmp_path: Path) -> None:
    book = tmp_path / "calls.db"
    with Till() as till:
        questions = [call(f"question {number}") for number in range(20)]
        first, post, _ = ask(book, [model(till.url, input_price=1e6, output_price=1e6)], {"m": questions})
        assert (post.tally.paid, post.tally.known, post.tally.cost) == (20, 0, 200.0)
        again, post, _ = ask(book, [model(till.url)], {"m": questions})
        assert (post.tally.paid, post.tally.known, post.tally.cost) == (0, 20, 0.0)
        assert set(till.paid.values()) == {1}
        assert till.most_under_way <= 8
    assert {tag: reply.text for tag, reply in again.items()} == {tag: reply.text for tag, reply in first.items()}
    assert first[3].text == "You said: question 3"


def test_the_same_request_is_made_once_whoever_asks_and_however_often(tmp_path: Path) -> None:
    with Till() as till:
        specs = [model(till.url, "one", api_name="same"), model(till.url, "two", api_name="same")]
        found, post, _ = ask(
            tmp_path / "calls.db", specs, {"one": [call("hello", "one")] * 3, "two": [call("hello", "two")]}
        )
        assert len(found) == 4
        assert sum(till.asked.values()) == 1
        assert (post.tally.paid, post.tally.known) == (1, 3)


@pytest.mark.parametrize(
    "change", [{"draw": 1}, {"seed": 1}, {"temperature": 0.5}, {"max_tokens": 9}, {"stop": ("x",)}]
)
def test_what_makes_another_request_has_another_key(change: dict[str, Any]) -> None:
    spec = model("http://127.0.0.1/v1")
    assert call_key(spec, call("hello")) != call_key(spec, call("hello", **change))
    assert call_key(spec, call("hello")) == call_key(model("http://127.0.0.1/v1", license="MIT"), call("hello"))


def test_the_key_travels_with_the_request(tmp_path: Path) -> None:
    with Till() as till:
        ask(tmp_path / "calls.db", [model(till.url)], {"m": [call("hello")]})
        assert list(till.keys) == [call_key(model(till.url), call("hello"))]


def test_a_refusal_that_passes_is_tried_again_and_slows_down(tmp_path: Path) -> None:
    def busy_at_first(body: dict[str, Any], before: int) -> tuple[int, str]:
        return (429, "slow down") if before == 0 else (200, body["messages"][-1]["content"])

    with Till(busy_at_first, seconds=0.01) as till:
        found, _, _ = ask(tmp_path / "calls.db", [model(till.url)], {"m": [call(f"{n}") for n in range(6)]})
        assert [found[n].text for n in range(6)] == [f"{n}" for n in range(6)]
        assert set(till.asked.values()) == {2}


def test_a_refusal_of_one_request_is_a_record_and_stops_nothing(tmp_path: Path) -> None:
    def too_long(body: dict[str, Any], _: int) -> tuple[int, str]:
        text = body["messages"][-1]["content"]
        return (400, "maximum context length exceeded") if text == "long" else (200, text)

    book = tmp_path / "calls.db"
    with Till(too_long, seconds=0.01) as till:
        found, post, _ = ask(book, [model(till.url)], {"m": [call("a"), call("long"), call("b")]})
        assert found[0].text == "a"
        assert found[2].text == "b"
        error = found[1].error
        assert error is not None
        assert (error.kind, error.status) == ("refused", 400)
        assert "maximum context length" in error.detail
        assert post.tally.failed == {"refused": 1}
        with ReplyBook(book) as replies:
            failure = replies.failure(call_key(model(till.url), call("long")))
            assert failure is not None
            assert failure.status == 400
            assert replies.unanswered() == 0


@pytest.mark.parametrize("status", [401, 404])
def test_a_bad_key_or_an_unknown_model_is_not_asked_a_thousand_times(tmp_path: Path, status: int) -> None:
    with Till(lambda *_: (status, "no"), seconds=0.0) as till:
        found, _, _ = ask(tmp_path / "calls.db", [model(till.url)], {"m": [call(f"{n}") for n in range(200)]})
        assert sum(till.asked.values()) <= 8
        assert len(found) == 200
        details = [reply.error.detail for reply in found.values() if reply.error is not None]
        assert len(details) == 200
        assert sum("not asked" in detail for detail in details) >= 192


def test_an_endpoint_that_always_fails_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palaestra.gateway.asking.TRIES", 1)
    with Till(lambda *_: (500, "broken"), seconds=0.0) as till:
        found, _, _ = ask(
            tmp_path / "calls.db", [model(till.url)], {"m": [call(f"{n}") for n in range(100)]}, concurrency=4
        )
        assert sum(till.asked.values()) < 40
        assert {reply.error.kind for reply in found.values() if reply.error} == {"server_error"}


def test_a_slow_endpoint_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with Till(seconds=2.0) as slow, Till(seconds=0.0) as fast:
        specs = [model(slow.url, "slow"), model(fast.url, "fast")]
        order: list[str] = []

        async def story() -> None:
            calls = {
                "slow": (("slow", call(f"{n}", "slow")) for n in range(100)),
                "fast": (("fast", call(f"{n}", "fast")) for n in range(60)),
            }
            async with Post(tmp_path / "calls.db", specs, GatewaySettings(concurrency=2)) as post:
                async for tag, _ in post.ask(calls):
                    order.append(tag)
                    if order.count("fast") == 60:
                        break

        asyncio.run(story())
        assert order.count("slow") <= 20


def test_a_key_that_is_not_set_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with Till() as till, pytest.raises(MissingPartError, match="NO_SUCH_KEY"):
        ask(tmp_path / "calls.db", [model(till.url, api_key_env="NO_SUCH_KEY")], {"m": [call("hello")]})
    assert not till.asked


@pytest.mark.slow
def test_kill_9_loses_nothing_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    book, count = tmp_path / "calls.db", 60
    with Till(seconds=0.3) as till:
        for kill in range(6):
            sender = start(book, till.url, count)
            wait_until(lambda least=8 * kill: sum(till.asked.values()) > least, sender)
            time.sleep(0.05 * kill)
            os.kill(sender.pid, signal.SIGKILL)
            sender.wait()
        out, _ = start(book, till.url, count).communicate(timeout=120)
        lines = sorted(line for line in out.splitlines() if "You said" in line)
        assert lines == sorted(f"{n} You said: question {n}" for n in range(count))
        assert set(till.asked.values()) == {1}, "a request was made twice"
        assert len(till.asked) == count


@pytest.mark.slow
def test_when_the_courier_itself_is_killed_the_next_run_says_what_may_be_lost(tmp_path: Path) -> None:
    book = tmp_path / "calls.db"
    with Till(seconds=0.5) as till:
        sender = start(book, till.url, 30)
        wait_until(lambda: sum(till.asked.values()) >= 8, sender)
        pids = subprocess.run(["pgrep", "-f", f"courier {book}"], capture_output=True, text=True, check=True).stdout
        os.kill(int(pids.split()[0]), signal.SIGKILL)
        _, err = sender.communicate(timeout=60)
        assert "the courier ended with status -9" in err
        out, _ = start(book, till.url, 30).communicate(timeout=120)
        assert "may have been paid for and are asked again" in out
        assert len([line for line in out.splitlines() if "You said" in line]) == 30
        assert max(till.keys.values()) <= 2
        assert len(till.keys) == 30


def test_a_courier_that_cannot_work_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_text("this is no database, and longer than a header of one would be " * 20)
    with pytest.raises(PalaestraError, match="cannot open the book of replies"):
        ask(tmp_path / "calls.db", [model("scripted:echo")], {"m": [call("hello")]})


@pytest.mark.slow
def test_a_reply_that_an_earlier_runs_courier_is_waiting_for_is_not_paid_for_again(tmp_path: Path) -> None:
    book, next_one_waits = tmp_path / "calls.db", threading.Event()

    def late(body: dict[str, Any], _: int) -> tuple[int, str]:
        assert next_one_waits.wait(60)
        return 200, body["messages"][-1]["content"]

    async def story(url: str) -> tuple[dict[int, Reply], Post]:
        calls = [(n, call(f"question {n}")) for n in range(3)]
        async with Post(book, [model(url)], GatewaySettings(), lambda _: next_one_waits.set()) as post:
            return {n: reply async for n, reply in post.ask({"m": calls})}, post

    with Till(late, seconds=0.0) as till:
        sender = start(book, till.url, 3)
        wait_until(lambda: sum(till.asked.values()) == 3, sender)
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        found, post = asyncio.run(story(till.url))
        assert set(till.asked.values()) == {1}
    assert [found[n].text for n in range(3)] == [f"question {n}" for n in range(3)]
    assert (post.tally.paid, post.tally.known) == (0, 3)


@pytest.mark.slow
def test_a_full_disk_is_an_error_that_says_what_is_lost_and_not_a_silence(tmp_path: Path) -> None:
    with Till(lambda *_: (200, "word " * 4000), seconds=0.0) as till:
        little_room = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024,) * 2)\n{SENDER}"
        command = [sys.executable, "-c", little_room, str(tmp_path / "calls.db"), till.url, "40"]
        sender = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        _, err = sender.communicate(timeout=60)
        assert sender.returncode != 0
        assert "calls.db cannot be written" in err
        assert "no further call was made, and" in err
        assert sum(till.asked.values()) < 40


def test_replies_that_could_not_be_written_at_first_are_written_when_they_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, failures = ReplyBook.keep, iter([BookError("full"), BookError("full")])

    def full_at_first(book: ReplyBook, replies: Sequence[tuple[str, str]]) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        keep(book, replies)

    monkeypatch.setattr(ReplyBook, "keep", full_at_first)
    monkeypatch.setattr("palaestra.gateway.courier._WRITE_AGAIN", (0, 0, 0))
    spec, one = model("scripted:echo"), call("hello")
    key = call_key(spec, one)

    async def story() -> None:
        lines = asyncio.StreamReader()  # it stays open: only the fault ends the work
        lines.feed_data(json.dumps({"key": key, "call": one.model_dump(mode="json")}).encode() + b"\n")
        async with Gateway([spec], GatewaySettings()) as gateway:
            with ReplyBook(tmp_path / "calls.db") as book:
                with pytest.raises(BookError, match="no reply is lost"):
                    await asyncio.wait_for(Courier(gateway, book, [spec], 1).serve(lines), 20)
                assert book.find(key) is not None

    asyncio.run(story())


def test_a_reply_without_a_word_is_paid_once_and_closes_nothing(tmp_path: Path) -> None:
    with Till(lambda *_: (200, ""), seconds=0.0) as till:
        questions = [call(f"{n}") for n in range(20)]
        found, post, _ = ask(tmp_path / "calls.db", [model(till.url)], {"m": questions})
        assert {(reply.text, reply.error) for reply in found.values()} == {("", None)}
        assert (post.tally.paid, post.tally.output_tokens) == (20, 60)
        _, post, _ = ask(tmp_path / "calls.db", [model(till.url)], {"m": questions})
        assert (post.tally.paid, post.tally.known) == (0, 20)
        assert set(till.asked.values()) == {1}


def test_the_pace_falls_when_it_is_refused_and_recovers() -> None:
    async def story() -> None:
        pace, refused = Pace(16), ErrorRecord(kind="rate_limited", detail="429", status=429)
        pace.went_wrong("m", refused, finally_=False)
        entered = 0
        for _ in range(16):
            try:
                await asyncio.wait_for(pace.enter(), 0.01)
                entered += 1
            except TimeoutError:
                break
        assert entered == 12
        for _ in range(200):
            pace.went_well()
        await asyncio.wait_for(pace.enter(), 0.01)
        assert pace.closed("m") is None

    asyncio.run(story())


def start(book: Path, url: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SENDER, str(book), url, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(holds: Any, sender: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it took too long"
        assert sender.poll() is None, sender.communicate()
        time.sleep(0.01)
