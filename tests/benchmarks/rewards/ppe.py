"""The evaluation of rewards: are its metrics right, and what do they cost?

equal  every metric against an independent computation: accuracy by a loop, AUC by scikit-learn, curves of the best of K
       by going through all draws of K replies, boards by SciPy's optimiser, correlations by SciPy, agreement, Brier and
       separability pair by pair from the definitions. Rewards with many level values are among them
cost   ten rewards on 500 prompts of 32 replies, and on votes: seconds, by stage

Nothing is read and no model runs: the worlds are simulated, and the rewards are numbers that are there already.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import platform
import pstats
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations, product
from math import comb
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import roc_auc_score

from palaestra.recipes.proxy_board import bradley_terry_board
from palaestra.rewards.ppe.evaluation import PpeConfig, ProxyEvaluation, evaluate
from palaestra.rewards.ppe.human import DrawnBoard, choices_of, human_votes
from palaestra.rewards.ppe.proxies import Reply
from palaestra.rewards.ppe.samples import Samples
from palaestra.schema import Message, Preference

Floats = np.ndarray
MODELS = 6
CONFIG = PpeConfig(rounds=100, board_rounds=50, least_pairs=10_000)
ELO = 400 / np.log(10)


@dataclass(frozen=True)
class Numbers:
    """A proxy whose scores are in the replies: number `column` of those that stand in the text."""

    name: str
    column: int

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """The scores."""
        return np.array([float(one.text.split()[self.column]) for one in replies])


def texts(worth: Floats, rewards: int, rng: np.random.Generator) -> list[str]:
    """Replies that hold what each reward says of them; the odd rewards have few levels, and so many level replies."""
    noise = np.linspace(0.3, 3, rewards)
    said = worth[:, None] + noise * rng.normal(size=(len(worth), rewards))
    said[:, 1::2] = np.round(said[:, 1::2])
    return [" ".join(f"{value:.6f}" for value in row) for row in said]


def samples(prompts: int, size: int, rewards: int, seed: int) -> list[Samples]:
    """Right and wrong replies."""
    rng, found = np.random.default_rng(seed), []
    for number in range(prompts):
        worth = rng.normal(size=size)
        right = tuple(bool(one) for one in rng.random(size) < 1 / (1 + np.exp(-2 * worth - rng.normal())))
        asked = (Message.of("user", f"sum {number}"),)
        replies = tuple(texts(worth, rewards, rng))
        found.append(Samples(f"q{number}", f"q{number}", asked, replies, right, "sums"))
    return found


def votes(count: int, rewards: int, seed: int, models: int = MODELS) -> list[Preference]:
    """People's votes on replies of several models, two on each prompt."""
    rng, found = np.random.default_rng(seed), []
    strength = np.linspace(-1, 1, models)
    for number in range(count):
        a, b = rng.permutation(models)[:2]
        worth = strength[[a, b]] + rng.normal(size=2)
        gap = worth[0] - worth[1] + rng.logistic(0, 0.5)
        ranks = (1, 1) if abs(gap) < 0.15 else (1, 2) if gap > 0 else (2, 1)
        asked = (Message.of("user", f"question {number // 2}"),)
        replies = tuple(texts(worth, rewards, rng))
        found.append(Preference(id=f"v{number}", prompt=asked, replies=replies, ranks=ranks, models=(f"m{a}", f"m{b}")))
    return found


def enumerated_curve(reward: Floats, right: Floats) -> list[float]:
    """The expected correctness of the best of K, every draw of K replies looked at; level ones share."""
    found = []
    for size in range(1, len(reward) + 1):
        drawn = np.array(list(combinations(range(len(reward)), size)))
        best = reward[drawn] == reward[drawn].max(axis=1, keepdims=True)
        found.append(float(((right[drawn] * best).sum(axis=1) / best.sum(axis=1)).mean()))
    return found


def of_samples(rows: Sequence[Samples], column: int) -> dict[str, float | Floats]:
    """The correctness side's metrics of a reward, from their definitions."""
    shares, scores, rights, curves, ideals = [], [], [], [], []
    for one in rows:
        reward, right = np.array([float(text.split()[column]) for text in one.replies]), np.array(one.right, float)
        pairs = [(i, j) for i, j in product(range(len(right)), repeat=2) if right[i] and not right[j]]
        wins = [1.0 if reward[i] > reward[j] else 0.5 if reward[i] == reward[j] else 0.0 for i, j in pairs]
        shares += [np.mean(wins)] if pairs else []
        scores += list(reward)
        rights += list(right)
        curves.append(enumerated_curve(reward, right))
        wrong, size = int((1 - right).sum()), len(right)
        ideals.append([1 - comb(wrong, k) / comb(size, k) for k in range(1, size + 1)])
    curve, ideal = np.mean(curves, axis=0), np.mean(ideals, axis=0)
    return {
        "accuracy": float(np.mean(shares)), "auc": float(roc_auc_score(rights, scores)),
        "loss": float(np.mean((ideal - curve) ** 2)), "max_score": float(curve.max()), "end_score": float(curve[-1]),
        "best-of-K curve": curve,
    }  # fmt: skip


def scipys_board(first_B: Floats, second_B: Floats, score_B: Floats) -> Floats:
    """Bradley-Terry on the Elo scale, a tie half a win, by SciPy's BFGS on the log-likelihood."""

    def loss(theta_M: Floats) -> tuple[float, Floats]:
        d_B = theta_M[first_B] - theta_M[second_B]
        p_B = 1 / (1 + np.exp(-d_B))
        slope_B = p_B - score_B
        slope_M = np.bincount(first_B, slope_B, MODELS) - np.bincount(second_B, slope_B, MODELS)
        return float((np.logaddexp(0, d_B) - score_B * d_B).sum()), slope_M

    found = minimize(loss, np.zeros(MODELS), jac=True, method="BFGS", options={"gtol": 1e-9})
    return ELO * (found.x - found.x.mean())


def apart(low: Floats, high: Floats, i: int, j: int) -> bool:
    """Whether two intervals do not overlap, by the notebook's rule."""
    if low[j] < low[i]:
        i, j = j, i
    return not low[j] < high[i]


def of_boards(board: DrawnBoard, reference: DrawnBoard) -> dict[str, float]:
    """What two boards and their rounds say of each other, pair by pair."""
    (low, high), (known_low, known_high) = (
        np.quantile(one.draws_RM, [0.025, 0.975], axis=0) for one in (board, reference)
    )
    pairs = list(combinations(range(MODELS), 2))
    mean, variance = board.draws_RM.mean(axis=0), board.draws_RM.var(axis=0)
    sure = [(i, j) for i, j in pairs if apart(known_low, known_high, i, j)]
    told = []
    for i, j in sure:
        alike = np.sign(board.score_M[i] - board.score_M[j]) * np.sign(reference.score_M[i] - reference.score_M[j])
        told.append(alike if apart(low, high, i, j) else 0.0)
    briers = [
        (ndtr((mean[j] - mean[i]) / np.sqrt(variance[i] + variance[j])) - (reference.score_M[i] < reference.score_M[j]))
        ** 2
        for i, j in pairs
    ]
    return {
        "separability": float(np.mean([apart(low, high, i, j) for i, j in pairs])),
        "agreement": float(np.mean(told)), "agreement_notebook": (1 + float(np.mean(told))) / 2,
        "brier": float(np.mean(briers)),
    }  # fmt: skip


def of_votes(rows: Sequence[Preference], column: int, seed: int) -> dict[str, float]:
    """The human side's metrics of a reward, from their definitions."""
    said = np.array([[float(text.split()[column]) for text in one.replies] for one in rows])
    people_B = np.array([0.5 if one.is_tie else float(one.ranks[0] < one.ranks[1]) for one in rows])
    choice_B = np.array([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in said])
    first_B, second_B = (np.array([int(str(one.models[side])[1:]) for one in rows]) for side in (0, 1))
    hits = [0.5 if t == 0.5 else c if t == 1 else 1 - c for t, c in zip(people_B, choice_B, strict=True)]
    rate = np.zeros((2, MODELS, MODELS))
    games = np.zeros((MODELS, MODELS))
    for i, j, human, own in zip(first_B, second_B, people_B, choice_B, strict=True):
        for table, score in zip(rate, (human, own), strict=True):
            table[i, j] += score
            table[j, i] += 1 - score
        games[[i, j], [j, i]] += 1
    others = ~np.eye(MODELS, dtype=bool)
    rows_of = [[table[i][others[i]] / games[i][others[i]] for table in rate] for i in range(MODELS)]
    boards = [scipys_board(first_B, second_B, score_B) for score_B in (people_B, choice_B)]
    laid, every = human_votes(rows), np.ones(len(rows), dtype=bool)
    drawn = []
    for score_B in (choices_of(said[:, 0], said[:, 1]), laid.score_B):
        ballots = laid.ballots(score_B, every)
        assert ballots is not None
        drawn.append(bradley_terry_board(ballots, rounds=CONFIG.board_rounds, seed=seed))
    return {
        "accuracy": float(np.mean([hit for hit, t in zip(hits, people_B, strict=True) if t != 0.5])),
        "accuracy_with_ties": float(np.mean(hits)),
        "row_pearson": float(np.mean([pearsonr(*two)[0] for two in rows_of])),
        "kendall": float(kendalltau(*boards)[0]), "spearman": float(spearmanr(*boards)[0]),
        **of_boards(drawn[0], drawn[1]),
    }  # fmt: skip


def found_of(found: ProxyEvaluation, side: str, domain: str, proxy: str) -> dict[str, float | Floats]:
    """What the evaluation says of a proxy."""
    told: dict[str, float | Floats] = {
        one.metric: float("nan") if one.value is None else one.value
        for one in found.figures
        if (one.side, one.domain, one.proxy) == (side, domain, proxy)
    }
    if side == "correctness":
        told["best-of-K curve"] = np.array(next(one.value for one in found.curves if one.proxy == proxy))
    return told


def bench_equal(out: list[str], worlds: int) -> None:
    """The greatest difference of each metric from its independent computation."""
    greatest: dict[tuple[str, str], float] = {}
    rewards = [Numbers(f"r{column}", column) for column in range(4)]
    for seed in range(worlds):
        rows, ballots = samples(40, 10, len(rewards), seed), votes(600, len(rewards), seed)
        found = evaluate(rewards, CONFIG, maker=bradley_terry_board, samples=rows, human=ballots)
        for one in rewards:
            sides: tuple[tuple[str, str, Mapping[str, float | Floats]], ...] = (
                ("correctness", "sums", of_samples(rows, one.column)),
                ("human", "overall", of_votes(ballots, one.column, CONFIG.seed)),
            )
            for side, domain, expected in sides:
                told = found_of(found, side, domain, one.name)
                for metric, value in expected.items():
                    gap = float(np.abs(np.asarray(told[metric]) - np.asarray(value)).max())
                    greatest[side, metric] = max(greatest.get((side, metric), 0.0), gap)
    out += ["| side | metric | independent computation | greatest difference |", "|---|---|---|---|"]
    for (side, metric), gap in greatest.items():
        out.append(f"| {side} | {metric} | {_BY.get((side, metric), _BY.get(('', metric), ''))} | {gap:.1g} |")
    said = (
        f"{worlds} worlds of 40 prompts with 10 replies and of 600 votes among {MODELS} models, {len(rewards)} rewards "
        "each, two of them with many level values. All draws of K of 10 replies are gone through for each K."
    )
    out += ["", said]


_BY = {
    ("correctness", "accuracy"): "a loop over right and wrong replies",
    ("", "auc"): "scikit-learn's `roc_auc_score`",
    ("", "loss"): "the enumerated curve against the oracle's, from binomials",
    ("", "max_score"): "the enumerated curve",
    ("", "end_score"): "the enumerated curve",
    ("", "best-of-K curve"): "enumeration of all draws",
    ("human", "accuracy"): "a loop over votes",
    ("", "accuracy_with_ties"): "a loop over votes",
    ("", "row_pearson"): "SciPy's `pearsonr`, model by model",
    ("", "kendall"): "SciPy's BFGS and `kendalltau`",
    ("", "spearman"): "SciPy's BFGS and `spearmanr`",
    ("", "separability"): "pair by pair, from the same rounds",
    ("", "agreement"): "pair by pair, from the same rounds",
    ("", "agreement_notebook"): "pair by pair, from the same rounds",
    ("", "brier"): "pair by pair, from the same rounds",
}


def bench_cost(out: list[str]) -> None:
    """Ten rewards, 500 prompts, 32 replies; and votes."""
    config, rewards = PpeConfig(), [Numbers(f"r{column}", column) for column in range(10)]
    rows, ballots = samples(500, 32, 10, 0), votes(5000, 10, 0, models=20)
    evaluate(rewards[:1], config, maker=bradley_terry_board, samples=rows[:20])  # what is compiled is compiled
    out += ["| what | seconds | of a core |", "|---|---|---|"]
    parts: tuple[tuple[str, tuple[list[Samples], list[Preference]]], ...] = (
        ("500 prompts x 32 replies x 10 rewards, 1,000 rounds", (rows, [])),
        ("5,000 votes among 20 models x 10 rewards, 1,000 rounds, 200 of boards", ([], ballots)),
    )
    for what, given in parts:
        began, worked, profile = time.perf_counter(), time.process_time(), cProfile.Profile()
        profile.enable()
        evaluate(rewards, config, maker=bradley_terry_board, samples=given[0], human=given[1])
        profile.disable()
        out.append(f"| {what} | {time.perf_counter() - began:.1f} | {time.process_time() - worked:.1f} |")
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(8)


def main() -> None:
    """Run all, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--worlds", type=int, default=10)
    given = parser.parse_args()
    load, out = os.getloadavg()[0], ["# The evaluation of rewards, checked and timed", "", "## Equal", ""]
    bench_equal(out, given.worlds)
    out += ["", "## What it costs", ""]
    bench_cost(out)
    where = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before"
    out += ["", f"({where}, Python {platform.python_version()}; `tests/benchmarks/rewards/ppe.py`)"]
    sys.stdout.write("\n".join(out) + "\n")
    if given.out:
        given.out.write_text("\n".join(out) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
