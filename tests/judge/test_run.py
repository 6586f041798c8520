"""A run of judges: who is asked what, what is written, what is counted, and that it goes on after kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from interrupted import made_files, run_killed, served, write_plan
from till import Till

from palaestra.cli import run
from palaestra.judge.answers import read_answers
from palaestra.judge.verdict_files import read_verdicts

MODELS = """
[[model]]
name = "good"
endpoint = "scripted:markdown?words=30"
output_price = 3.0
max_tokens = 100
[[model]]
name = "poor"
endpoint = "scripted:echo"
[[model]]
name = "third"
endpoint = "scripted:markdown?words=9"
[[model]]
name = "fair"
endpoint = "scripted:judge?sharp=0&length=2&noise=0"
[[model]]
name = "first-liker"
endpoint = "scripted:judge?sharp=0&position=9&noise=0"
[[model]]
name = "talker"
endpoint = "scripted:judge?prose=1"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models and four questions."""
    (tmp_path / "models.toml").write_text(MODELS)
    write_questions(tmp_path / "questions.jsonl", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_questions(path: Path, count: int, **fields: Any) -> None:
    rows = [{"uid": f"q{n}", "prompt": f"What is {n} and {n}?", **fields} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def judge(*more: str, questions: str = "questions.jsonl", out: str = "run") -> int:
    return run(["judge", "run", questions, "--out", out, *more])


def test_every_model_meets_the_baseline_in_both_orders_on_every_question(here: Path) -> None:
    assert judge("--model", "good", "--model", "third", "--judge", "fair", "--baseline", "poor") == 0
    frame = read_verdicts(here / "run")
    assert frame.shape[0] == 4 * 2 * 2
    games = set(frame.select("question_id", "model_a", "model_b", "game").iter_rows())
    assert games == {
        (f"q{n}", *(("poor", name, 1) if game == 1 else (name, "poor", 2)))
        for n in range(4)
        for name in ("good", "third")
        for game in (1, 2)
    }
    longer = frame.filter(pl.col("game") == 1)["label"]
    assert set(longer) <= {"B>A", "B>>A"}, "the judge likes length, and the baseline only repeats the question"
    answers = read_answers(here / "run" / "answers")
    assert {(each.model, each.question_id) for each in answers} == {
        (name, f"q{n}") for name in ("good", "third", "poor") for n in range(4)
    }
    both = read_verdicts(here / "run" / "judgments" / "fair")
    columns = ["question_id", "model_a", "model_b", "game", "label", "text"]
    assert both.select(columns).sort(columns).equals(frame.select(columns).sort(columns))


def test_a_protocols_own_baseline_is_known_to_the_board(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "models.toml").write_text(MODELS.replace('"poor"', '"gpt-4-0314"'))
    assert judge("--model", "good", "--model", "third", "--judge", "fair", "--protocol", "arena-hard-v0.1") == 0
    capfd.readouterr()
    assert run(["judge", "board", "run", "--json", "-"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["verdicts"]["baseline"] == "gpt-4-0314"
    assert {line["model"]: line["score"] for line in said["models"]}["gpt-4-0314"] == 50.0


def test_a_jury_and_all_pairs(here: Path) -> None:
    names = ("good", "poor", "third")
    models = [word for name in names for word in ("--model", name)]
    assert judge(*models, "--judge", "fair", "--judge", "first-liker", "--schedule", "all") == 0
    frame = read_verdicts(here / "run")
    assert frame.shape[0] == 4 * 3 * 2 * 2
    liker = frame.filter(pl.col("judge") == "first-liker")
    assert set(liker["label"]) == {"A>>B"}
    assert not (here / "run" / "judgments").exists()


def test_the_active_schedule_keeps_its_budget_and_repeats_itself(here: Path) -> None:
    write_questions(here / "questions.jsonl", 20)
    models = [word for name in ("good", "poor", "third") for word in ("--model", name)]
    plan = (*models, "--judge", "fair", "--schedule", "active", "--budget", "30", "--rounds", "3")
    assert judge(*plan) == 0
    assert judge(*plan, out="again") == 0
    frame = read_verdicts(here / "run")
    assert frame.shape[0] == 30
    met = {(row["question_id"], frozenset((row["model_a"], row["model_b"]))) for row in frame.iter_rows(named=True)}
    assert len(met) == 30, "no pair meets twice on a question"
    assert made_files(here / "run") == made_files(here / "again")
    assert judge(*plan[:-4], "--budget", "2", out="small") == 2
    assert judge(*plan[:-4], "--budget", "61", out="big") == 2


def test_the_active_schedule_goes_on_where_no_verdict_can_be_read(here: Path) -> None:
    plan = ("--model", "good", "--model", "poor", "--model", "third", "--schedule", "active", "--rounds", "3")
    assert judge(*plan, "--judge", "talker") == 1, "nothing was judged"
    frame = read_verdicts(here / "run")
    assert frame["label"].null_count() == len(frame) == 8
    assert json.loads((here / "run" / "run.json").read_text())["metrics"]["games_unread"] == 8


def test_several_baselines_of_one_category_are_all_met(here: Path) -> None:
    (here / "models.toml").write_text(MODELS.replace('"poor"', '"po=or"'))
    write_questions(here / "questions.jsonl", 3, category="x")
    assert judge("--model", "good", "--judge", "fair", "--baseline", "x=po=or", "--baseline", "x=third") == 0
    frame = read_verdicts(here / "run")
    assert set(frame.filter(pl.col("game") == 1)["model_a"]) == {"po=or", "third"}
    assert judge("--model", "good", "--judge", "fair", "--baseline", "po=or", out="other") == 0
    assert set(read_verdicts(here / "other").filter(pl.col("game") == 1)["model_a"]) == {"po=or"}


def test_half_of_a_surrogate_pair_in_an_answer_is_mended(here: Path) -> None:
    rows = [
        {"question_id": f"q{n}", "model": name, "text": "cut \ud83d"} for n in range(4) for name in ("good", "poor")
    ]
    (here / "given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge("--answers", "given.jsonl", "--judge", "fair", "--baseline", "poor") == 0
    assert {each.turns for each in read_answers(here / "run" / "answers")} == {("cut \N{REPLACEMENT CHARACTER}",)}


def test_a_judge_called_dot_dot_stays_in_its_folder(here: Path) -> None:
    (here / "models.toml").write_text(MODELS.replace('"fair"', '".."').replace('"good"', '"metrics"'))
    assert judge("--model", "metrics", "--judge", "..", "--baseline", "poor") == 0
    assert (here / "run" / "judgments" / "%2E%2E" / "metrics.jsonl").is_file()
    assert "stage" in (here / "run" / "metrics.jsonl").read_text()


def test_a_run_of_grades_says_where_its_board_is(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "run").mkdir()
    (here / "run" / "grades.parquet").touch()
    assert run(["judge", "board", "run"]) == 2
    assert "this run graded answers one by one" in capfd.readouterr().err


def test_a_board_of_one_question_says_what_to_do(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_questions(here / "questions.jsonl", 1)
    assert judge("--model", "good", "--judge", "fair", "--baseline", "poor") == 0
    assert run(["judge", "board", "run"]) == 2
    assert "judge another question" in capfd.readouterr().err


def test_two_processes_do_not_work_in_one_folder(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = ("--model", "good", "--judge", "fair", "--baseline", "poor")
    assert judge(*plan) == 0
    code = (
        "import fcntl, os; lock = open('run/calls.run.lock', 'w'); fcntl.lockf(lock, fcntl.LOCK_EX); "
        "lock.write(str(os.getpid())); lock.flush(); print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=here
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    for again in ("--resume", "--overwrite"):
        assert judge(*plan, again) == 2
        assert f"another process (number {holder.pid}) is at work" in capfd.readouterr().err
    assert (here / "run" / "verdicts.parquet").is_file()
    holder.kill()
    holder.communicate()
    assert judge(*plan, "--resume") == 0, "the lock is gone with its process"


def test_the_active_schedule_begins_with_as_little_as_one_question(here: Path) -> None:
    plan = ("--model", "good", "--model", "poor", "--judge", "fair", "--schedule", "active", "--rounds", "4")
    assert judge(*plan) == 0
    assert len(read_verdicts(here / "run")) == 4


def test_what_cannot_be_read_is_asked_again_counted_and_never_guessed(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert judge("--model", "good", "--judge", "talker", "--baseline", "poor") == 1, "nothing was judged"
    frame = read_verdicts(here / "run")
    assert frame["label"].null_count() == len(frame) == 8
    assert set(frame["attempts"]) == {2}
    said = capfd.readouterr()
    assert "8 of 8 games have no verdict that can be read" in said.err
    card = json.loads((here / "run" / "run.json").read_text())
    assert card["state"] == "done"
    assert card["metrics"]["games_unread"] == 8
    assert run(["judge", "board", "run"]) == 2
    assert "none of which has a label" in capfd.readouterr().err


def test_answers_that_are_there_are_not_asked_for(here: Path) -> None:
    assert judge("--model", "good", "--model", "poor", out="answers") == 0
    assert not (here / "answers" / "verdicts.parquet").exists()
    (here / "models.toml").write_text(MODELS.replace("scripted:markdown?words=30", "scripted:fail"))
    assert judge("--answers", "answers/answers", "--judge", "fair", "--baseline", "poor") == 0
    assert len(read_verdicts(here / "run")) == 8
    card = json.loads((here / "run" / "run.json").read_text())
    assert card["metrics"]["calls_paid"] == 8
    assert {Path(each["path"]).name for each in card["inputs"]} == {"questions.jsonl", "answers"}


def test_answers_of_a_file_that_does_not_repeat_the_questions(here: Path) -> None:
    rows = [
        {"question_id": f"q{n}", "model_id": name, "choices": [{"turns": [{"content": f"{name} {n}", "token_len": 2}]}]}
        for n in range(4)
        for name in ("good", "poor")
    ]
    (here / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge("--answers", "old.jsonl", "--judge", "fair", "--baseline", "poor") == 0
    assert {each.asked for each in read_answers(here / "run" / "answers" / "good.jsonl")} == {
        (f"What is {n} and {n}?",) for n in range(4)
    }


def test_an_answer_that_is_missing_and_cannot_be_asked_for_is_counted_and_not_judged(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"question_id": f"q{n}", "model": name, "text": f"{name} {n}"}
        for n in range(4)
        for name in ("stranger", "poor")
        if (n, name) != (2, "stranger")
    ]
    (here / "given.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert judge("--answers", "given.jsonl", "--judge", "fair", "--baseline", "poor") == 0
    said = capfd.readouterr().err
    assert "1 answers did not come" in said
    assert "--resume asks again" not in said, "nobody can be asked"
    assert sorted(set(read_verdicts(here / "run")["question_id"])) == ["q0", "q1", "q3"]
    [failure] = [json.loads(line) for line in (here / "run" / "failures.jsonl").read_text().splitlines()]
    assert (failure["model"], failure["question_id"]) == ("stranger", "q2")
    assert judge("--answers", "given.jsonl", "--judge", "fair", "--baseline", "poor", "--dry-run", out="dry") == 0


def test_grading_one_answer_alone(here: Path) -> None:
    def grader(body: dict[str, Any], before: int) -> tuple[int, str]:
        shown = body["messages"][1]["content"]
        return 200, "Rating: [[11]]" if "What is 3" in shown and len(body["messages"]) == 2 else "Rating: [[7]]"

    with Till(grader, seconds=0.0) as till:
        (here / "models.toml").write_text(f'{MODELS}[[model]]\nname = "grader"\nendpoint = "{till.url}"\n')
        assert judge("--model", "good", "--model", "poor", "--judge", "grader", "--protocol", "grade") == 0
    grades = pl.read_parquet(here / "run" / "grades.parquet")
    assert set(grades["rating"]) == {7.0}
    assert dict(grades.group_by("question_id").agg(pl.col("attempts").max()).iter_rows())["q3"] == 2


def test_a_dry_run_writes_nothing_and_counts_what_is_known(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = ("--model", "good", "--judge", "fair", "--baseline", "poor")
    assert judge(*plan, "--dry-run", "--json", "-") == 0
    asked = {(each["model"], each["role"]): each for each in json.loads(capfd.readouterr().out)["asked"]}
    assert {key: each["calls"] for key, each in asked.items()} == {
        ("good", "answers"): 4, ("poor", "answers"): 4, ("fair", "verdicts"): 8,
    }  # fmt: skip
    assert asked["good", "answers"]["output_tokens"] == 400
    assert asked["good", "answers"]["cost"] == pytest.approx(400 * 3 / 1e6)
    assert not (here / "run").exists()
    assert judge(*plan) == 0
    capfd.readouterr()
    assert judge(*plan, "--dry-run", "--json", "-") == 0
    known = {each["role"]: each for each in json.loads(capfd.readouterr().out)["asked"]}
    assert known["answers"]["known"] == 4
    assert known["answers"]["cost"] == 0.0
    assert known["verdicts"]["known"] == known["verdicts"]["calls"] == 8


def test_a_run_is_the_same_run_or_another_folder(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = ("--model", "good", "--judge", "fair", "--baseline", "poor")
    assert judge(*plan) == 0
    before = made_files(here / "run")
    assert judge(*plan) == 2
    assert "give --resume to go on" in capfd.readouterr().err
    assert judge(*plan, "--resume", "--json", "-") == 0
    assert json.loads(capfd.readouterr().out)["calls_paid"] == 0
    assert made_files(here / "run") == before
    assert judge(*plan, "--seed", "1", "--resume") == 2
    assert "seed was 0, is 1" in capfd.readouterr().err
    write_questions(here / "questions.jsonl", 5)
    assert judge(*plan, "--resume") == 2
    assert "questions.jsonl has changed" in capfd.readouterr().err
    assert judge(*plan, "--overwrite", "--json", "-") == 0
    assert json.loads(capfd.readouterr().out)["calls_paid"] == 4, "what was paid for is kept: one new question"
    (here / "other").mkdir()
    (here / "other" / "thesis.txt").write_text("mine")
    assert judge(*plan, out="other") == 2
    assert (here / "other" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--model", "nobody", "--judge", "fair", "--baseline", "poor"), "found the model 'nobody'"),
        (("--model", "good", "--judge", "nobody", "--baseline", "poor"), "found the judge 'nobody'"),
        (("--model", "good", "--model", "third", "--judge", "fair"), "no baseline for the category"),
        (("--model", "good", "--judge", "fair", "--baseline", "good"), "expected two or more to compare"),
        (("--judge", "fair", "--baseline", "poor"), "found no models"),
        (
            ("--model", "good", "--judge", "fair", "--judge", "fair", "--baseline", "poor"),
            "--judge fair more than once",
        ),
        (
            ("--model", "good", "--model", "good", "--judge", "fair", "--baseline", "poor"),
            "--model good more than once",
        ),
        (("--model", "good", "--judge", "fair", "--baseline", "typo=poor"), "no question has the category 'typo'"),
        (("--answers", "one.jsonl", "--answers", "two.jsonl"), "two.jsonl: found a second answer of poor"),
        (("--model", "good", "--judge", "fair", "--baseline", "poor", "--protocol", "mine"), "found the protocol"),
        (
            ("--model", "good", "--judge", "fair", "--baseline", "poor", "--protocol", "reference"),
            "no reference answer",
        ),
        (
            ("--model", "good", "--judge", "fair", "--baseline", "poor", "--rubric", "none.txt"),
            "cannot read the rubric",
        ),
        (("--model", "good", "--judge", "fair", "--baseline", "poor", "--schedule", "some"), "schedule"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_paid(
    here: Path, capfd: pytest.CaptureFixture[str], wrong: tuple[str, ...], said: str
) -> None:
    for name in ("one", "two"):
        (here / f"{name}.jsonl").write_text(json.dumps({"question_id": "q1", "model": "poor", "text": name}) + "\n")
    assert judge(*wrong) == 2
    assert said in capfd.readouterr().err
    assert not (here / "run").exists()


def test_questions_without_ids_and_answers_to_other_questions_are_refused(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = ("--model", "good", "--judge", "fair", "--baseline", "poor")
    (here / "bare.jsonl").write_text('{"uid": "a", "prompt": "One?"}\n{"prompt": "Two?"}\n')
    assert judge(*plan, questions="bare.jsonl") == 2
    assert "bare.jsonl: row 2: found no id" in capfd.readouterr().err
    assert judge("--model", "good", out="answers") == 0
    (here / "others.jsonl").write_text('{"uid": "a", "prompt": "One?"}\n')
    assert judge(*plan, "--answers", "answers/answers", questions="others.jsonl") == 2
    assert "the answers are not to these 1 questions" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "refused"), (429, "rate_limited"), (500, "server_error"), (400, "refused")]
)
def test_an_endpoint_that_refuses_is_counted_and_can_be_resumed(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    monkeypatch.setattr("palaestra.gateway.asking.TRIES", 1)
    write_questions(here / "questions.jsonl", 1)
    works = []

    def answer(_: dict[str, Any], __: int) -> tuple[int, str]:
        return (200, "My verdict: [[B>A]]") if works else (status, "maximum context length, or whatever it was")

    with Till(answer, seconds=0.0) as till:
        (here / "models.toml").write_text(f'{MODELS}[[model]]\nname = "remote"\nendpoint = "{till.url}"\n')
        plan = ("--model", "good", "--judge", "remote", "--baseline", "poor", "--concurrency", "2")
        assert judge(*plan) == 1
        said = capfd.readouterr()
        assert "2 games got no reply" in said.err
        frame = read_verdicts(here / "run")
        assert all(error.startswith(kind) for error in frame["error"])
        works.append(True)
        assert judge(*plan, "--resume") == 0
    frame = read_verdicts(here / "run")
    assert frame["error"].null_count() == 2
    assert set(frame["label"]) == {"B>A"}


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_gives_the_same_files_and_pays_once(tmp_path: Path) -> None:
    with Till(served, seconds=0.1) as till:
        command = write_plan(tmp_path, till, 25)
        subprocess.run([*command, "--out", "whole"], cwd=tmp_path, check=True, capture_output=True)
        made = dict(till.asked)
        till.asked.clear()
        kills = run_killed([*command, "--out", "run"], tmp_path, till, kills=12, further=9)
        assert kills >= 5
        assert dict(till.asked) == made, "every request was made once"
    assert made_files(tmp_path / "run") == made_files(tmp_path / "whole")
