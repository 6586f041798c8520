"""What could mean two things is refused, and what is left out is said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.recipes.proxy_board import VerdictProxy, bradley_terry_board
from palaestra.rewards.ppe import best_of
from palaestra.rewards.ppe.benches import Bench, bench_of
from palaestra.rewards.ppe.evaluation import PpeConfig, ProxyEvaluation, evaluate
from palaestra.rewards.ppe.proxies import Proxy, ScoreFile, ScoringFunction
from palaestra.rewards.ppe.samples import Samples, read_samples
from palaestra.schema import Message, Preference

QUICK = PpeConfig(rounds=100, board_rounds=50, least_pairs=1)


def length(_prompts: Sequence[object], replies: Sequence[str]) -> list[float]:
    return [float(len(reply)) for reply in replies]


LENGTH = ScoringFunction("length", length)


def as_lines(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(number: int, asked: str, **more: object) -> Preference:
    fields = {"prompt": (Message.of("user", asked),), "replies": ("long one", "short"), "ranks": (1, 2)}
    return Preference.model_validate({"id": str(number), **fields, **more})


def sums(domain: str = "sums", mark: str = "") -> list[Samples]:
    asked = (Message.of("user", "1 + 1?"),)
    return [Samples(str(number), str(number), asked, (f"two{mark}", "3"), (True, False), domain) for number in (1, 2)]


def found(*proxies: Proxy, samples: Sequence[Samples] = (), benches: Sequence[Bench] = ()) -> ProxyEvaluation:
    return evaluate(proxies or [LENGTH], QUICK, maker=bradley_terry_board, samples=samples, benches=benches)


def test_pairs_on_one_prompt_are_one_cluster() -> None:
    alike = [pair(number, "the same?", ranks=(1, 2) if number % 4 else (2, 1)) for number in range(40)]
    asked = [one.model_copy(update={"prompt": (Message.of("user", one.id),)}) for one in alike]
    [whole] = found(benches=[bench_of("b", "pairs", alike)]).figures
    [apart] = found(benches=[bench_of("b", "pairs", asked)]).figures
    assert whole.lower is None  # one prompt has no interval
    assert apart.lower is not None


def test_ranks_with_a_gap_are_ranks() -> None:
    [one] = found(
        benches=[bench_of("b", "preference", [pair(1, "?", ranks=(1, 3)), pair(2, "?", ranks=(3, 1))])]
    ).figures
    assert one.value == 0.5


def test_names_that_stand_for_two_things_are_refused() -> None:
    with pytest.raises(InputError, match="name 'oracle'"):
        found(ScoringFunction("oracle", length), samples=sums())
    with pytest.raises(InputError, match="domain of the name 'mean'"):
        found(samples=sums("mean"))
    with pytest.raises(InputError, match="two files of pairs of the name 'b'"):
        found(benches=[bench_of("b", "pairs", [pair(1, "?")])] * 2)


def test_a_file_that_is_given_twice_is_not_counted_twice() -> None:
    with pytest.raises(InputError, match="found two rows of '1' in the domain 'sums'"):
        found(samples=[*sums(), *sums()])


def test_scores_by_ids_are_refused_where_an_id_means_two_replies(tmp_path: Path) -> None:
    rows = [{"id": number, "scores": [2.0, 1.0]} for number in (1, 2)]
    scores = ScoreFile("mine", as_lines(tmp_path / "s.jsonl", *rows))
    assert found(scores, samples=[*sums(), *sums("more")]).value("correctness", "more", "accuracy", "mine").value == 1
    with pytest.raises(InputError, match="mine: found two different replies of the id '1'"):
        found(scores, samples=[*sums(), *sums("more", mark="!")])
    with pytest.raises(InputError, match=r"row 3: found .* again"):
        ScoreFile("mine", as_lines(tmp_path / "s.jsonl", *rows, rows[0]))


def test_verdicts_do_not_tell_replies_of_one_model_apart(tmp_path: Path) -> None:
    row = {"question_id": "1", "model_a": "reply-1", "model_b": "reply-2", "label": "A>B"}
    judge = VerdictProxy("judge", as_lines(tmp_path / "v.jsonl", row))
    with pytest.raises(InputError, match="found two different replies of the id '1'"):
        found(judge, samples=[replace(one, model="m") for one in sums()[:1]])


def test_one_order_says_nothing_of_consistency(tmp_path: Path) -> None:
    row = {"question_id": "1", "model_a": "reply-1", "model_b": "reply-2", "label": "A>B"}
    turned = row | {"model_a": "reply-2", "model_b": "reply-1"}
    bench = bench_of("b", "pairs", [pair(1, "?")])
    for rows, metrics in (
        ([row], {"accuracy"}),
        ([row, turned], {"accuracy", "right_in_both_orders", "same_in_both_orders"}),
    ):
        judge = VerdictProxy("judge", as_lines(tmp_path / "v.jsonl", *rows))
        assert {one.metric for one in found(judge, benches=[bench]).figures} == metrics


def test_a_question_of_the_number_nought_keeps_its_id(tmp_path: Path) -> None:
    rows = [{"question_id": 0, "prompt": "p", "response": text, "correct": text == "a"} for text in "ab"]
    assert [one.id for one in read_samples(as_lines(tmp_path / "long.jsonl", *rows))] == ["0"]
    best = [
        {"question_id": None, "prompt": f"p{n}", "response_1": "a", "response_2": "b", "scores": [1, 0]} for n in "12"
    ]
    assert [one.id for one in read_samples(as_lines(tmp_path / "best.jsonl", *best))] == ["1", "2"]


def test_what_is_not_used_is_said() -> None:
    votes = [pair(number, f"{number}?", weight=2.0) for number in range(3)]
    proxies = [ScoringFunction(name, length) for name in "abcd"]
    results = {"later": {**dict.fromkeys("abcd", 1.0), "typo": 2.0}}
    said = evaluate(proxies, QUICK, maker=bradley_terry_board, human=votes, samples=sums(), results=results).warnings
    assert any("the votes have weights" in one for one in said)
    assert any(one.endswith("left out: typo") for one in said)


def test_a_similarity_that_is_no_number_and_words_for_scores_are_refused() -> None:
    vote = pair(1, "?", labels={"sim": "high"})
    with pytest.raises(InputError, match="found 'high' as sim"):
        evaluate([LENGTH], QUICK, maker=bradley_terry_board, human=[vote])
    with pytest.raises(InputError, match=r"words gave .* expected a list of numbers"):
        found(ScoringFunction("words", lambda _prompts, replies: list(replies)), samples=sums())


def test_pairs_are_counted_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    reward_PN, right_PN = rng.integers(4, size=(9, 5)).astype(float), (rng.random((9, 5)) < 0.5).astype(float)
    whole = best_of.pair_wins(reward_PN, right_PN)
    monkeypatch.setattr(best_of, "_CELLS", 50)
    for one, other in zip(whole, best_of.pair_wins(reward_PN, right_PN), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_equals_sign_in_a_rule_names_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = as_lines(tmp_path / "p.jsonl", {"prompt": "?", "chosen": "a=1", "rejected": "b"})
    ask = ["reward", "ppe", "rule:regex:a=1", "--pairs", str(pairs), "--json", "-"]
    assert run(ask) == 0
    assert json.loads(capsys.readouterr().out)["proxies"] == ["rule:regex:a=1"]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "proxies.json").write_text('{"cut')
    assert run([*ask, "--keep", str(tmp_path / "kept")]) == 2
    assert "give another --keep" in " ".join(capsys.readouterr().err.split())


def test_a_function_that_was_changed_is_another_reward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = as_lines(tmp_path / "p.jsonl", {"prompt": "?", "chosen": "aa", "rejected": "b"})
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "scores_by_me.py"
    module.write_text("def f(prompts, replies):\n    return [float(len(reply)) for reply in replies]\n")
    ask = ["reward", "ppe", "function:scores_by_me:f", "--pairs", str(pairs), "--keep", str(tmp_path / "kept")]
    assert run(ask) == 0
    module.write_text("def f(prompts, replies):\n    return [-float(len(reply)) for reply in replies]\n")
    assert run(ask) == 2
    assert "found answers of another" in " ".join(capsys.readouterr().err.split())
