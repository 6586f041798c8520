"""How many votes the choice of pairs saves, what intervals are worth after it, what inverse propensities undo.

Simulated arenas: ten models close together at the top, the others below; votes in batches, a refit after each. Three
rules draw the pairs: evenly; exp(-gap) (ci_a + ci_b), a rule that other tools use; and `palaestra.ranking.plan_pairs`.
The fit is Newton's method on counts, written here, and knows nothing of the engine.

    python tests/benchmarks/sampling.py [--share 0.1] [--out FILE.md]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from palaestra.ranking import plan_pairs

Floats = NDArray[np.float64]

TOP = 10
TRUTHS = 5
"""Worlds in which the bias is measured; the seeds are shared out among them."""
RULES = ("even", "exp(-gap)(ci+ci)", "planned")
MEASURES = {
    "standard error of top differences": False,
    "error of top differences": False,
    "order of the top (Kendall)": True,
    "members of the top": True,
}
"""What is measured after each batch, and whether more is better."""
NEWCOMER = {"standard error of its differences to the top": False, "error of these": False}


@dataclass(frozen=True, slots=True)
class World:
    """An arena: models, votes in all and in a batch; the place of a newcomer; how far from Bradley-Terry; how many."""

    models: int
    votes: int
    batch: int
    newcomer: int | None = None
    intransitive: float = 0.0
    seeds: int = 60


WORLDS = {
    "20 models": World(20, 8_000, 50, seeds=240),
    "60 models": World(60, 24_000, 150, seeds=120),
    "150 models": World(150, 60_000, 375, seeds=40),
    "a strong newcomer among 60": World(60, 3_000, 10, newcomer=4),
    "a middling newcomer among 60": World(60, 3_000, 10, newcomer=30),
}


def strengths(world: World, seed: int) -> Floats:
    """Ten within 0.6 natural units (104 Elo), the others below, in random order."""
    rng = np.random.default_rng(1000 + seed)
    others_M = -0.05 - np.abs(rng.normal(0, 0.8, world.models - TOP))
    return rng.permutation(np.append(rng.uniform(0, 0.6, TOP), others_M))


def chances(theta_M: Floats, world: World, seed: int) -> Floats:
    """Of a win of the row over the column; with more than strengths if the world is intransitive."""
    twist_MM = np.triu(np.random.default_rng(2000 + seed).normal(0, world.intransitive, (len(theta_M),) * 2), 1)
    return expit(theta_M[:, None] - theta_M[None, :] + twist_MM - twist_MM.T)


def fitted(wins_MM: Floats, start_M: Floats | None = None, sd: float = 3.0) -> tuple[Floats, Floats]:
    """The mode and the inverse information, with a prior so weak that it only makes the mode exist."""
    theta_M = np.zeros(len(wins_MM)) if start_M is None else start_M
    met_MM = wins_MM + wins_MM.T
    for _ in range(40):
        p_MM = expit(theta_M[:, None] - theta_M[None, :])
        curve_MM = met_MM * p_MM * (1 - p_MM)
        information_MM = np.diag(curve_MM.sum(axis=1) + sd**-2) - curve_MM
        step_M = np.linalg.solve(information_MM, (wins_MM - met_MM * p_MM).sum(axis=1) - theta_M / sd**2)
        theta_M = theta_M + np.clip(step_M, -2, 2)
        if np.abs(step_M).max() < 1e-7:
            break
    return theta_M, np.linalg.inv(information_MM)


def spread(covariance_MM: Floats) -> Floats:
    """Variance of each difference."""
    diagonal_M = np.diag(covariance_MM)
    return np.maximum(diagonal_M[:, None] + diagonal_M[None, :] - 2 * covariance_MM, 0)


def propensities(rule: str, theta_M: Floats, covariance_MM: Floats, met_M: Floats, seed: int) -> Floats:
    """Of each pair, symmetric; those above the diagonal sum to one."""
    models = len(theta_M)
    if rule == "planned":
        part_M = np.where(met_M > 0, 0, 1 + np.arange(models))
        names = [str(m) for m in range(models)]
        return plan_pairs(names, theta_M, covariance_MM, part_M=part_M, top=TOP, seed=seed).probability_MM
    share_MM = np.ones((models, models))
    if rule == "exp(-gap)(ci+ci)":
        ci_M = 1.96 * np.sqrt(np.diag(covariance_MM))
        share_MM = np.exp(-np.abs(theta_M[:, None] - theta_M[None, :])) * (ci_M[:, None] + ci_M[None, :])
    return share_MM / np.triu(share_MM, 1).sum()


@dataclass(slots=True)
class Votes:
    """Wins of the row over the column: their number, and the sums of importance weights and of their squares."""

    wins_MM: Floats
    weighed_MM: Floats
    squared_MM: Floats

    @classmethod
    def none(cls, models: int) -> Votes:
        return cls(*np.zeros((3, models, models)))

    def cast(self, chance_MM: Floats, share_MM: Floats, votes: int, rng: np.random.Generator) -> None:
        """Add votes on pairs that are drawn with these propensities; the weight is the even propensity over it."""
        first, second = np.triu_indices(len(chance_MM), 1)
        share_P = share_MM[first, second]
        drawn = rng.choice(len(first), votes, p=share_P / share_P.sum())
        won = rng.random(votes) < chance_MM[first[drawn], second[drawn]]
        at = np.where(won, first[drawn], second[drawn]), np.where(won, second[drawn], first[drawn])
        weight = 1 / ((share_P > 0).sum() * share_P[drawn])
        for power, sums_MM in enumerate((self.wins_MM, self.weighed_MM, self.squared_MM)):
            np.add.at(sums_MM, at, weight**power)


def course(
    world: World, rule: str, seed: int, truth: int | None = None
) -> Iterator[tuple[Votes, Floats, Floats, Floats]]:
    """Votes, true strengths, estimate and covariance after each batch; the truth may have a seed of its own."""
    truth = seed if truth is None else truth
    theta_M, rng = strengths(world, truth), np.random.default_rng(seed)
    chance_MM, votes = chances(theta_M, world, truth), Votes.none(world.models)
    if world.newcomer is not None:
        share_MM = np.ones_like(chance_MM)
        new = np.argsort(-theta_M)[world.newcomer]
        share_MM[new, :] = share_MM[:, new] = 0
        share_MM /= np.triu(share_MM, 1).sum()
        votes.cast(chance_MM, share_MM, 200 * world.models, rng)
    found_M, covariance_MM = fitted(votes.wins_MM)
    for number in range(world.votes // world.batch):
        met_M = (votes.wins_MM + votes.wins_MM.T).sum(axis=1)
        votes.cast(chance_MM, propensities(rule, found_M, covariance_MM, met_M, number), world.batch, rng)
        found_M, covariance_MM = fitted(votes.wins_MM, found_M)
        yield votes, theta_M, found_M, covariance_MM


def measured(world: World, rule: str, seed: int) -> Floats:
    """The measures after each batch, (batches, measures)."""
    rows = []
    first, second = np.triu_indices(TOP, 1)
    for _, theta_M, found_M, covariance_MM in course(world, rule, seed):
        best = np.argsort(-theta_M)[:TOP]
        if world.newcomer is not None:
            new = np.argsort(-theta_M)[world.newcomer]
            rest = best[best != new]
            off_M = found_M - theta_M
            rmse = np.sqrt(((off_M[rest] - off_M[new]) ** 2).mean())
            rows.append((np.sqrt(spread(covariance_MM)[new, rest]).mean(), rmse))
            continue
        true_P, found_P = (x[best][first] - x[best][second] for x in (theta_M, found_M))
        error_P = np.sqrt(spread(covariance_MM[np.ix_(best, best)])[first, second])
        members = len(set(best) & set(np.argsort(-found_M)[:TOP])) / TOP
        rmse = np.sqrt(((found_P - true_P) ** 2).mean())
        rows.append((error_P.mean(), rmse, np.sign(true_P * found_P).mean(), members))
    return np.array(rows)


def saved(even_SBK: Floats, other_SBK: Floats, up: list[bool], seed: int = 0) -> list[tuple[float, float, float]]:
    """Votes of the even rule over votes of the other one until the mean over seeds is where the even one is half-way.

    The ratio, and the 2.5 and 97.5 % quantiles over 500 resamples of the seeds; 0.5 is "not with twice the votes".
    """
    rng = np.random.default_rng(seed)

    def ratios(at_S: NDArray[np.int64]) -> list[float]:
        return [
            _ratio(even_SBK[at_S, :, k].mean(axis=0), other_SBK[at_S, :, k].mean(axis=0), up=up[k])
            for k in range(len(up))
        ]

    seeds = len(even_SBK)
    rounds = np.array([ratios(rng.integers(seeds, size=seeds)) for _ in range(500)])
    low, high = np.quantile(rounds, [0.025, 0.975], axis=0)
    return list(zip(ratios(np.arange(seeds)), low, high, strict=True))


def _ratio(even_B: Floats, other_B: Floats, *, up: bool) -> float:
    even_B, other_B = (_smooth(curve_B if up else -curve_B) for curve_B in (even_B, other_B))
    half = len(even_B) // 2
    there = np.flatnonzero(np.maximum.accumulate(other_B) >= even_B[half - 1])
    return half / (there[0] + 1) if len(there) else 0.5


def _smooth(curve_B: Floats) -> Floats:
    return np.convolve(np.pad(curve_B, 2, "edge"), np.ones(5) / 5, "valid")


def savings(pool: Pool, share: float) -> Iterator[str]:
    """The table of votes saved."""
    yield "| world | measure | level | " + " | ".join(f"{rule}: votes saved" for rule in RULES[1:]) + " |"
    yield "|---|---|---|" + "---|" * (len(RULES) - 1)
    for name, world in WORLDS.items():
        measures = NEWCOMER if world.newcomer is not None else MEASURES
        seeds = max(2, round(share * world.seeds))
        runs = [np.array(pool.map(partial(measured, world, rule), range(seeds))) for rule in RULES]
        found = [saved(runs[0], other, list(measures.values())) for other in runs[1:]]
        for k, measure in enumerate(measures):
            level = runs[0][:, runs[0].shape[1] // 2 - 1, k].mean()
            cells = " | ".join(f"{r[k][0]:.2f} ({r[k][1]:.2f} to {r[k][2]:.2f})" for r in found)
            yield f"| {name} | {measure} | {level:.3g} after {world.votes // 2:,} | {cells} |"


def sandwich(votes: Votes, theta_M: Floats, covariance_MM: Floats) -> Floats:
    """Of the fit with weights: information, squared weighted residuals, information."""
    p_MM = expit(theta_M[:, None] - theta_M[None, :])
    squared_MM = votes.squared_MM * (1 - p_MM) ** 2
    squared_MM = squared_MM + squared_MM.T
    return covariance_MM @ (np.diag(squared_MM.sum(axis=1)) - squared_MM) @ covariance_MM


def last(world: World, rule: str, seed: int) -> tuple[Floats, Floats]:
    """At the end, plain and weighed: z-scores of all differences, and the estimates less what even pairs give."""
    *_, (votes, theta_M, found_M, covariance_MM) = course(world, rule, seed, seed % TRUTHS)
    target_M = fitted(chances(theta_M, world, seed % TRUTHS) * 1e5 * (1 - np.eye(world.models)))[0]
    weighed_M, weighed_MM = fitted(votes.weighed_MM)
    order = np.argsort(-theta_M)
    first, second = np.triu_indices(world.models, 1)
    z, off = [], []
    for estimate_M, matrix_MM in (
        (found_M, covariance_MM),
        (weighed_M, sandwich(votes, weighed_M, weighed_MM)),
    ):
        off_M = (estimate_M - estimate_M.mean() - target_M + target_M.mean())[order]
        matrix_MM = matrix_MM[np.ix_(order, order)]  # noqa: PLW2901 - in the order of the truth
        z.append((off_M[first] - off_M[second]) / np.sqrt(spread(matrix_MM)[first, second]))
        off.append(off_M)
    return np.array(z), np.array(off)


def honesty(pool: Pool, share: float) -> Iterator[str]:
    """Coverage and bias, in a world that strengths explain and in one that they do not."""
    yield "| world | pairs | fit | coverage, top differences | coverage, all | bias of strengths | error of strengths |"
    yield "|---|---|---|---|---|---|---|"
    plain, seeds = World(20, 6_000, 50), max(2, round(60 * share)) * TRUTHS
    for name, world in (
        ("Bradley-Terry holds", plain),
        ("chances that no strengths explain", replace(plain, intransitive=0.7)),
    ):
        second = np.triu_indices(world.models, 1)[1]
        top = second < TOP
        for rule in ("even", "planned"):
            z_SKP, off_SKM = (
                np.array(x) for x in zip(*pool.map(partial(last, world, rule), range(seeds)), strict=True)
            )
            for k, fit in enumerate(("plain", "inverse propensity")):
                inside = np.abs(z_SKP[:, k]) < 1.96
                shares = (inside[:, top].mean(axis=1), inside.mean(axis=1))
                cells = " | ".join(f"{100 * s.mean():.1f} ± {196 * s.std() / np.sqrt(len(s)):.1f} %" for s in shares)
                off_STM = off_SKM[:, k].reshape(-1, TRUTHS, world.models)
                noise = off_STM.var(axis=0, ddof=1).mean() / len(off_STM)
                bias = np.sqrt(max((off_STM.mean(axis=0) ** 2).mean() - noise, 0))
                yield f"| {name} | {rule} | {fit} | {cells} | {bias:.3f} | {np.sqrt((off_STM**2).mean()):.3f} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the simulations, for a quick look")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = []
    with multiprocessing.Pool() as pool:
        for table in (savings(pool, asked.share), honesty(pool, asked.share)):
            for line in table:
                print(line, flush=True)
                lines.append(line)
            lines.append("")
            print()
    if asked.out:
        asked.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
