"""Boards of verdicts: scores against counting by hand, published boards, strong verdicts, style, and who leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from palaestra.cli import run
from palaestra.errors import InputError
from palaestra.judge.verdict import Verdict, verdict_frame
from palaestra.judge.verdict_files import read_verdicts
from palaestra.judge.votes import votes_of
from palaestra.ranking import FitConfig
from palaestra.recipes.verdict_board import board_of_verdicts, pairs_that_say_most, scores_of

DATA = Path(__file__).parents[3] / "shared" / "data" / "judgments" / "ko-arena-hard"
BASELINE = "claude-3.7-sonnet"
published = pytest.mark.skipif(not DATA.is_dir(), reason="the published verdicts lie beside the project, not in it")


def verdict_rows(rows: list[tuple[str, str, str, int, str]]) -> pl.DataFrame:
    """Verdicts of (question, A, B, game, label)."""
    return verdict_frame(
        Verdict.model_validate(
            {"question_id": q, "judge": "j", "protocol": "p", "model_a": a, "model_b": b, "game": game, "label": label}
        )
        for q, a, b, game, label in rows
    )


def star(seed: int = 0, questions: int = 60, models: int = 4) -> pl.DataFrame:
    """Verdicts of some models against one baseline, in both orders."""
    rng = np.random.default_rng(seed)
    rows = []
    for question in range(questions):
        for model in range(1, models):
            for game in (1, 2):
                label = rng.choice(["A>>B", "A>B", "A=B", "B>A", "B>>A"], p=[0.1, 0.2, 0.2, 0.3, 0.2])
                a, b = ("m0", f"m{model}") if game == 1 else (f"m{model}", "m0")
                rows.append((f"q{question}", a, b, game, label))
    return verdict_rows(rows)


def share(verdicts: pl.DataFrame, model: str, strong: float) -> float:
    """The weighted share of its games that a model wins against the baseline, in percent."""
    won = total = 0.0
    for row in verdicts.iter_rows(named=True):
        if model in {row["model_a"], row["model_b"]}:
            weight = strong if ">>" in row["label"] else 1.0
            points = {"A": 1.0, "B": 0.0}.get(row["label"][0] if "=" not in row["label"] else "", 0.5)
            won += weight * (points if row["model_a"] == model else 1 - points)
            total += weight
    return 100 * won / total


@pytest.mark.parametrize("strong", [1.0, 3.0])
def test_with_one_baseline_the_score_is_the_share_of_games_won(strong: float) -> None:
    verdicts = star()
    found = board_of_verdicts(verdicts, baseline="m0", strong=strong)
    for model in ("m1", "m2", "m3"):
        assert found.scores[model].score == pytest.approx(share(verdicts, model, strong), abs=1e-8)
    assert found.scores["m0"].lower == found.scores["m0"].score == found.scores["m0"].upper == 50.0
    assert (found.single != {}) == (strong != 1)
    if strong != 1:
        assert found.single["m1"] == pytest.approx(share(verdicts, "m1", 1.0), abs=1e-8)


def test_a_model_more_moves_nobody_where_all_meet_one_baseline() -> None:
    found = board_of_verdicts(star(), baseline="m0", stability=True)
    assert set(found.moves) == {"m1", "m2", "m3"}
    assert max(moved for moved in found.moves.values() if moved is not None) < 1e-9
    rest = star().filter((pl.col("model_a") != "m3") & (pl.col("model_b") != "m3"))
    fewer = board_of_verdicts(rest, baseline="m0")
    for model in ("m1", "m2"):
        assert fewer.scores[model].score == pytest.approx(found.scores[model].score, abs=1e-9)
        assert fewer.scores[model].upper == pytest.approx(found.scores[model].upper, abs=1e-6)


def test_an_unbeaten_model_moves_neither_scores_nor_intervals_nor_ratings_of_others() -> None:
    rows = [(f"q{q}", "base", "n", 1, "A>B" if q % 2 else "B>A") for q in range(20)]
    alone = board_of_verdicts(verdict_rows(rows), baseline="base")
    rows += [(f"q{q}", "base", "m", 1, "B>A") for q in range(20)] + [("q0", "base", "poor", 1, "A>B")]
    found = board_of_verdicts(verdict_rows(rows), baseline="base", stability=True)
    assert found.scores["n"] == alone.scores["n"]
    assert found.scores["n"].score == pytest.approx(50.0, abs=1e-9)
    assert found.scores["m"].score == pytest.approx(100 * 20.5 / 21)
    assert found.scores["poor"].score == pytest.approx(25.0)
    assert found.scores["poor"].lower < 5, "one game says next to nothing"
    assert max(moved for moved in found.moves.values() if moved is not None) == 0.0
    joint = scores_of(found.board, "base")
    assert {name: one.score for name, one in joint.items()} == pytest.approx(
        {name: one.score for name, one in found.scores.items()}, abs=1e-6
    ), "the ratings say the same as the scores"


def test_a_model_without_which_there_is_no_board_has_no_move_and_a_sentence() -> None:
    pairs = [("hub", "base"), ("hub", "m"), ("hub", "n"), ("m", "n")]
    rows = [(f"q{q}", a, b, 1, "A>B" if q % 3 else "B>A") for q in range(12) for a, b in pairs]
    found = board_of_verdicts(verdict_rows(rows), baseline="base", stability=True)
    assert found.moves["hub"] is None
    assert found.moves["m"] is not None
    assert found.notes == (
        "how far hub moves the others is not known: without it there is no board of them: base met nobody else",
    )


def test_a_model_that_nothing_connects_with_the_baseline_has_no_score(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"q{q}", a, b, 1, "A>B" if q % 3 else "B>A") for q in range(12) for a, b in (("base", "m"), ("x", "y"))]
    found = board_of_verdicts(verdict_rows(rows), baseline="base", stability=True, strong=3)
    assert set(found.scores) == {"base", "m"}
    assert "x has no score: no verdicts connect it with base" in found.notes
    without = board_of_verdicts(verdict_rows(rows))
    assert without.scores["x"].score == pytest.approx(200 / 3), "against all others of its own component"
    verdict_rows(rows).write_parquet(tmp_path / "v.parquet")
    page = tmp_path / "b.html"
    assert run(["judge", "board", str(tmp_path / "v.parquet"), "--baseline", "base", "--html", str(page)]) == 0
    assert "X has no score" in page.read_text()
    capfd.readouterr()
    assert run(["judge", "board", str(tmp_path / "v.parquet"), "--baseline", "base", "--json", "-"]) == 0
    lines = {line["model"]: line["score"] for line in json.loads(capfd.readouterr().out)["models"]}
    assert lines["x"] is None


def test_strong_verdicts_counted_once_also_with_shares_of_votes() -> None:
    rows = [("q0", "b", "m", 1, "A>>B"), ("q1", "b", "m", 1, "B>A"), ("q2", "b", "m", 1, "B>A")]
    frame = verdict_rows(rows).with_columns(preference=pl.Series([0.7, 0.0, 0.0]))
    found = board_of_verdicts(frame, baseline="b", strong=3, by_preference=True)
    assert found.single["m"] == pytest.approx(100 * 2.3 / 3)
    assert found.scores["m"].score == pytest.approx(100 * 2.9 / 5)


def test_scores_against_all_others_agree_with_numerical_slopes() -> None:
    board = board_of_verdicts(star()).board
    scores = scores_of(board, None)
    rating = np.array([line.rating for line in board.models]) * np.log(10) / 400
    covariance = np.array(board.covariance) * (np.log(10) / 400) ** 2

    def mean_win_rate(theta: np.ndarray, at: int) -> float:
        others = [i for i in range(len(theta)) if i != at]
        return float(np.mean([1 / (1 + np.exp(theta[i] - theta[at])) for i in others]))

    for at, line in enumerate(board.models):
        step = 1e-6
        slope = [
            (mean_win_rate(rating + step * unit, at) - mean_win_rate(rating - step * unit, at)) / (2 * step)
            for unit in np.eye(len(rating))
        ]
        p, se = mean_win_rate(rating, at), float(np.sqrt(np.array(slope) @ covariance @ np.array(slope)))
        logit = np.log(p / (1 - p)) + 1.959964 * se / (p * (1 - p))
        assert scores[line.model].score == pytest.approx(100 * p, abs=1e-9)
        assert scores[line.model].upper == pytest.approx(100 / (1 + np.exp(-logit)), abs=1e-3)


def test_intervals_hold_the_truth_although_games_of_a_question_belong_together() -> None:
    truth, held, independent = 100 * 0.5, 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows = []
        for question in range(100):
            likes = rng.random() < 0.5  # both games of a question go the same way
            for game in (1, 2):
                a, b = ("m0", "m1") if game == 1 else ("m1", "m0")
                rows.append((f"q{question}", a, b, game, "A>B" if likes == (game == 1) else "B>A"))
        found = board_of_verdicts(verdict_rows(rows), baseline="m0").scores["m1"]
        held += found.lower <= truth <= found.upper
        alone = board_of_verdicts(
            verdict_rows(rows).with_columns(question_id=pl.int_range(pl.len()).cast(pl.String)), baseline="m0"
        ).scores["m1"]
        independent += alone.lower <= truth <= alone.upper
    print(f"coverage of 200: {held / 200:.3f} clustered, {independent / 200:.3f} with games taken for independent")
    assert held / 200 > 0.90
    assert independent / 200 < held / 200


def test_shares_of_votes_follow_the_judges_probabilities() -> None:
    rows = star().with_columns(preference=pl.lit(0.7), label=pl.lit("A>B"))
    votes = votes_of(rows, by_preference=True)
    assert votes.filter(pl.col("winner") == "model_a")["weight"].sum() == pytest.approx(0.7 * len(rows))
    assert votes["weight"].sum() == pytest.approx(len(rows))


def test_pairs_that_are_not_told_apart_are_drawn_more() -> None:
    rng, rows = np.random.default_rng(0), []
    strength = {"a": 0.0, "b": 0.1, "c": 3.0}
    for question in range(200):
        for one, two in (("a", "b"), ("a", "c"), ("b", "c")):
            p = 1 / (1 + np.exp(strength[two] - strength[one]))
            rows.append((f"q{question}", one, two, 1, "A>B" if rng.random() < p else "B>A"))
    chances = pairs_that_say_most(votes_of(verdict_rows(rows)), ["a", "b", "c"])
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances["a", "b"] > 3 * max(chances["a", "c"], chances["b", "c"])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"baseline": "nobody"}, "found the baseline 'nobody'"),
        ({"strong": 0.5}, "expected at least 1"),
        ({"config": FitConfig(style=("length",))}, "give --answers PATH"),
    ],
)
def test_what_does_not_fit_is_refused(how: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        board_of_verdicts(star(), **how)  # ty: ignore[invalid-argument-type]


@published
def test_the_published_board_is_reproduced() -> None:
    verdicts = read_verdicts(DATA / "ensemble_verdicts.csv.gz", baseline=BASELINE)
    found = board_of_verdicts(verdicts, baseline=BASELINE, strong=3)
    board = pl.read_csv(DATA / "leaderboard" / "20250420_ensemble" / "no_control.csv")
    gaps = [
        abs(round(found.scores[name].score, 2) - score) for name, score in board.select("model", "score").iter_rows()
    ]
    same = sum(gap < 0.0051 for gap in gaps)
    print(f"{same} of {len(gaps)} scores to the printed decimals, the largest gap {max(gaps):.2f}")
    assert same >= len(gaps) - 2
    assert max(gaps) < 0.3


@published
def test_the_published_style_control_is_as_close_as_the_datas_own_refit() -> None:
    counted = pl.read_csv(DATA / "answer_style_metadata.csv.gz").select(
        "question_id", "model", length="token_len", header=pl.sum_horizontal("h1", "h2", "h3", "h4", "h5", "h6"),
        list=pl.col("ordered") + pl.col("unordered"), bold=pl.col("bold_star") + pl.col("bold_under"),
    )  # fmt: skip
    known = counted["model"].unique().to_list()
    verdicts = read_verdicts(DATA / "ensemble_verdicts.csv.gz", baseline=BASELINE)
    verdicts = verdicts.filter(pl.col("model_a").is_in(known) & pl.col("model_b").is_in(known))
    config = FitConfig(style=("all",), style_definition="arena-hard-v0.1")
    found = board_of_verdicts(verdicts, config, baseline=BASELINE, strong=3, counts=counted)
    board = pl.read_csv(DATA / "leaderboard" / "20250420_ensemble" / "style_control.csv")
    pairs = [
        (found.scores[name].score, score)
        for name, score in board.select("model", "score").iter_rows()
        if name in found.scores
    ]
    gaps = [abs(ours - theirs) for ours, theirs in pairs]
    print(f"style control: mean gap {np.mean(gaps):.2f}, largest {max(gaps):.2f} of {len(gaps)} scores")
    assert max(gaps) < 2.1
    assert np.mean(gaps) < 0.7


@published
def test_the_command_prints_the_interfaces_object(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(DATA / "ensemble_verdicts.csv.gz")
    assert run(["judge", "board", path]) == 2
    assert "--baseline NAME" in capfd.readouterr().err
    assert run(["judge", "board", path, "--baseline", BASELINE, "--json", "-", "--html", str(tmp_path / "b.html")]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["schema"] == "palaestra.leaderboard/1"
    assert said["verdicts"]["unread"] == 1
    first = said["models"][0]
    assert first["score_lower"] < first["score"] < first["score_upper"]
    assert first["moves_others"] < 1e-9
    assert "Each model was left out once" in (tmp_path / "b.html").read_text()
