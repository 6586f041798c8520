"""MT-Bench: files of grades and of pairs, both ways; means with intervals clustered by question; published means."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy.stats import t as student

from palaestra.errors import InputError
from palaestra.judge.grade_board import GradeBoard, grade_boards
from palaestra.judge.mt_bench import read_grades, read_pairs, turn_of, write_grades, write_pairs
from palaestra.judge.verdict import Grade, Verdict, verdict_frame
from palaestra.schema import Prompt, to_table
from palaestra.store.prompts import read_prompts

SHARED = Path(__file__).parents[3] / "shared" / "data" / "routing" / "routellm"
published = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
names = st.text(min_size=1, max_size=6)
grades = st.builds(
    Grade,
    question_id=names | st.sampled_from(["81", "007"]),
    model=names,
    judge=names,
    protocol=st.builds("mt-bench/{}/{}".format, names, st.integers(1, 3)),
    rating=st.none() | st.floats(1, 10),
    text=st.none() | st.text(max_size=9),
    category=st.none() | names,
)


def place(one: Grade) -> tuple[object, ...]:
    return (one.question_id, one.model, one.judge, turn_of(one.protocol))


def grade(question: str, model: str = "m", judge: str = "j", turn: int = 1, rating: float | None = None) -> Grade:
    return Grade(question_id=question, model=model, judge=judge, protocol=f"mt-bench/single-v1/{turn}", rating=rating)


@given(st.lists(grades, min_size=1, max_size=5, unique_by=place))
@settings(max_examples=60, deadline=None)
def test_grades_are_read_back(wrote: list[Grade]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gpt-4_single.jsonl"
        write_grades(path, wrote)
        assert read_grades(path) == wrote


@st.composite
def pairs(draw: st.DrawFn) -> list[Verdict]:
    """What their files have a place for: both games, labels without strength."""
    question, turn = draw(st.sampled_from(["81", "q", "007"])), draw(st.integers(1, 2))
    common = {
        "question_id": question,
        "judge": draw(st.sampled_from(["gpt-4", "j"])),
        "protocol": f"mt-bench/{draw(st.sampled_from(['pair-v2', 'a/b']))}/{turn}",
        "category": draw(st.none() | names),
    }
    models = ("one", draw(st.sampled_from(["two", "three"])))
    found = []
    for game in (1, 2):
        label = draw(st.none() | st.sampled_from(["A>B", "A=B", "B>A"]))
        a, b = models[:: 1 if game == 1 else -1]
        preference = None if label is None else {"A>B": 1.0, "A=B": 0.5, "B>A": 0.0}[label]
        text = draw(st.none() | st.text(max_size=9))
        found.append(
            Verdict(**common, model_a=a, model_b=b, game=game, label=label, preference=preference, text=text)  # ty: ignore[invalid-argument-type]
        )
    return found


@given(
    st.lists(pairs(), min_size=1, max_size=4, unique_by=lambda two: (two[0].question_id, two[0].judge, two[0].protocol))
)
@settings(max_examples=60, deadline=None)
def test_pairs_are_read_back(wrote: list[list[Verdict]]) -> None:
    frame = verdict_frame([one for two in wrote for one in two])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gpt-4_pair.jsonl"
        write_pairs(path, frame)
        assert_frame_equal(read_pairs(path), frame)


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


PAIR = {
    "question_id": 81,
    "model_1": "alpaca-13b",
    "model_2": "gpt-4",
    "g1_winner": "model_2",
    "g2_winner": "model_1",
    "judge": ["gpt-4", "pair-v2"],
    "g1_user_prompt": "...",
    "g1_judgment": "[[B]]",
    "g2_judgment": "[[B]]",
    "turn": 1,
    "tstamp": 1687222839.3,
}
GRADE = {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"], "score": 8, "turn": 1, "judgment": "[[8]]"}


def test_a_judge_that_contradicts_itself_has_given_two_labels(tmp_path: Path) -> None:
    frame = read_pairs(lines(tmp_path / "p.jsonl", PAIR, PAIR | {"turn": 2, "g1_winner": "error", "g2_winner": "tie"}))
    assert frame.select("model_a", "model_b", "game", "label").rows() == [
        ("alpaca-13b", "gpt-4", 1, "B>A"),
        ("gpt-4", "alpaca-13b", 2, "B>A"),
        ("alpaca-13b", "gpt-4", 1, None),
        ("gpt-4", "alpaca-13b", 2, "A=B"),
    ]
    assert frame["protocol"].to_list() == ["mt-bench/pair-v2/1"] * 2 + ["mt-bench/pair-v2/2"] * 2
    assert frame["question_id"].unique().to_list() == ["81"]


def test_what_is_no_grade_is_counted_and_never_averaged_in(tmp_path: Path) -> None:
    said = [8, -1, 0, 11, None, 10.0]
    rows = [GRADE | {"question_id": 81 + number, "score": score} for number, score in enumerate(said)]
    (board,) = grade_boards(lines(tmp_path / "g.jsonl", *rows))
    (line,) = board.models
    assert line.overall is not None
    assert (line.overall.score, line.overall.grades, line.unparsed) == (9.0, 2, 4)
    assert "4 grades have no score from 1 to 10: counted, not averaged" in board.warnings
    (none,) = grade_boards([grade("1")])
    assert (none.models[0].overall, none.models[0].turns, none.models[0].unparsed) == (None, {}, 1)


def test_categories_come_from_the_questions_and_an_unknown_question_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "question.jsonl", {"question_id": 81, "category": "math", "turns": ["1+1?", "Again?"]})
    questions = read_prompts(path, identified=True)
    source = lines(tmp_path / "g.jsonl", GRADE, GRADE | {"turn": 2, "score": 6})
    (board,) = grade_boards(source, questions=questions)
    (line,) = board.models
    assert (board.turns, board.categories) == (("1", "2"), ("math",))
    assert (line.turns["1"].score, line.turns["2"].score, line.categories["math"].score) == (8.0, 6.0, 7.0)
    assert (line.overall and line.overall.lower, line.turns["1"].questions) == (None, 1)
    assert GradeBoard.from_dict(json.loads(json.dumps(board.to_dict()))) == board
    with pytest.raises(InputError, match=r"grades of 1 questions that are not among the 1 given \(81\)"):
        grade_boards(source, questions=[Prompt(id="82", turns=("?",))])


@given(st.lists(st.lists(st.floats(1, 10), min_size=1, max_size=3), min_size=2, max_size=12))
@settings(deadline=None)
def test_intervals_are_those_of_a_regression_on_nothing_clustered_by_question(scores: list[list[float]]) -> None:
    rows = [
        grade(str(number), turn=turn, rating=score)
        for number, turns in enumerate(scores)
        for turn, score in enumerate(turns, start=1)
    ]
    (board,) = grade_boards(rows)
    mean = board.models[0].overall
    assert mean is not None
    y = np.array([score for turns in scores for score in turns])
    groups = np.array([number for number, turns in enumerate(scores) for _ in turns])
    fitted = sm.OLS(y, np.ones((len(y), 1))).fit()
    robust = fitted.get_robustcov_results("cluster", groups=groups, use_correction=False)
    clusters = len(scores)
    se = float(robust.bse[0]) * np.sqrt(clusters / (clusters - 1))
    reach = student.ppf(0.975, clusters - 1) * se
    assert mean.score == pytest.approx(y.mean())
    assert mean.lower == pytest.approx(max(1, y.mean() - reach), abs=1e-6)
    assert mean.upper == pytest.approx(min(10, y.mean() + reach), abs=1e-6)


def test_a_run_that_graded_has_a_board_without_turns(tmp_path: Path) -> None:
    common = {"judge": "j", "protocol": "grade", "category": "math"}
    rows = [Grade(question_id=str(q), model="m", rating=r, **common) for q, r in enumerate((4.0, 8.0, None))]
    path = tmp_path / "grades.parquet"
    pq.write_table(to_table(Grade, rows), path)
    for source in (tmp_path, path):
        (board,) = grade_boards(source)
        (line,) = board.models
        assert (board.turns, board.categories, line.unparsed) == ((), ("math",), 1)
        assert line.overall is not None
        assert line.overall.score == 6.0
    path.write_bytes(b"none")
    with pytest.raises(InputError, match="expected the grades of a run"):
        grade_boards(tmp_path)


def test_models_with_other_questions_and_several_judges_are_told_apart() -> None:
    given = (("1", "a", 5), ("1", "b", 6), ("2", "b", 7))
    rows = [grade(question, model, rating=score) for question, model, score in given]
    board, other = grade_boards([*rows, grade("1", "a", "k", rating=1)])
    assert (board.judge, other.judge) == ("j", "k")
    assert [line.model for line in board.models] == ["b", "a"]
    assert board.warnings == ("models were graded on different questions: their means do not compare",)
    with pytest.raises(InputError, match="found no grades"):
        grade_boards([])


BAD = {
    "a word": (GRADE | {"turn": 2, "score": "good"}, "row 2: column score: found 'good', expected a number, or -1"),
    "no id": (GRADE | {"question_id": ""}, "row 2: found the question_id"),
    "no model": (GRADE | {"model": None}, "row 2: found the model None and the judge 'gpt-4', expected their names"),
    "no judge": (GRADE | {"judge": []}, "row 2: found the model 'm' and the judge None"),
    "true": (GRADE | {"turn": 2, "score": True}, "row 2: column score: found True, expected a number, or -1"),
    "half a turn": (GRADE | {"turn": 1.7}, r"row 2: column turn: found 1\.7, expected 1, 2"),
    "turn zero": (GRADE | {"turn": 0}, "row 2: column turn: found 0, expected 1, 2"),
    "twice": (GRADE, r"row 2: found a second grade by gpt-4 of m, question '81', turn 1; the first is .*row 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_grade_is_named(tmp_path: Path, case: str) -> None:
    row, said = BAD[case]
    with pytest.raises(InputError, match=said):
        read_grades(lines(tmp_path / "g.jsonl", GRADE, row))


BAD_PAIRS = {
    "a winner": (
        PAIR | {"g2_winner": "A"},
        "row 1: column g2_winner: found 'A', expected model_1, model_2, tie",
    ),
    "a list": (PAIR | {"g1_winner": ["x"]}, r"row 1: column g1_winner: found \['x'\], expected model_1, model_2, tie"),
    "itself": (PAIR | {"model_2": "alpaca-13b"}, "row 1: found 'alpaca-13b' against itself"),
    "no model": (PAIR | {"model_2": None}, "row 1: found the models 'alpaca-13b' and ''"),
    "no id": (PAIR | {"question_id": None}, "row 1: found the question_id None"),
}


@pytest.mark.parametrize("case", BAD_PAIRS)
def test_a_malformed_pair_is_named(tmp_path: Path, case: str) -> None:
    row, said = BAD_PAIRS[case]
    with pytest.raises(InputError, match=said):
        read_pairs(lines(tmp_path / "p.jsonl", row))


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", PAIR)
    frame = read_pairs(path)
    out = tmp_path / "out.jsonl"
    with pytest.raises(InputError, match="found only game 1 of alpaca-13b against gpt-4 on '81', expected both"):
        write_pairs(out, frame[:1])
    with pytest.raises(InputError, match="found game 1 of alpaca-13b against gpt-4 on '81' twice"):
        write_pairs(out, frame[[0, 0]])
    with pytest.raises(InputError, match="found no verdicts"):
        write_pairs(out, frame.clear())
    with pytest.raises(InputError, match="found no grades"):
        write_grades(out, [])
    lines(path, PAIR, PAIR)
    with pytest.raises(InputError, match=r"row 2: found game 1 .*row 1 has already"):
        read_pairs(path)
    assert not out.exists()


@published
def test_published_means_lie_within_the_intervals_of_another_run() -> None:
    """The Arena's table of 2024-04-18 has 9.32 and 8.30; RouteLLM had the same judge grade these two models anew."""
    questions = read_prompts(SHARED / "mt_bench_question.jsonl", identified=True)
    (board,) = grade_boards(SHARED / "mt_bench_judgements.csv", questions=questions)
    shown = {"gpt-4-1106-preview": 9.32, "mistralai/Mixtral-8x7B-Instruct-v0.1": 8.30}
    assert [line.model for line in board.models] == list(shown)
    assert len(board.categories) == 8
    for line in board.models:
        mean = line.overall
        assert mean is not None
        assert mean.lower is not None
        assert mean.upper is not None
        print(
            f"\n{line.model}: {mean.score:.2f} ({mean.lower:.2f} to {mean.upper:.2f}), published {shown[line.model]}; "
            f"turns {', '.join(f'{turn.score:.2f}' for turn in line.turns.values())}"
        )
        assert mean.lower < shown[line.model] < mean.upper
        assert (mean.grades, mean.questions) == (160, 80)
