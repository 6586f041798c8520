"""Weights of votes by their laws, by a plain loop, and by a world in which they are needed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.ranking.votes import OUTCOMES, Votes, code_votes
from palaestra.ranking.weights import Weighting, weigh, within_daily_cap

Floats = NDArray[np.float64]
NAMES = list("abcde")
START = datetime(2025, 3, 1, tzinfo=UTC)

pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] != pair[1])
meetings = st.lists(pairs, min_size=1, max_size=80)


def coded(met: list[tuple[str, str]], **columns: Any) -> Votes:
    names = pl.Enum(NAMES)
    data = {
        "model_a": pl.Series([a for a, _ in met], dtype=names),
        "model_b": pl.Series([b for _, b in met], dtype=names),
    }
    winner = pl.Series(["model_a"] * len(met), dtype=pl.Enum(OUTCOMES))
    return code_votes(pl.DataFrame(data | {"winner": winner} | columns))


def times(days: list[float | None]) -> pl.Series:
    return pl.Series(
        [None if day is None else START + timedelta(days=day) for day in days], dtype=pl.Datetime("us", "UTC")
    )


def weights(votes: Votes, **rules: Any) -> Floats:
    found = weigh(votes, Weighting(**rules)).weight_B
    assert found is not None
    return found


def by_pair(met: list[tuple[str, str]], weight_B: Floats, count_B: Floats) -> dict[frozenset[str], float]:
    total: Counter[frozenset[str]] = Counter()
    for pair, weight, count in zip(met, weight_B, count_B, strict=True):
        total[frozenset(pair)] += weight * count
    return dict(total)


def test_without_rules_nothing_is_weighed_left_out_or_said() -> None:
    found = weigh(coded([("a", "b")]), Weighting())
    assert (found.keep_B, found.weight_B, found.notes) == (None, None, ())


@settings(deadline=None)
@given(meetings, st.data())
def test_equal_weights_make_each_pair_count_the_same_whichever_side(
    met: list[tuple[str, str]], data: st.DataObject
) -> None:
    count_B = data.draw(st.lists(st.integers(1, 9), min_size=len(met), max_size=len(met)))
    votes = coded(met, weight=pl.Series(count_B, dtype=pl.Float64))
    total = list(by_pair(met, weights(votes, pair_weights="equal"), votes.count_B).values())
    np.testing.assert_allclose(total, total[0])


@settings(deadline=None)
@given(meetings, st.integers(1, 20))
def test_capped_weights_are_one_over_the_count_or_over_the_least(met: list[tuple[str, str]], least: int) -> None:
    found_B = weights(coded(met), pair_weights="capped", least_pair_count=least)
    met_often = Counter(map(frozenset, met))
    expected_B = np.array([1 / max(met_often[frozenset(pair)], least) for pair in met])
    np.testing.assert_allclose(found_B, expected_B / expected_B.mean())


@settings(deadline=None)
@given(st.lists(pairs, min_size=1, max_size=50))
def test_capped_weights_are_all_one_where_no_pair_met_more_than_fifty_times(met: list[tuple[str, str]]) -> None:
    np.testing.assert_allclose(weights(coded(met), pair_weights="capped"), 1.0)


def test_capped_weights_of_a_pair_that_met_two_hundred_times() -> None:
    weight_B = weights(coded([("a", "b")] * 200 + [("b", "c")] * 10), pair_weights="capped")
    assert weight_B[-1] / weight_B[0] == pytest.approx(200 / 50)


@settings(deadline=None)
@given(meetings, st.data())
def test_weights_do_not_hang_on_the_order_of_rows_and_have_mean_one(
    met: list[tuple[str, str]], data: st.DataObject
) -> None:
    size = len(met)
    count_B = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    days = data.draw(st.lists(st.floats(0, 90), min_size=size, max_size=size))
    propensity = data.draw(st.lists(st.floats(0.01, 1), min_size=size, max_size=size))
    order = data.draw(st.permutations(range(size)))
    votes = coded(met, weight=pl.Series(count_B, dtype=pl.Float64), tstamp=times([*days]), propensity=propensity)
    turned = code_votes(votes.frame[list(order)])
    for rules in (
        {"pair_weights": "capped", "least_pair_count": 3},
        {"half_life_days": 7},
        {"inverse_propensity": True},
    ):
        weight_B = weights(votes, **rules)
        np.testing.assert_allclose(weights(turned, **rules), weight_B[list(order)])
        assert np.average(weight_B, weights=votes.count_B) == pytest.approx(1)


def test_a_row_that_stands_for_three_votes_weighs_as_three_rows() -> None:
    one = coded([("a", "b"), ("b", "c")], weight=pl.Series([3.0, 1.0]))
    three = coded([("a", "b")] * 3 + [("b", "c")])
    for rule in ("equal", "capped"):
        split_B = weights(three, pair_weights=rule, least_pair_count=2)
        np.testing.assert_allclose(weights(one, pair_weights=rule, least_pair_count=2), split_B[[0, 3]])


@settings(deadline=None)
@given(st.floats(0.5, 60), st.floats(0, 400))
def test_the_weight_halves_with_each_half_life(half_life: float, day: float) -> None:
    votes = coded([("a", "b")] * 3, tstamp=times([day + half_life, day, day - half_life]))
    now, before, long_before = weights(votes, half_life_days=half_life)
    assert before / now == pytest.approx(0.5)
    assert long_before / now == pytest.approx(0.25)


def test_rules_multiply() -> None:
    met = [("a", "b")] * 3 + [("b", "c")]
    votes = coded(met, tstamp=times([0, 1, 2, 3]), propensity=pl.Series([0.1, 0.2, 0.4, 0.8]))
    rules: list[dict[str, Any]] = [{"pair_weights": "equal"}, {"half_life_days": 2}, {"inverse_propensity": True}]
    product_B = np.prod([weights(votes, **rule) for rule in rules], axis=0)
    together = weigh(votes, Weighting(pair_weights="equal", half_life_days=2, inverse_propensity=True))
    assert together.weight_B is not None
    np.testing.assert_allclose(together.weight_B, product_B / product_B.mean())
    assert any("twice over" in note for note in together.notes)


def bradley_terry(wins_MM: Floats) -> Floats:
    """The maximum of sum_ij wins_ij log p_ij, by the iteration of Newman (2023)."""
    pi_M = np.ones(len(wins_MM))
    for _ in range(2000):
        sum_MM = pi_M[:, None] + pi_M
        pi_M = (wins_MM * pi_M / sum_MM).sum(axis=1) / (wins_MM.T / sum_MM).sum(axis=1)
        pi_M /= np.exp(np.log(pi_M).mean())
    return np.log(pi_M)


def test_inverse_propensities_undo_uneven_pairing_where_no_strengths_explain_all_pairs() -> None:
    """With intransitive models the board depends on who met whom; the target is the board of evenly drawn pairs."""
    random = np.random.default_rng(4)
    first, second = np.triu_indices(len(NAMES), 1)
    chance_P = random.uniform(0.1, 0.9, len(first))
    propensity_P = random.dirichlet(np.full(len(first), 0.7)) * 0.9 + 0.1 / len(first)
    even_MM = np.zeros((len(NAMES), len(NAMES)))
    even_MM[first, second], even_MM[second, first] = chance_P, 1 - chance_P
    target_M = bradley_terry(even_MM)
    distances = {"plain": [], "weighed": []}
    for _ in range(20):
        drawn = random.choice(len(first), 4000, p=propensity_P)
        won = random.random(4000) < chance_P[drawn]
        met = [(NAMES[first[pair]], NAMES[second[pair]]) for pair in drawn]
        weight_B = weights(coded(met, propensity=propensity_P[drawn]), inverse_propensity=True)
        for name, worth_B in (("plain", np.ones(4000)), ("weighed", weight_B)):
            wins_MM = np.zeros_like(even_MM)
            np.add.at(
                wins_MM,
                (np.where(won, first[drawn], second[drawn]), np.where(won, second[drawn], first[drawn])),
                worth_B,
            )
            distances[name].append(bradley_terry(wins_MM) - target_M)
    bias = {name: np.mean(found, axis=0) for name, found in distances.items()}
    error_M = np.std(distances["weighed"], axis=0) / np.sqrt(20)
    print(
        f"\nbias of log strengths: plain {bias['plain'].round(3)}, "
        f"weighed {bias['weighed'].round(3)} +- {error_M.round(3)}"
    )
    assert np.abs(bias["plain"]).max() > 0.3
    assert (np.abs(bias["weighed"]) < 4 * error_M + 0.01).all()


def first_of_each_day(rows: list[tuple[str | None, float | None]], most: int, among: list[bool]) -> list[bool]:
    kept = list(among)
    seen: Counter[tuple[str, int]] = Counter()
    known = [
        (day, row) for row, (voter, day) in enumerate(rows) if among[row] and voter is not None and day is not None
    ]
    for day, row in sorted(known):
        voter = rows[row][0]
        assert voter is not None
        seen[voter, int(day)] += 1
        kept[row] = seen[voter, int(day)] <= most
    return kept


quarters = st.none() | st.integers(0, 12).map(lambda quarter: quarter / 4)


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.tuples(st.none() | st.sampled_from("uvw"), quarters, st.booleans()), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_the_daily_cap_against_a_plain_loop(rows: list[tuple[str | None, float | None, bool]], most: int) -> None:
    voters, days, among = (list(column) for column in zip(*rows, strict=True))
    frame = pl.DataFrame({"voter": pl.Series(voters, dtype=pl.String), "tstamp": times(days)})
    expected = first_of_each_day([(voter, day) for voter, day, _ in rows], most, among)
    assert within_daily_cap(frame, most, np.array(among)).tolist() == expected
    assert within_daily_cap(frame, most).tolist() == first_of_each_day(
        [(voter, day) for voter, day, _ in rows], most, [True] * len(rows)
    )


def test_votes_of_one_moment_count_in_the_order_of_rows() -> None:
    rows: list[tuple[str | None, float | None]] = [("v", 0.5 * (row % 2)) for row in range(2000)]
    frame = pl.DataFrame({"voter": ["v"] * 2000, "tstamp": times([day for _, day in rows])})
    assert within_daily_cap(frame, 300).tolist() == first_of_each_day(rows, 300, [True] * 2000)


def test_a_day_ends_at_midnight_utc() -> None:
    frame = pl.DataFrame({"voter": ["v"] * 3, "tstamp": times([0.0, 0.999, 1.0])})
    assert within_daily_cap(frame, 1).tolist() == [True, False, True]


def test_pairs_are_counted_and_ages_taken_among_what_is_kept() -> None:
    met = [("a", "b")] * 4 + [("b", "c")]
    tags = [{"high_freq": True, "sampled": False}] * 3 + [{"high_freq": True, "sampled": True}, None]
    counts = pl.Series([1.0, 1.0, 1.0, 3.0, 1.0])
    votes = coded(met, dedup_tag=tags, tstamp=times([9, 9, 9, 1, 0]), weight=counts)
    found = weigh(votes, Weighting(dedup=True, pair_weights="equal"))
    assert found.keep_B is not None
    assert found.keep_B.tolist() == [False, False, False, True, True]
    assert found.weight_B is not None
    np.testing.assert_allclose(found.weight_B, [2 / 3, 2])
    assert found.notes[0] == "Left out by dedup: 3 rows on frequent prompts."
    assert found.notes[1].startswith("The weights leave the worth of 3 of 4 votes (Kish)")
    decayed = weigh(votes, Weighting(dedup=True, half_life_days=1)).weight_B
    assert decayed is not None
    np.testing.assert_allclose(decayed, np.array([1, 0.5]) / 0.875)


def test_the_cap_counts_what_dedup_has_kept_and_says_what_it_could_not_judge() -> None:
    tags = [{"high_freq": True, "sampled": False}] + [{"high_freq": False, "sampled": False}] * 4
    votes = coded(
        [("a", "b")] * 5, dedup_tag=tags, tstamp=times([0, 0.1, 0.2, 0.3, None]), voter=["v", "v", "v", None, "v"]
    )
    found = weigh(votes, Weighting(dedup=True, daily_votes_per_voter=1))
    assert found.keep_B is not None
    assert found.keep_B.tolist() == [False, True, False, True, True]
    assert found.weight_B is None
    assert found.notes == (
        "Left out by dedup: 1 row on frequent prompts.",
        "Left out by the daily cap: 1 row above 1 of a voter on a day (UTC).",
        "Kept whatever the daily cap: 2 rows without a voter or a time.",
    )


def test_the_effective_number_and_the_heaviest_vote_are_told() -> None:
    votes = coded([("a", "b")] * 100, propensity=pl.Series([0.5] * 99 + [0.005]))
    (note,) = weigh(votes, Weighting(inverse_propensity=True)).notes
    weight_B = np.array([2.0] * 99 + [200.0])
    effective, share = weight_B.sum() ** 2 / (weight_B**2).sum(), 200 / weight_B.sum()
    assert f"worth of {effective:.0f} of 100 votes" in note
    assert f"as much as {100 * share:.1f} average ones and has {share:.2%} of all weight" in note


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            {"inverse_propensity": True},
            "inverse propensity needs the column propensity; found model_a, model_b, winner",
        ),
        ({"half_life_days": 3}, "a half-life needs the column tstamp"),
        ({"dedup": True}, "dedup needs the column dedup_tag with high_freq"),
        ({"daily_votes_per_voter": 3}, "a daily cap needs the column"),
    ],
)
def test_missing_columns_are_named(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        weigh(coded([("a", "b")]), Weighting(**rules))


def test_gaps_are_counted_but_only_among_the_kept() -> None:
    tags = [{"high_freq": gap, "sampled": False} for gap in (True, True, False)]
    votes = coded([("a", "b")] * 3, propensity=pl.Series([None, None, 0.5]), dedup_tag=tags)
    with pytest.raises(InputError, match="inverse propensity needs propensity in every row; found 2 of 3 rows without"):
        weigh(votes, Weighting(inverse_propensity=True))
    assert weights(votes, inverse_propensity=True, dedup=True).tolist() == [1.0]


def test_nothing_kept_is_no_error() -> None:
    votes = coded([("a", "b")], dedup_tag=[{"high_freq": True, "sampled": False}], tstamp=times([0]))
    found = weigh(votes, Weighting(dedup=True, half_life_days=1, pair_weights="equal"))
    assert found.keep_B is not None
    assert not found.keep_B.any()
    assert found.weight_B is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"half_life_days": 0},
        {"daily_votes_per_voter": 0},
        {"least_pair_count": 0},
        {"pair_weights": "half"},
        {"pears": 1},
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Weighting(**wrong)
