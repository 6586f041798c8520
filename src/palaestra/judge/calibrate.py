"""A judge calibrated against people: win rates and ratings by few votes and many verdicts, beside either alone.

A comparison is a question and two models. People's opinion on it is the mean of their votes, the judge's the mean of
its games. Those with votes are the labelled ones, all others have the judge alone; `ppi.py` and `ppi_ratings.py` say
what is made of them, and that **the labelled must be a random draw of all**. Ratings are in Elo, mean 1000.

`votes_worth` is the number of labelled comparisons that would give the same variance by people alone:
n (se people / se both)². Not here: whether people are right.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from palaestra.errors import InputError
from palaestra.judge.planted import without_planted
from palaestra.judge.ppi import Inference, judge_mean, people_mean, ppi_mean
from palaestra.judge.ppi_ratings import Comparisons, Strengths, people_strengths, ppi_strengths
from palaestra.judge.seen import PAIR, Seen, judges, opinions
from palaestra.schema.record import JsonObject, Record, Struct

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

ELO = 400 / np.log(10)
"""Elo points of one natural unit: 400 points are odds of 10."""
MEAN = 1000.0
_FEWEST = 2


class CalibrateConfig(BaseModel):
    """How a judge is calibrated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Of every interval."""
    cluster: Literal["question", "none"] = "question"
    """What may depend on each other: comparisons on one question, or none. With `none`, intervals are for these
    questions only."""


class Interval(Struct):
    """A figure and its interval."""

    value: float
    lower: float
    upper: float


class CalibratedModel(Struct):
    """One model three times over; None where people's votes alone do not determine it."""

    model: str
    labelled: int
    """Comparisons of it on which people voted."""
    rating_people: Interval | None
    rating_judge: Interval | None
    rating: Interval | None
    """By both: people's votes, with the judge's verdicts behind them."""
    win_rate_people: Interval | None
    win_rate_judge: Interval | None
    win_rate: Interval | None


class Calibration(Record):
    """What one judge adds to people's votes."""

    record_name = "calibration"

    judge: str
    models: tuple[CalibratedModel, ...]
    labelled: int
    others: int
    questions: int
    weight: float | None
    """The judge's in the ratings, 0 to 1."""
    votes_worth: float | None
    """How many labelled comparisons, by people alone, would make ratings as narrow."""
    width_ratio: float | None
    """Mean width of the ratings' intervals by both over that by people alone."""
    settings: JsonObject
    warnings: tuple[str, ...] = ()


def calibrate(
    verdicts: pl.DataFrame, people: pl.DataFrame, *, config: CalibrateConfig | None = None
) -> list[Calibration]:
    """Calibrate each judge of a frame of verdicts.

    Args:
        verdicts: the columns of `Verdict`.
        people: votes: question_id, model_a, model_b, points.
        config: the settings.

    Raises:
        InputError: a judge and people share fewer than two comparisons (or questions), or people voted on all.
    """
    found = [seen for one in judges(verdicts) if (seen := without_planted(one)) is not None]
    if not found:
        raise InputError("found verdicts on planted faults alone, expected pairs of models")
    return [_of_judge(seen, opinions(people), config or CalibrateConfig()) for seen in found]


def _of_judge(seen: Seen, crowd: pl.DataFrame, config: CalibrateConfig) -> Calibration:
    both = opinions(seen.frame).join(crowd.select(*PAIR, people="score"), on=PAIR, how="left", maintain_order="left")
    labelled, others = both.filter(pl.col("people").is_not_null()), both.filter(pl.col("people").is_null())
    clustered = config.cluster == "question"
    units = labelled["question_id"].n_unique() if clustered else labelled.height
    if units < _FEWEST or others.is_empty():
        raise InputError(
            f"{seen.judge}: found {labelled.height} comparisons with votes on {labelled['question_id'].n_unique()} "
            f"questions and {others.height} without, expected votes on at least two"
            f"{' questions' if clustered else ''}, and verdicts without votes"
        )
    sample = _Sample(both, labelled, others, clustered=clustered)
    ratings = sample.ratings(config.confidence)
    models = [sample.model(m, ratings, config.confidence) for m in range(len(sample.names))]
    models.sort(key=lambda line: (-_height(line), line.model))
    people, _, together = ratings
    worth = ratio = None
    if people is not None and together is not None and min(people.half_M.mean(), together.half_M.mean()) > 0:
        gain = float(np.trace(people.covariance_MM) / np.trace(together.covariance_MM))
        worth, ratio = labelled.height * gain, float(together.half_M.mean() / people.half_M.mean())
    return Calibration(
        judge=seen.judge,
        models=tuple(models),
        labelled=labelled.height,
        others=others.height,
        questions=both["question_id"].n_unique(),
        weight=None if together is None else together.weight,
        votes_worth=worth,
        width_ratio=ratio,
        settings=config.model_dump(mode="json"),
        warnings=(*_unmatched(seen, both, crowd), *_warnings(seen, models, ratings)),
    )


def _unmatched(seen: Seen, both: pl.DataFrame, crowd: pl.DataFrame) -> list[str]:
    """What to say of votes on comparisons that the judge has not seen."""
    lost = crowd.join(both.select(PAIR), on=PAIR, how="anti")
    if lost.is_empty():
        return []
    first = lost.row(0, named=True)
    said = (
        f"{seen.judge}: people's votes on {lost.height} of {crowd.height} comparisons match no verdict, the first on "
        f"question {first['question_id']!r} with {first['first']!r} and {first['second']!r}: they play no part; are "
        "ids and names spelled alike?"
    )
    return [said]


class _Sample:
    """The comparisons of one judge as numbers."""

    def __init__(self, both: pl.DataFrame, labelled: pl.DataFrame, others: pl.DataFrame, *, clustered: bool) -> None:
        self.names = sorted({*both["first"].to_list(), *both["second"].to_list()})
        self._place = {name: number for number, name in enumerate(self.names)}
        self._question = {name: number for number, name in enumerate(both["question_id"].unique().sort())}
        self._labelled, self._others = self._coded(labelled), self._coded(others)
        self._people_n = labelled["people"].to_numpy()
        self._clusters = (self._questions(labelled), self._questions(others)) if clustered else None

    def ratings(self, confidence: float) -> tuple[Strengths | None, Strengths | None, Strengths | None]:
        """By people, by the judge, by both."""
        own, all_of = self._labelled, self._clusters
        size, labelled = len(self.names), own.said(self._people_n)
        whole = own.and_(self._others)
        return (
            people_strengths(size, labelled, confidence, None if all_of is None else all_of[0]),
            people_strengths(size, whole, confidence, None if all_of is None else np.concatenate(all_of)),
            ppi_strengths(size, labelled, own.points_B, self._others, confidence, clusters=all_of),
        )

    def model(
        self, m: int, ratings: tuple[Strengths | None, Strengths | None, Strengths | None], confidence: float
    ) -> CalibratedModel:
        """One model's line."""
        here, there = self._of(self._labelled, m), self._of(self._others, m)
        people_n = _seen_from(m, self._labelled, here, self._people_n)
        judge_n = _seen_from(m, self._labelled, here, self._labelled.points_B)
        judge_o = _seen_from(m, self._others, there, self._others.points_B)
        at_n, at_o = (None, None) if self._clusters is None else (self._clusters[0][here], self._clusters[1][there])
        at_all = None if at_n is None or at_o is None else np.concatenate([at_n, at_o])
        enough = (len(people_n) if at_n is None else len(np.unique(at_n))) >= _FEWEST
        all_judged = np.concatenate([judge_n, judge_o])
        judged_enough = (len(all_judged) if at_all is None else len(np.unique(at_all))) >= _FEWEST
        pair = None if at_n is None or at_o is None else (at_n, at_o)
        both = ppi_mean(people_n, judge_n, judge_o, confidence, clusters=pair) if enough and len(judge_o) else None
        return CalibratedModel(
            model=self.names[m],
            labelled=len(people_n),
            rating_people=_elo(ratings[0], m),
            rating_judge=_elo(ratings[1], m),
            rating=_elo(ratings[2], m),
            win_rate_people=_interval(people_mean(people_n, confidence, at_n) if enough else None),
            win_rate_judge=_interval(judge_mean(all_judged, confidence, at_all) if judged_enough else None),
            win_rate=_interval(both),
        )

    def _coded(self, frame: pl.DataFrame) -> Comparisons:
        sides = [frame[side].replace_strict(self._place, return_dtype=pl.Int64).to_numpy() for side in PAIR[1:]]
        return Comparisons(sides[0], sides[1], frame["score"].to_numpy())

    def _questions(self, frame: pl.DataFrame) -> Integers:
        return frame["question_id"].replace_strict(self._question, return_dtype=pl.Int64).to_numpy()

    @staticmethod
    def _of(sample: Comparisons, m: int) -> Integers:
        return np.flatnonzero((sample.first_B == m) | (sample.second_B == m))


def _seen_from(m: int, sample: Comparisons, here: Integers, points_B: Floats) -> Floats:
    """A model's points in its comparisons."""
    return np.where(sample.first_B[here] == m, points_B[here], 1 - points_B[here])


def _elo(found: Strengths | None, m: int) -> Interval | None:
    if found is None:
        return None
    value, half = MEAN + ELO * float(found.theta_M[m]), ELO * float(found.half_M[m])
    return Interval(value=value, lower=value - half, upper=value + half)


def _interval(found: Inference | None) -> Interval | None:
    """A win rate, its interval cut at 0 and 1."""
    if found is None:
        return None
    return Interval(value=found.value, lower=max(found.lower, 0.0), upper=min(found.upper, 1.0))


def _height(line: CalibratedModel) -> float:
    rating = line.rating or line.rating_judge or line.win_rate_judge
    return rating.value if rating is not None else -np.inf


def _warnings(
    seen: Seen, models: list[CalibratedModel], ratings: tuple[Strengths | None, Strengths | None, Strengths | None]
) -> tuple[str, ...]:
    said = []
    for found, who in zip(
        ratings, ("people's votes alone", "the judge's verdicts alone", "both together"), strict=True
    ):
        if found is None:
            said.append(f"{seen.judge}: {who} leave some rating without bound: a model won or lost all, or is apart")
    bare = [line.model for line in models if not line.labelled]
    if bare:
        said.append(
            f"{seen.judge}: {len(bare)} models have no vote, the first is {bare[0]!r}: the labelled are no random draw "
            "of all comparisons, or too few"
        )
    return tuple(said)
