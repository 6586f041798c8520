"""Data by a teacher: what is kept of it, and that nothing is made or paid twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_language_model import small_model

from palaestra.errors import InputError
from palaestra.gateway.calls import ReplyBook
from palaestra.learn.generation import Sampling
from palaestra.posttrain import teacher_answers
from palaestra.posttrain.examples import Example, read_examples, write_examples
from palaestra.posttrain.teacher_answers import Answer, EndpointTeacher, LocalTeacher
from palaestra.posttrain.teacher_data import DataConfig, choose, data_card, likeness, normalised
from palaestra.schema import ModelSpec

PROMPTS = [Example.of(f"say {number}", id=str(number), domain="ab"[number % 2]) for number in range(6)]


def by_length(examples: Any, replies: Any) -> list[float]:
    return [min(len(reply) / 10, 1.0) for reply in replies]


def chosen(answers: list[list[Answer]], **config: Any) -> dict[str, str]:
    found = choose(PROMPTS[: len(answers)], answers, by_length, DataConfig(**config), teacher="t")
    return {example.id: example.reply for example in found.examples}


def test_a_verifier_keeps_all_right_ones_and_a_reward_the_best() -> None:
    long = ["a first long one", "what else is there", "and some third text"]
    answers = [[Answer(long[0]), Answer("short"), Answer(long[1]), Answer(long[2])], [Answer("a"), Answer("bcd")]]
    assert chosen(answers) == {"0#0": long[0], "0#2": long[1], "0#3": long[2]}
    assert chosen(answers, most=2) == {"0#0": long[0], "0#2": long[1]}
    assert chosen(answers, keep="reward") == {"0#0": long[0], "1#1": "bcd"}
    assert chosen(answers, keep="reward", most=2, least=0.3) == {"0#0": long[0], "0#2": long[1], "1#1": "bcd"}


def test_what_is_no_completion_is_counted_and_never_kept() -> None:
    answers = [
        [Answer("a whole completion"), Answer("A  whole completion "), Answer("a whole completion, nearly"),
         Answer("something else entirely"), Answer("it was cut off here", ended=False), Answer(" "),
         Answer(None, error="timeout: late"), Answer("no")]
    ]  # fmt: skip
    found = choose(PROMPTS[:1], answers, by_length, DataConfig(n=8, near=0.6, most=1), teacher="t")
    assert [example.reply for example in found.examples] == ["a whole completion"]
    (domain,) = found.domains
    assert (domain.completions, domain.duplicates, domain.spare, domain.kept) == (8, 2, 1, 1)
    assert (domain.cut_off, domain.failed, domain.rejected) == (2, 1, 1)
    assert domain.acceptance.value == 4 / 8
    assert domain.covered.value == 1.0
    assert found.examples[0].labels == {"teacher": "t", "draw": "0", "score": "1"}
    card = data_card("set", found, DataConfig(n=8), teacher="t", score="rule:exact")
    assert "| a | 1 | 8 | 50.0% | 100.0% | 1 | 2 | 1 | 2 | 1 | 1 |" in card


TEXTS = st.text("ab ", min_size=1, max_size=12)


@settings(deadline=None)
@given(
    texts=st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=6),
    most=st.integers(1, 3),
    keep=st.sampled_from(["verifier", "reward"]),
)
def test_every_completion_has_one_fate_and_no_prompt_too_many(texts: list[list[str]], most: int, keep: Any) -> None:
    answers = [[Answer(text) for text in own] for own in texts]
    config = DataConfig(n=3, most=most, keep=keep, least=0.2)
    if not any(text.strip() and len(text) >= 2 for own in texts for text in own):
        with pytest.raises(InputError, match="found no completion to keep"):
            choose(PROMPTS[: len(texts)], answers, by_length, config, teacher="t")
        return
    found = choose(PROMPTS[: len(texts)], answers, by_length, config, teacher="t")
    for domain in found.domains:
        rest = domain.failed + domain.cut_off + domain.rejected + domain.duplicates + domain.spare + domain.kept
        assert rest == domain.completions
        for one in (domain.acceptance, domain.covered):
            if one.lower is not None and one.upper is not None:
                assert 0 <= one.lower <= one.value <= one.upper <= 1
    kept: dict[str, list[str]] = {}
    for example in found.examples:
        kept.setdefault(example.id.partition("#")[0], []).append(example.reply)
    for own in kept.values():
        assert len(own) <= most
        same = [normalised(text) for text in own]
        assert all(likeness(a, b) < 0.8 for place, a in enumerate(same) for b in same[:place])
    assert sum(domain.kept for domain in found.domains) == len(found.examples)


def test_likeness_is_that_of_sets() -> None:
    assert likeness("abcdefg", "abcdefg") == 1.0
    assert likeness("abcdef", "xabcde") == pytest.approx(1 / 3)
    assert likeness("7", "8") == 0.0
    assert normalised(" A\n b\u00a0\uff23") == "a b c"


def test_nothing_to_keep_and_no_number_are_errors() -> None:
    with pytest.raises(InputError, match="found no completion to keep among 1: 0 failed, 0 cut_off, 1 rejected"):
        chosen([[Answer("no")]])
    with pytest.raises(InputError, match="found the score nan of a completion of 0"):
        choose(PROMPTS[:1], [[Answer("x")]], lambda *_: [np.nan], DataConfig(), teacher="t")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_model(tmp_path_factory.mktemp("small"))


def test_a_local_teacher_makes_each_block_once(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_answers, "_BLOCK", 5)
    kept = tmp_path / "answers.jsonl"

    def ask(file: Path) -> list[list[Answer]]:
        return LocalTeacher(model, n=3, how=Sampling(6), seed=4, kept=file)(PROMPTS, lambda *_: None)

    found = ask(kept)
    assert [len(own) for own in found] == [3] * 6
    assert all((one.tokens or 9) <= 6 and (one.ended or one.tokens == 6) for own in found for one in own)
    whole = kept.read_bytes()
    assert len(whole.splitlines()) == 4
    kept.write_bytes(whole[: whole.rfind(b"\n", 0, -1) - 7])  # killed while it wrote the third line
    monkeypatch.setattr(teacher_answers, "_BLOCK", 5)
    assert ask(kept) == found
    assert kept.read_bytes() == whole
    monkeypatch.setattr(teacher_answers, "load_trainable", lambda *_, **__: pytest.fail("all is known"))
    assert ask(kept) == found


def test_an_endpoint_is_asked_once_for_each_draw(tmp_path: Path) -> None:
    spec = ModelSpec(name="t", endpoint="scripted:markdown?words=5")

    def ask(n: int) -> tuple[list[list[Answer]], EndpointTeacher]:
        who = EndpointTeacher(spec, n=n, how=Sampling(50), seed=3, book=tmp_path / "calls.db")
        return who(PROMPTS, lambda *_: None), who

    found, who = ask(2)
    assert who.tally is not None
    assert (who.tally.paid, who.tally.known) == (12, 0)
    assert all(one.whole for own in found for one in own)
    assert len({one.text for own in found for one in own}) == 12  # a seed of its own for each draw
    again, who = ask(3)
    assert who.tally is not None
    assert (who.tally.paid, who.tally.known) == (6, 12)
    assert [own[:2] for own in again] == found


def test_an_endpoint_that_fails_is_counted(tmp_path: Path) -> None:
    spec = ModelSpec(name="t", endpoint="scripted:empty")
    found = EndpointTeacher(spec, n=1, how=Sampling(5), seed=0, book=tmp_path / "calls.db")(
        PROMPTS[:2], lambda *_: None
    )
    assert all(not own[0].whole for own in found)


def command(folder: Path, teacher: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "palaestra", "train", "data", teacher, str(folder / "prompts.jsonl"), "--out",
        str(folder / "run"), "--models", str(folder / "models.toml"), *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_command_killed_and_gone_on_with_pays_nothing_twice(tmp_path: Path) -> None:
    written = {}
    more = ("--n", "4", "--score", "rule:regex:the", "--max-tokens", "60")
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        write_examples(folder / "prompts.jsonl", [Example.of(f"tell {n}", id=str(n)) for n in range(60)])
        (folder / "models.toml").write_text(
            '[[model]]\nname = "t"\nendpoint = "scripted:markdown?words=8&first=0.05"\n'
        )
        before = 0
        if name == "killed":
            started = subprocess.Popen(command(folder, "t", *more), stderr=subprocess.PIPE)
            while before < 20:
                assert started.poll() is None
                time.sleep(0.05)
                if (folder / "run" / "calls.db").is_file():
                    with ReplyBook(folder / "run" / "calls.db") as book:
                        before = book._row("SELECT count(*) FROM replies")[0]  # ty: ignore[not-subscriptable]
            started.send_signal(signal.SIGKILL)
            started.wait()
        again = ("--resume",) if name == "killed" else ()
        done = subprocess.run(
            command(folder, "t", *more, *again, "--json", "-"), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["calls_paid"] + said["calls_known"] == 240
        assert said["calls_known"] >= before
        assert said["domains"][0]["completions"] == 240
        written[name] = (folder / "run" / "examples" / "examples.parquet").read_bytes()
    assert written["whole"] == written["killed"]
    found = read_examples(tmp_path / "whole" / "run" / "examples", completed=True).examples
    assert {example.labels["teacher"] for example in found} == {"t"}
    assert (tmp_path / "whole" / "run" / "card.md").read_text().startswith("# run\n\nCompletions by t: 4 of each")


@pytest.mark.slow
def test_the_command_with_a_model_on_this_machine(model: str, tmp_path: Path) -> None:
    write_examples(tmp_path / "prompts.jsonl", [Example.of(f"say {n}", id=str(n), reference="x") for n in range(40)])
    done = subprocess.run(
        command(tmp_path, model, "--score", "rule:regex:[a-m]", "--max-tokens", "30", "--json", "-"),
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = read_examples(tmp_path / "run" / "examples", completed=True).examples
    assert len(found) == json.loads(done.stdout)["examples"] > 0
    refused = subprocess.run(command(tmp_path, "nobody"), capture_output=True, text=True, check=False)
    assert (refused.returncode, "found the teacher 'nobody'" in refused.stderr) == (2, True)
    refused = subprocess.run(command(tmp_path, model, "--keep", "reward"), capture_output=True, text=True, check=False)
    assert (refused.returncode, "found --keep reward without --score" in refused.stderr) == (2, True)
