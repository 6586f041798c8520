"""The task of inspect_ai, run by it with its mock models: scores, what is not scored, turns, and what is refused."""

from __future__ import annotations

import json
import math
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from palaestra.errors import InputError
from palaestra.judge.answers import Answer, write_answers

inspect_ai = pytest.importorskip("inspect_ai", reason="inspect_ai is not installed; make setup installs it")

from inspect_ai.model import ModelOutput, ModelUsage, get_model  # noqa: E402 - only where it is there

from palaestra.judge.inspect_task import arena_hard  # noqa: E402 - likewise


@pytest.fixture
def bench(tmp_path: Path) -> dict[str, str]:
    """Three questions, the last of two turns, and the baseline's answers."""
    rows: list[dict[str, Any]] = [
        {"question_id": "q1", "turns": ["one?"], "category": "math"},
        {"question_id": "q2", "turns": ["two?"]},
        {"question_id": "q3", "turns": ["three?", "sure?"]},
    ]
    path = tmp_path / "question.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [
        Answer(question_id=row["question_id"], model="base", turns=("base says",) * len(row["turns"])) for row in rows
    ]
    (file,) = write_answers(tmp_path / "answers", answers, "mt-bench")
    return {"prompts": str(path), "baseline_answers": str(file)}


def mock(say: Any) -> Any:
    """A model that says what a function of the messages' texts gives."""

    def output(messages: list, *_: object) -> ModelOutput:
        made = ModelOutput.from_content("mockllm/model", say([message.text for message in messages]))
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it loads a tokenizer
        return made

    return get_model("mockllm/model", custom_outputs=output, memoize=False)


def log_of(tmp_path: Path, bench: dict[str, str], judge: Any, contestant: Any, **more: Any) -> Any:
    made = arena_hard(**bench, judge=judge, **more)
    (log,) = inspect_ai.eval(made, model=contestant, log_dir=str(tmp_path / "logs"), display="none", log_format="json")
    assert log.status == "success", log.error
    return log


def scores_of(log: Any) -> dict[str, Any]:
    return {sample.id: next(iter(sample.scores.values())) for sample in log.samples}


def test_scores_are_the_contestants_points_in_both_orders(tmp_path: Path, bench: dict[str, str]) -> None:
    """A judge that always says A>>B scores one half; one that finds the contestant scores one."""
    contestant = mock(lambda texts: f"mine to {texts[-1]}")
    log = log_of(tmp_path, bench, mock(lambda _: "[[A>>B]]"), contestant)
    assert [score.value for score in scores_of(log).values()] == [0.5] * 3

    def fair(texts: list[str]) -> str:
        a = texts[-1].partition("<|The Start of Assistant A's Answer|>")[2].partition("<|The End of Assistant A")[0]
        return "Clear: [[A>B]]" if "mine" in a else "Clear: [[B>A]]"

    log = log_of(tmp_path, bench, mock(fair), contestant)
    scores = scores_of(log)
    assert [score.value for score in scores.values()] == [1.0] * 3
    assert scores["q1"].metadata["labels"] == ["B>A", "A>B"]
    assert (scores["q1"].metadata["baseline"], scores["q1"].metadata["category"]) == ("base", "math")
    assert log.results.scores[0].metrics["mean"].value == 1.0
    third = next(sample for sample in log.samples if sample.id == "q3")
    said = [message.text for message in third.messages]
    assert said == ["three?", "mine to three?", "sure?", "mine to sure?"]


def test_what_cannot_be_read_is_reminded_and_then_not_scored_but_counted(tmp_path: Path, bench: dict[str, str]) -> None:
    asked: list[int] = []

    def vague(texts: list[str]) -> str:
        asked.append(len(texts))
        if "one?" in "".join(texts):
            return "hard to say"
        return "[[A=B]]" if len(texts) > 2 or "two?" not in "".join(texts) else "let me think"

    log = log_of(tmp_path, bench, mock(vague), mock(lambda _: "mine"))
    scores = scores_of(log)
    assert math.isnan(scores["q1"].value)
    assert scores["q1"].reason == "grader_failed"
    assert scores["q1"].metadata["labels"] == [None, None]
    assert (scores["q2"].value, scores["q2"].metadata["attempts"]) == (0.5, [2, 2])
    (result,) = log.results.scores
    assert (result.scored_samples, result.unscored_samples, result.metrics["mean"].value) == (2, 1, 0.5)


def test_an_empty_answer_is_not_shown_to_the_judge(tmp_path: Path, bench: dict[str, str]) -> None:
    log = log_of(tmp_path, bench, mock(lambda _: "[[A>B]]"), mock(lambda texts: " " if "two?" in texts else "mine"))
    assert scores_of(log)["q2"].reason == "no_response"
    assert log.results.scores[0].unscored_samples == 1


def test_without_a_judge_the_contestant_does_not_judge_itself(tmp_path: Path, bench: dict[str, str]) -> None:
    made = arena_hard(**bench)
    (log,) = inspect_ai.eval(
        made, model=mock(lambda _: "[[A>B]]"), log_dir=str(tmp_path / "logs"), display="none", log_format="json"
    )
    assert log.status == "error"
    assert "grader" in log.error.message


def test_it_runs_by_name_with_the_judge_in_the_role_of_grader(tmp_path: Path, bench: dict[str, str]) -> None:
    """As `inspect eval palaestra/arena_hard` finds it, through the entry point."""
    (log,) = inspect_ai.eval(
        "palaestra/arena_hard",
        task_args=bench,
        model=mock(lambda _: "mine"),
        model_roles={"grader": mock(lambda _: "[[B>A]]")},
        log_dir=str(tmp_path / "logs"),
        display="none",
        log_format="json",
    )
    assert log.status == "success", log.error
    assert log.eval.task == "palaestra/arena_hard"
    assert log.results.scores[0].metrics["mean"].value == 0.5


def test_the_entry_point_leads_to_the_task() -> None:
    entry = next(point for point in entry_points(group="inspect_ai") if point.name == "palaestra")
    assert entry.load().arena_hard is arena_hard


def test_what_cannot_be_used_is_refused(tmp_path: Path, bench: dict[str, str]) -> None:
    with pytest.raises(InputError, match="found the protocol letter, expected one with labels and both orders"):
        arena_hard(**bench, protocol="letter")
    with pytest.raises(InputError, match="found no answer of the baseline 'other' to question 'q1'"):
        arena_hard(**bench, baseline="other")
    with pytest.raises(InputError, match="found no answer of the baseline 'gpt-4-0314'"):
        arena_hard(**bench, protocol="arena-hard-v0.1")
    short = [Answer(question_id=f"q{number}", model="base", turns=("x",)) for number in (1, 2, 3)]
    (file,) = write_answers(tmp_path / "short", short, "mt-bench")
    with pytest.raises(InputError, match=r"the baseline: 1 with another number of turns \(q3\)"):
        arena_hard(bench["prompts"], str(file))
