"""Rewards by name, a trained folder read again, and files scored in chunks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from reward_worlds import Words, preferences

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.learn.checkpoint import read_checkpoint
from palaestra.recipes.proxy_board import bradley_terry_board
from palaestra.rewards import backbone_train, head_model, score
from palaestra.rewards.card import model_card
from palaestra.rewards.config import RewardConfig
from palaestra.rewards.cross_fit import folds_of
from palaestra.rewards.head_model import HeadReward
from palaestra.rewards.model import HEAD, UncertainReward, load_reward
from palaestra.rewards.page import write_reward_page
from palaestra.rewards.ppe.benches import bench_of
from palaestra.rewards.ppe.evaluation import PpeConfig, evaluate
from palaestra.rewards.ppe.proxies import RewardProxy
from palaestra.rewards.rules import rule
from palaestra.rewards.score import agreement, read_replies, score_replies, write_scores
from palaestra.rewards.seen import marks_of, seen_line
from palaestra.rewards.train import Trained, train_head
from palaestra.schema import Message
from palaestra.store.preferences import write_preferences

CONFIG = RewardConfig(features="words", rounds=10, members=4)
FOUND = preferences(120)
PROMPTS = [one.prompt for one in FOUND for _ in one.replies]
REPLIES = [reply for one in FOUND for reply in one.replies]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train_head(FOUND, CONFIG, Words(), name="r")


def test_a_trained_reward_is_read_again_and_scores_the_same(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_model, "featurizer", lambda _name, _specs: Words())
    card = model_card("r", CONFIG, trained.evaluation, "words")
    trained.reward.write(tmp_path / "run" / "model", CONFIG, {}, card)
    again = load_reward(tmp_path / "run")
    assert isinstance(again, UncertainReward)
    reward_N, spread_N = again.score_with_spread(PROMPTS, REPLIES)
    np.testing.assert_array_equal(reward_N, trained.reward.score(PROMPTS, REPLIES))
    assert (spread_N > 0).all()
    assert reward_N.mean() == pytest.approx(0, abs=1e-9)
    assert "## Style" in card
    weights = tmp_path / "run" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(InputError, match="cut short or changed"):
        load_reward(tmp_path / "run")


def test_a_head_does_not_take_the_vectors_of_another_maker(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Words):
        name = "other"

    trained.reward.write(tmp_path / "model", CONFIG, {}, "")
    monkeypatch.setattr(head_model, "featurizer", lambda _name, _specs: Other())
    with pytest.raises(InputError, match="found vectors of other, expected those that the head was trained on: words"):
        HeadReward.read(tmp_path / "model")


def test_the_spread_is_larger_where_less_is_known() -> None:
    few, many = (train_head(preferences(count), CONFIG, Words()).reward for count in (60, 1200))
    assert few.score_with_spread(PROMPTS, REPLIES)[1].mean() > 2 * many.score_with_spread(PROMPTS, REPLIES)[1].mean()


def test_the_page_is_drawn(trained: Trained, tmp_path: Path) -> None:
    write_reward_page(tmp_path / "page.html", "r <b>", trained.evaluation)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "r &lt;b&gt;" in page


def test_an_interrupted_scoring_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "CHUNK", 50)
    write_preferences(tmp_path / "p.jsonl", FOUND)
    replies = read_replies(tmp_path / "p.jsonl")

    class Failing:
        name = "failing"
        left = 3

        def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> np.ndarray:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return rule("rule:length").score(prompts, replies)

    failing = Failing()
    with pytest.raises(KeyboardInterrupt):
        score_replies(failing, replies, tmp_path / "chunks")
    Failing.left = 2  # 240 replies are five chunks, three of which are kept
    reward_N, spread_N = score_replies(Failing(), replies, tmp_path / "chunks")
    np.testing.assert_array_equal(reward_N, rule("rule:length").score(PROMPTS, REPLIES))
    found = agreement(replies, reward_N, 0.95)
    assert found is not None
    assert found.pairs == 120
    assert {part.name for part in found.parts} == {"even", "odd"}
    write_scores(tmp_path / "scores.parquet", replies, reward_N, spread_N)
    written = load_reward(f"scores:{tmp_path / 'scores.parquet'}")
    np.testing.assert_array_equal(written.score(PROMPTS, REPLIES), reward_N)
    with pytest.raises(InputError, match="found no reward for the reply 'new'"):
        written.score(PROMPTS[:1], ["new"])


def test_tables_and_answers_are_read_and_a_row_without_its_prompt_is_named(tmp_path: Path) -> None:
    table, questions, answers = (tmp_path / name for name in ("t.csv", "q.jsonl", "a.jsonl"))
    table.write_text("prompt,response,reference\n1+1?,The answer is 2,2\n")
    found = read_replies(table)
    assert load_reward("rule:exact", references=found.references).score(found.prompt_N, found.reply_N).tolist() == [1]
    questions.write_text(json.dumps({"question_id": "7", "prompt": "hi"}) + "\n")
    answers.write_text(json.dumps({"question_id": "7", "model": "m", "text": "a b"}) + "\n")
    answered = read_replies(answers, questions)
    assert (answered.model_N, answered.reply_N) == (("m",), ("a b",))
    answers.write_text(json.dumps({"question_id": "8", "model": "m", "text": "a b"}) + "\n")
    with pytest.raises(InputError, match="row 1: found the question_id '8'"):
        read_replies(answers, questions)
    pl.DataFrame({"prompt": ["a", None], "reply": ["b", "c"]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="row 2: found no prompt"):
        read_replies(tmp_path / "t.parquet")


def test_what_is_no_reward_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no reward 'nothing', expected a folder that `reward train` wrote"):
        load_reward("nothing")
    (tmp_path / "palaestra.json").write_text('{"palaestra_kind": "other"}')
    with pytest.raises(InputError, match="found a model of kind 'other'"):
        load_reward(tmp_path)


def as_lines(path: Path, *rows: Mapping[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_two_right_answers_to_a_prompt_are_refused(tmp_path: Path) -> None:
    rows = [{"prompt": "6 * 7?", "reply": "42", "reference": reference} for reference in ("42", "41")]
    with pytest.raises(InputError, match="found the references '42' and '41'"):
        read_replies(as_lines(tmp_path / "t.jsonl", *rows))
    assert read_replies(as_lines(tmp_path / "t.jsonl", rows[0], rows[0])).references == {"6 * 7?": "42"}


def test_two_rewards_of_one_reply_are_refused_unless_it_is_noise(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "reply": "b", "reward": reward} for reward in (1.0, 1.0001, -9.0)]
    name = f"scores:{as_lines(tmp_path / 's.jsonl', *rows[:2])}"
    assert load_reward(name).score([(Message.of("user", "a"),)], ["b"]).tolist() == [1.0]
    as_lines(tmp_path / "s.jsonl", *rows)
    with pytest.raises(InputError, match=r"row 3: found the reward -9 .* an earlier row gives 1"):
        load_reward(name)


def test_an_id_of_nought_is_an_id(tmp_path: Path) -> None:
    rows = [{"id": number, "prompt": "a", "reply": "b"} for number in range(3)]
    assert read_replies(as_lines(tmp_path / "t.jsonl", *rows)).id_N == ("0", "1", "2")


def test_rewards_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    class Broken:
        name = "broken"

        def score(self, prompts: Sequence[Sequence[Message]], replies: Sequence[str]) -> np.ndarray:  # noqa: ARG002
            return np.full(len(replies), np.nan)

    write_preferences(tmp_path / "p.jsonl", FOUND)
    with pytest.raises(InputError, match="broken: found rewards with NaN"):
        score_replies(Broken(), read_replies(tmp_path / "p.jsonl"), tmp_path / "chunks")


def test_a_ledger_that_has_grown_is_scored_anew_where_it_has(tmp_path: Path) -> None:
    for count in (10, 20):
        write_preferences(tmp_path / "p.jsonl", FOUND[:count])
        found, _ = score_replies(rule("rule:length"), read_replies(tmp_path / "p.jsonl"), tmp_path / "chunks")
        np.testing.assert_array_equal(found, rule("rule:length").score(PROMPTS, REPLIES)[: 2 * count])


def test_scores_that_have_changed_are_not_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": "a", "reply": "b", "reward": 1.0}
    scores, table = as_lines(tmp_path / "s.jsonl", row), as_lines(tmp_path / "t.jsonl", row)
    command = ["reward", "score", f"scores:{scores}", str(table), "--out", str(tmp_path / "run")]
    assert run([*command, "--confidence", "2"]) == 2
    assert "found the confidence 2" in capsys.readouterr().err
    assert run(command) == 0
    as_lines(scores, row | {"reward": 2.0})
    assert run([*command, "--resume"]) == 2
    assert "has changed" in " ".join(capsys.readouterr().err.split())


def test_a_reward_says_on_which_prompts_it_was_trained(trained: Trained, tmp_path: Path) -> None:
    new = [(Message.of("user", "never asked"),)]
    assert seen_line(trained.reward, "mine", new) is None
    assert seen_line(rule("rule:length"), "length", PROMPTS) is None
    said = seen_line(trained.reward, "mine", [*PROMPTS, *new])
    count = len(set(PROMPTS))
    assert said == f"mine was trained on {count} of these {count + 1} prompts: figures on what it has seen flatter it"
    found = evaluate(
        [RewardProxy("mine", trained.reward), RewardProxy("length", rule("rule:length"))],
        PpeConfig(rounds=100),
        maker=bradley_terry_board,
        benches=[bench_of("b", "pairs", FOUND)],
    )
    assert found.warnings == (said.replace(f"these {count + 1}", f"these {count}"),)
    trained.reward.write(tmp_path / "model", CONFIG, {}, "card")
    arrays = read_checkpoint(tmp_path / "model", HEAD).arrays
    np.testing.assert_array_equal(arrays["trained_on"], marks_of(PROMPTS))


def test_prompts_without_weight_fill_no_fold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster_Q, weight_Q = np.arange(40), np.where(np.arange(40) % 8 == 0, 1.0, 0.0)
    fold_Q = folds_of(cluster_Q, 5, 0, weight_Q)
    assert sorted(fold_Q[weight_Q > 0]) == [0, 1, 2, 3, 4]
    few = [one.model_copy(update={"weight": 0.0 if place else 1.0}) for place, one in enumerate(FOUND)]
    write_preferences(tmp_path / "p.jsonl", few)
    assert run(["reward", "train", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "run")]) == 2
    assert "found 1 distinct prompts with a weight above zero" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_a_language_model_that_is_there_stays_until_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(_preferences: object, _config: object, folder: Path, **_more: object) -> backbone_train.Trained:
        folder.mkdir(parents=True)
        (folder / "weights").write_text("first")
        return backbone_train.Trained(1, 0, 1, 0.5, None)

    def failing(*_: object, **_more: object) -> None:
        raise InputError("out of memory")

    write_preferences(tmp_path / "p.jsonl", FOUND)
    ask = ["reward", "train", str(tmp_path / "p.jsonl"), "--mode", "lora", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(backbone_train, "train_backbone", trained)
    assert run(ask) == 0
    monkeypatch.setattr(backbone_train, "train_backbone", failing)
    assert run([*ask, "--resume"]) == 2
    assert (tmp_path / "run" / "model" / "weights").read_text() == "first"
    assert not (tmp_path / "run" / "new").exists()
