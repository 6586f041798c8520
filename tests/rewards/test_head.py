"""Heads: equal to another implementation, recover what was simulated, and are free of style where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from reward_worlds import WORTH, Words, preferences

from palaestra.errors import InputError
from palaestra.rewards.calibration import Figure
from palaestra.rewards.comparisons import compared
from palaestra.rewards.config import RewardConfig
from palaestra.rewards.cross_fit import cross_fit, folds_of
from palaestra.rewards.head import designed, fit_path
from palaestra.rewards.likelihood import Likelihood
from palaestra.rewards.style import StyleColumns
from palaestra.rewards.train import train_head

REPLY = RewardConfig(views=("reply",), rounds=20)


def number(found: Figure | None) -> float:
    assert found is not None
    return found.value


def bare(replies: int) -> StyleColumns:
    return StyleColumns((), 0, np.zeros((replies, 0)))


def test_bradley_terry_is_a_ridge_logistic_regression_on_differences() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    found = preferences(300)
    comparisons = compared(found)
    raw = Words()([reply for one in found for reply in one.replies]).astype(float)
    raw = np.hstack([raw, raw[:, :1] * 2 + raw[:, 1:2]])  # a column that follows from others
    design = designed(raw, bare(len(raw)), comparisons, "words")
    fit = fit_path(Likelihood("bradley-terry", comparisons), design, [0.05], comparisons.weight_Q)[0]
    scale = np.sqrt((comparisons.centred(raw) ** 2).sum(axis=0) / len(found))
    won = np.array([one.ranks[0] == 1 for one in found])
    other = linear_model.LogisticRegression(C=1 / (0.05 * len(found)), fit_intercept=False, tol=1e-11, max_iter=5000)
    other.fit((raw[::2] - raw[1::2]) / scale, won)
    np.testing.assert_allclose(design.to_raw(fit.coefficient_C)[0] * scale, other.coef_[0], atol=1e-6)


@pytest.mark.parametrize(("replies", "ties"), [(2, 0.0), (2, 0.5), (5, 0.0)])
def test_weights_that_were_simulated_are_found_again(replies: int, ties: float) -> None:
    found = preferences(3000 // replies, replies=replies, ties=ties)
    trained = train_head(found, REPLY.model_copy(update={"style": (), "ridge": 1e-4}), Words())
    assert trained.evaluation.law == ("plackett-luce" if replies == 5 else "rao-kupper" if ties else "bradley-terry")
    error = trained.reward.weights.vector_RD[0] - WORTH
    assert np.sqrt((error**2).mean()) < 0.15


def test_a_ridge_without_end_is_style_alone_and_noise_falls_back_on_it() -> None:
    class Noise(Words):
        name = "noise"

        def __call__(self, texts: Sequence[str]) -> np.ndarray:
            rng = np.random.default_rng(1)
            return rng.normal(size=(len(texts), 60)).astype(np.float32)

    found = train_head(preferences(200, length=2.0), REPLY, Noise()).evaluation
    assert found.ridge is None or found.ridge > 1
    assert found.accuracy.value == pytest.approx(found.accuracy_style_alone.value, abs=0.06)


def test_a_reward_without_style_does_not_know_length_though_its_vectors_do() -> None:
    class Long(Words):
        name = "words and length"

        def __call__(self, texts: Sequence[str]) -> np.ndarray:
            return np.hstack([super().__call__(texts), [[np.log1p(len(text.split()))] for text in texts]]).astype("f")

    found = preferences(800, length=1.5)
    with_it = train_head(found, REPLY, Long()).evaluation
    without = train_head(found, REPLY.model_copy(update={"debias": ("length",)}), Long())
    assert number(with_it.style.length_correlation) > 0.4
    left = without.evaluation.style
    assert abs(number(left.length_correlation)) < 0.08
    assert number(left.length_correlation_whole) == pytest.approx(number(with_it.style.length_correlation), abs=0.02)
    assert left.cost.lower is not None
    assert left.cost.lower > 0
    prompts = [one.prompt for one in found for _ in one.replies]
    replies = [reply for one in found for reply in one.replies]
    reward_N = without.reward.score(prompts, replies)
    length_N = np.log1p([len(reply.split()) for reply in replies])
    assert abs(np.corrcoef(reward_N[::2] - reward_N[1::2], length_N[::2] - length_N[1::2])[0, 1]) < 0.02


def test_intervals_of_style_hold_the_truth() -> None:
    held = 0
    for seed in range(30):
        effects = train_head(
            preferences(300, length=0.8, seed=seed),
            REPLY.model_copy(update={"style": ("length",), "ridge": 0.01}),
            Words(),
        ).evaluation.style.effects
        held += effects[0].lower <= 0.8 <= effects[0].upper
    assert held >= 25  # of 30 at 95 %: 24 or fewer are seen once in 3,000


def test_prompts_are_never_parted_by_folds_and_held_out_scores_know_nothing_of_their_prompt() -> None:
    cluster_Q = np.arange(90) % 30
    fold_Q = folds_of(cluster_Q, 5, 0)
    assert all(len(set(fold_Q[cluster_Q == prompt])) == 1 for prompt in range(30))
    with pytest.raises(InputError, match="found 4 distinct prompts, expected at least 5"):
        folds_of(np.arange(4), 5, 0)
    coin = preferences(200, seed=3)
    rng = np.random.default_rng(0)
    coin = [one.model_copy(update={"ranks": (1, 2) if rng.random() < 0.5 else (2, 1)}) for one in coin]
    comparisons = compared(coin)
    raw = rng.normal(size=(400, 150))  # enough to know every pair by heart
    design = designed(raw, bare(400), comparisons, "noise")
    crossed = cross_fit(Likelihood("bradley-terry", comparisons), design, ridge=1e-3, folds=5, seed=0)
    hits = (crossed.reward_N[::2] > crossed.reward_N[1::2]) == [one.ranks[0] == 1 for one in coin]
    assert 0.38 < hits.mean() < 0.62
    learnt = crossed.fit.reward(design)
    assert ((learnt[::2] > learnt[1::2]) == [one.ranks[0] == 1 for one in coin]).mean() > 0.95


def test_vectors_that_are_no_numbers_or_tell_nothing_apart_are_refused() -> None:
    comparisons = compared(preferences(20))
    broken = np.ones((40, 3))
    with pytest.raises(InputError, match="found the same vector of words for all replies"):
        designed(broken, bare(40), comparisons, "words")
    broken[3, 1] = np.nan
    with pytest.raises(InputError, match="found 1 of 40 vectors of words with NaN or infinity"):
        designed(broken, bare(40), comparisons, "words")
