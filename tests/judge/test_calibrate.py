"""Calibration: three ratings of each model, what the judge is worth, and what is said where votes do not reach."""

from __future__ import annotations

import json

import polars as pl
import pytest
from judge_worlds import answers_of, judged, votes_of

from palaestra.errors import InputError
from palaestra.gateway.scripted_judge import JudgeScript
from palaestra.judge.calibrate import CalibrateConfig, Calibration, calibrate

ANSWERS = answers_of(5, 80, 0, spread=0.3)
VERDICTS = judged(ANSWERS, JudgeScript(own=2.0, noise=0.6), judge="j")
SOME = ANSWERS["question_id"].unique(maintain_order=True).to_list()


def people(questions: int) -> pl.DataFrame:
    return votes_of(
        judged(ANSWERS.filter(pl.col("question_id").is_in(SOME[:questions])), JudgeScript(noise=0.7), seed=3)
    )


def test_ratings_and_win_rates_come_three_times() -> None:
    (found,) = calibrate(VERDICTS, people(40))
    assert (found.labelled, found.others, found.questions) == (400, 400, 80)
    assert [line.model for line in found.models] == ["m4", "m3", "m2", "m1", "m0"]
    for three in ("rating_people", "rating_judge", "rating"):
        values = [getattr(line, three) for line in found.models]
        assert sum(value.value for value in values) == pytest.approx(5000)
        assert all(value.lower < value.value < value.upper for value in values)
    assert all(0 < line.win_rate.value < 1 for line in found.models if line.win_rate is not None)
    assert found.weight is not None
    assert found.width_ratio is not None
    assert 0 < found.weight < 1
    assert found.width_ratio < 1
    assert found.votes_worth is not None
    assert found.votes_worth > found.labelled
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_comparisons_of_one_question_may_be_taken_as_independent() -> None:
    (one,), (other,) = (
        calibrate(VERDICTS, people(40), config=CalibrateConfig(cluster=c)) for c in ("question", "none")
    )
    assert one.models[0].rating_people is not None
    assert other.models[0].rating_people is not None
    assert one.models[0].rating_people.value == pytest.approx(other.models[0].rating_people.value)
    assert one.models[0].rating_people.upper != other.models[0].rating_people.upper


def test_votes_that_do_not_bound_the_ratings_are_told_of() -> None:
    votes = people(6).filter((pl.col("model_a") != "m2") & (pl.col("model_b") != "m2"))
    (found,) = calibrate(VERDICTS, votes)
    assert all(line.rating_people is None for line in found.models)
    assert found.votes_worth is None
    line = next(line for line in found.models if line.model == "m2")
    assert (line.labelled, line.win_rate_people, line.win_rate) == (0, None, None)
    assert any("without bound" in warning for warning in found.warnings)
    assert any("'m2'" in warning and "random draw" in warning for warning in found.warnings)


def test_votes_that_match_no_verdict_are_counted() -> None:
    (found,) = calibrate(VERDICTS, people(40))
    assert not any("match no verdict" in warning for warning in found.warnings)
    votes = people(40)
    (found,) = calibrate(VERDICTS, pl.concat([votes, votes.with_columns(question_id="?" + pl.col("question_id"))]))
    (said,) = [warning for warning in found.warnings if "match no verdict" in warning]
    assert f"{found.labelled} of {2 * found.labelled} comparisons" in said


@pytest.mark.parametrize(
    ("votes", "said"),
    [
        (people(1), "expected votes on at least two questions"),
        (people(80), "0 without"),
        (people(3).with_columns(question_id=pl.lit("elsewhere")), "found 0 comparisons with votes"),
    ],
)
def test_votes_that_cannot_calibrate_are_refused(votes: pl.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match=said):
        calibrate(VERDICTS, votes)


def test_votes_that_never_differ_are_worth_no_number() -> None:
    (found,) = calibrate(VERDICTS, people(10).with_columns(points=pl.lit(0.5)))
    assert found.votes_worth is None
    assert found.width_ratio is None
    assert all(line.win_rate_people is not None and line.win_rate_people.value == 0.5 for line in found.models)
