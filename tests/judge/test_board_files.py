"""Boards of any origin, and who is who on two of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palaestra.errors import InputError
from palaestra.judge.board_files import ScoredBoard, read_board
from palaestra.judge.common_models import common_models, read_names

SHARED = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the published data is not beside this checkout")
MODELS = ["a", "b", "c"]
COVARIANCE = [[4.0, -2.0, -2.0], [-2.0, 4.0, -2.0], [-2.0, -2.0, 4.0]]


def leaderboard(**more: object) -> dict:
    lines = [
        {
            "model": model,
            "rating": 1000.0 - 10 * n,
            "lower": 990.0 - 10 * n,
            "upper": 1010.0 - 10 * n,
            "se": 5.0,
            "votes": 9,
        }
        for n, model in enumerate(MODELS)
    ]
    return {"schema": "palaestra.leaderboard/1", "models": lines, "settings": {"confidence": 0.9}} | more


def written(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["board.json", "board.json.gz"])
def test_a_leaderboard(tmp_path: Path, name: str) -> None:
    board = read_board(written(tmp_path / name, leaderboard()))
    assert board.models == ("a", "b", "c")
    assert board.score_M.tolist() == [1000, 990, 980]
    assert board.variance_M.tolist() == [25, 25, 25]
    assert board.noise == "independent normal"


def test_a_leaderboard_with_its_covariance(tmp_path: Path) -> None:
    board = read_board(written(tmp_path / "board.json", leaderboard(covariance=COVARIANCE)))
    noise_RM = board.noise_RM(100_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(noise_RM.T), COVARIANCE, atol=0.1)
    np.testing.assert_allclose(noise_RM.sum(axis=1), 0, atol=1e-6)
    np.testing.assert_array_equal(board.of([2, 0]).covariance_MM, [[4, -2], [-2, 4]])


def test_a_table_under_other_names(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "Key,Rating,rating_q025,rating_q975,avg_tokens\n007,2,1,3,9\nb,1,0.5,1.5,9\n")
    board = read_board(path)
    assert board.models == ("007", "b")
    assert board.lower_M.tolist() == [1, 0.5]
    np.testing.assert_allclose(np.sqrt(board.variance_M), [1 / 1.959964, 0.5 / 1.959964], rtol=1e-6)


def test_intervals_follow_from_standard_errors(tmp_path: Path) -> None:
    board = read_board(written(tmp_path / "t.csv", ",win_rate,standard_error\na,50,1\nb,40,2\n"), confidence=0.9)
    np.testing.assert_allclose(board.upper_M - board.score_M, [1.644854, 3.289707], rtol=1e-6)
    assert board.variance_M.tolist() == [1, 4]


def test_rounds_are_joint_unless_sorted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rounds_RM = rng.standard_normal((50, 1)) + np.array([[0.0, 1.0, 2.0]])
    frame = pl.DataFrame(rounds_RM, schema=MODELS)
    frame.with_row_index("").write_csv(tmp_path / "rounds.csv")
    board = read_board(tmp_path / "rounds.csv")
    assert board.joint
    assert board.noise == "joint rounds"
    noise_RM = board.noise_RM(20, rng)
    np.testing.assert_allclose(noise_RM[:, 0], noise_RM[:, 1], atol=1e-12)
    np.testing.assert_allclose(board.lower_M, np.percentile(rounds_RM, 2.5, axis=0))
    pl.DataFrame(np.sort(rounds_RM, axis=0), schema=MODELS).write_parquet(tmp_path / "sorted.parquet")
    board = read_board(tmp_path / "sorted.parquet")
    assert not board.joint
    noise_RM = board.noise_RM(2000, rng)
    assert abs(np.corrcoef(noise_RM[:, 0], noise_RM[:, 1])[0, 1]) < 0.1
    np.testing.assert_allclose(noise_RM.std(axis=0), rounds_RM.std(axis=0), rtol=0.1)


def test_bootstrap_statistics(tmp_path: Path) -> None:
    lines = [
        {"model": "a", "score": 2.0, "lower": 1.0, "upper": 3.0, "results": [2.5, 1.0, 3.0]},
        {"model": "anchor", "score": 1.0, "lower": 1.0, "upper": 1.0, "results": [1.0]},
    ]
    board = read_board(written(tmp_path / "b.jsonl.gz", "\n".join(map(json.dumps, lines))))
    assert not board.joint
    assert board.variance_M[1] == 0
    assert board.variance_M[0] == pytest.approx(np.var([2.5, 1.0, 3.0]))
    assert (board.noise_RM(5, np.random.default_rng(0))[:, 1] == 0).all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.json", {"boards": {"overall": {}, "coding": {}}}, "found the boards overall, coding, expected one"),
        ("b.json", {"models": []}, "found no list of models"),
        ("b.json", "{", "cannot read"),
        ("b.json", leaderboard(covariance=[[1.0]]), "found another covariance than 3 rows"),
        ("b.csv", "model,rank\na,1\n", "found the columns model, rank, expected a Leaderboard in JSON"),
        ("b.csv", "model,score\na,1\n", "expected lower and upper, or se, too"),
        (
            "b.csv",
            "model,score,lower,upper\na,1,0,2\nb,x,0,2\n",
            "row 2, column score: found 'x', expected a",
        ),
        ("b.csv", "model,score,lower,upper\na,1,0,2\nb,,0,2\n", "row 2, column score: found None"),
        ("b.csv", "model,score,lower,upper\na,nan,0,2\n", "row 1, column score: found 'nan'"),
        ("b.csv", "model,score,lower,upper\na,1,2,0\n", "row 1: found a lower end above the upper one"),
        ("b.csv", "model,score,lower,upper\na,1,0,2\na,1,0,2\n", "row 2, column model: found 'a' again"),
        ("b.csv", "model,score,lower,upper\n,1,0,2\n", "row 1, column model: found no name"),
        ("b.csv", "model,score,se\na,1,-1\n", "row 1: found a negative se or variance"),
        ("b.csv", "a,b\n1,2\n3,high\n", "row 2, column b: found 'high'"),
        (
            "b.jsonl",
            '{"model": "a", "score": 1, "lower": 0, "upper": 2, "results": []}',
            "row 1, column results: found []",
        ),
        ("b.jsonl", '{"model": "a", "score": 1, "results": [1]}', "expected lower, upper too"),
        ("b.txt", "", "expected a file of models"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, content: object, words: str) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(InputError) as error:
        read_board(path)
    assert str(path) in str(error.value) or path.name in str(error.value)
    assert words in str(error.value)


def test_names_in_both_directions() -> None:
    names = {"x": "a", "y": "b"}
    for ours, theirs in ((["x", "y", "c", "d"], ["c", "b", "a", "e"]), (["a", "b", "c", "d"], ["c", "y", "x", "e"])):
        common = common_models(ours, theirs, names)
        assert common.board == (0, 1, 2)
        assert common.reference == (2, 1, 0)
        assert common.only_board == ("d",)
        assert common.only_reference == ("e",)
        assert common.other_case == ()


def test_names_in_another_case_are_one_where_that_is_clear() -> None:
    common = common_models(["Yi-34B", "b", "c", "D", "d"], ["yi-34b", "b", "c", "d", "D"])
    assert common.reference == (0, 1, 2, 4, 3)
    assert common.other_case == (("Yi-34B", "yi-34b"),)
    with pytest.raises(InputError, match="found several models for b"):
        common_models(["a", "B", "b", "c"], ["a", "b", "c"])


def test_a_name_in_the_file_goes_before_the_same_name() -> None:
    common = common_models(["old", "new", "b", "c"], ["new", "b", "c"], {"old": "new"})
    assert common.board == (0, 2, 3)
    assert common.only_board == ("new",)
    only = common_models(["a", "b", "c", "d"], ["a", "b", "c", "e"], {"a": "a", "b": "b", "d": "e"}, only_named=True)
    assert only.board == (0, 1, 3)


def test_too_few_common_models() -> None:
    with pytest.raises(InputError, match="found 2 common models of 3 and 3, expected at least 3"):
        common_models(["a", "b", "x"], ["a", "b", "y"])


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', "{"])
def test_other_files_of_names(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="expected a JSON object of names"):
        read_names(written(tmp_path / "names.json", content))


@real
@pytest.mark.parametrize(
    ("name", "count", "joint"),
    [
        ("judgments/arena-hard/bootstrap_stats_20k_votes.jsonl.gz", 20, True),
        ("judgments/arena-hard/bootstrap_stats_arena_hard.jsonl.gz", 28, False),
        ("judgments/arena-hard/elo_20240329_full_bootstrap_df.csv", 76, True),
        ("judgments/arena-hard/elo_20240329_full_leaderboard_table_df.csv", 76, False),
        ("judgments/arena-hard/arena_hard_leaderboard_20240731.csv", 0, False),
        ("judgments/ko-arena-hard/leaderboard/20250420_ensemble/no_control.csv", 0, False),
        ("judgments/alpaca_eval/weighted_alpaca_eval_gpt4_turbo_leaderboard.csv", 0, False),
    ],
)
def test_real_boards(name: str, count: int, joint: bool) -> None:  # noqa: FBT001 - a table
    board = read_board(SHARED / name)
    assert isinstance(board, ScoredBoard)
    assert len(board.models) == count or (count == 0 and len(board.models) > 20)
    assert board.joint == joint
