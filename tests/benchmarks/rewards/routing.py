"""What routing is worth and what it costs; writes docs/benchmarks/routing.md.

regret     one budget for all prompts against every assignment tried: is anything within the budget worth more?
budget     simulated prompts: is ever more spent than the budget, in expectation and, rounded down, in draws?
speed      the upper hulls against scipy's solver of linear programs (HiGHS), in one run
routellm   outcomes of two models on real prompts (RouteLLM's GSM8K and MMLU): a head on frozen vectors is trained on
           half of the prompts and routes the other half, and the other way round; against blind mixtures at equal cost
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from palaestra.gateway.embed import embedder
from palaestra.learn.features import features
from palaestra.p2l.budget import spread
from palaestra.p2l.config import TrainConfig
from palaestra.p2l.curve import Curve, curve, outcomes_of
from palaestra.p2l.hull import at_budget, upper_hulls
from palaestra.p2l.model import Coefficients
from palaestra.p2l.router import Outlook, scores
from palaestra.p2l.train import train_on
from palaestra.store.prompted_votes import PromptedVotes, read_prompted_votes

DATA = Path(os.environ.get("PALAESTRA_DATA", "../shared/data")) / "routing" / "routellm"
_SAID = (
    "Right or wrong answers of a weak and a strong model. A grounded head on MiniLM vectors is trained on half of the "
    "prompts and routes the other half. Cost is the share of calls to the strong model. The gap recovered is averaged "
    "over budgets from 0 to 1 (APGR); blind mixtures of the two models have one half. Gain is in points of accuracy "
    "over a blind mixture at equal cost, averaged over budgets, with a 95% interval over prompts."
)
COST = {"mixtral_8x7b": 0.0, "gpt4_1106": 1.0}
"""Cost is the share of calls to the strong model, as RouteLLM counts it."""


def bench_regret(out: list[str]) -> None:
    """Every assignment of 3 models to 7 prompts, 40 worlds, 15 budgets each."""
    rng, worst, beaten, cases = np.random.default_rng(0), 0.0, 0, 0
    rows = np.arange(7)
    for _ in range(40):
        cost_PM, value_PM = rng.integers(1, 30, (7, 3)).astype(float), rng.random((7, 3))
        picks = np.array(list(product(range(3), repeat=7)))
        cost_A, value_A = cost_PM[rows, picks].sum(axis=1), value_PM[rows, picks].sum(axis=1)
        for total in np.linspace(cost_PM.min(axis=1).sum(), cost_PM.max(axis=1).sum(), 15):
            best = value_A[cost_A <= total].max()
            regret = best - spread(upper_hulls(cost_PM, value_PM), float(total)).mixtures.value_P.sum()
            worst, beaten, cases = max(worst, regret), beaten + (regret > 1e-12), cases + 1
    out.append(f"| regret against every assignment within the budget | {worst:.1e} at most | {cases} problems |")
    print(out[-1])


def bench_budget(out: list[str]) -> None:
    """Totals between the least and the most, expected and drawn spending."""
    rng, over, drawn_over, cases = np.random.default_rng(1), 0, 0, 0
    for seed in range(300):
        shape = (int(rng.integers(1, 400)), int(rng.integers(1, 12)))
        cost_PM, value_PM = rng.exponential(size=shape), rng.random(shape)
        total = rng.uniform(math.fsum(cost_PM.min(axis=1)), math.fsum(cost_PM.max(axis=1)))
        mixtures = spread(upper_hulls(cost_PM, value_PM), total).mixtures
        over += math.fsum(mixtures.cost_P) > total
        picked_P = mixtures.whole().draw(seed)
        drawn_over += math.fsum(cost_PM[np.arange(shape[0]), picked_P]) > total
        cases += 1
    out.append(f"| budgets exceeded in expectation; in draws, rounded down | {over}; {drawn_over} | {cases} budgets |")
    print(out[-1])


def bench_speed(out: list[str]) -> None:
    """2000 prompts, 100 models; the solver is given 100 of them."""
    rng = np.random.default_rng(2)
    cost_PM, value_PM = rng.exponential(size=(2000, 100)), rng.random((2000, 100))
    began = time.perf_counter()
    ours = at_budget(upper_hulls(cost_PM, value_PM), 0.5)
    each = (time.perf_counter() - began) / 2000
    began, most = time.perf_counter(), 0.0
    for p in range(100):
        found = linprog(-value_PM[p], A_ub=cost_PM[p : p + 1], b_ub=[0.5], A_eq=np.ones((1, 100)), b_eq=[1.0])
        most = max(most, abs(-found.fun - ours.value_P[p]))
    theirs = (time.perf_counter() - began) / 100
    out.append(
        f"| upper hulls against scipy's linprog, 100 models, a prompt | {1e6 * each:.0f} µs and {1e6 * theirs:.0f} µs: "
        f"{theirs / each:.0f} times faster | equal to {most:.0e} |"
    )
    print(out[-1])


@dataclass(frozen=True, slots=True)
class Routed:
    """A curve on held-out prompts."""

    name: str
    prompts: int
    found: Curve


def bench_routellm(name: str, most: int, kept: Path) -> Routed:
    """Two halves of the prompts, each routed by a head that was trained on the other."""
    votes = read_prompted_votes(DATA / f"{name}.csv.gz")
    rng = np.random.default_rng(0)
    chosen = np.zeros(len(votes.prompts), dtype=bool)
    chosen[rng.permutation(len(votes.prompts))[:most]] = True
    kept_P = np.flatnonzero(chosen)
    votes = smaller(votes, kept_P)
    x_PD = features(embedder("local:minilm"), votes.prompts, kept)
    half_P = rng.permutation(len(kept_P)) % 2
    beta_PM = np.zeros((len(kept_P), len(votes.models)))
    for half in (0, 1):
        head = train_on(votes.of_prompts(half_P != half), x_PD, TrainConfig(kind="grounded", members=0))
        print(name, "spread", head.spread, flush=True)
        beta_PM[half_P == half] = head.coefficients_of(head.projection(x_PD[half_P == half])).beta_PM
    found = Coefficients(beta_PM)
    cost_PM = np.tile([COST[model] for model in votes.models], (len(kept_P), 1))
    outlook = Outlook(found, scores(found, "grounded", np.full(2, 0.5)), cost_PM)
    return Routed(name, len(kept_P), curve(outlook, votes.models, outcomes_of(votes, votes.models)))


def smaller(votes: PromptedVotes, kept_P: np.ndarray) -> PromptedVotes:
    """The votes on some prompts, numbered anew."""
    place_P = np.full(len(votes.prompts), -1)
    place_P[kept_P] = np.arange(len(kept_P))
    kept_B = place_P[votes.prompt_B] >= 0
    there = {key: getattr(votes, key)[kept_B] for key in ("first_B", "second_B", "outcome_B", "weight_B", "voter_B")}
    return PromptedVotes(
        prompts=tuple(votes.prompts[p] for p in kept_P), models=votes.models, voters=votes.voters,
        prompt_B=place_P[votes.prompt_B[kept_B]].astype(np.int32), **there,
    )  # fmt: skip


def row_of(one: Routed) -> str:
    """A line of the table."""
    gain, models = one.found.gain, one.found.models
    alone = ", ".join(f"{name} {100 * found.value:.1f}%" for name, (_, found) in models.items())
    return (
        f"| {one.name} | {one.prompts} | {alone} | {one.found.recovered:.3f} | {one.found.blind_recovered:.3f} | "
        f"{100 * gain.value:+.2f} [{100 * gain.lower:+.2f}, {100 * gain.upper:+.2f}] |"
    )


def main() -> None:
    """Run all, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--picture", type=Path, default=None)
    parser.add_argument("--kept", type=Path, default=Path("test-output/vectors"))
    parser.add_argument("--most", type=int, default=3000, help="prompts of each set, at most")
    arguments = parser.parse_args()
    exact: list[str] = []
    bench_regret(exact)
    bench_budget(exact)
    bench_speed(exact)
    routed = (
        [bench_routellm(name, arguments.most, arguments.kept) for name in ("gsm8k", "mmlu")] if DATA.is_dir() else []
    )
    for one in routed:
        print(row_of(one))
    if arguments.picture and routed:
        from palaestra.p2l.routing_page import curve_chart
        from palaestra.pictures.drawing import save_chart

        save_chart(curve_chart(routed[-1].found), arguments.picture)
    if arguments.out:
        arguments.out.write_text(page(exact, routed, arguments.most))


def page(exact: list[str], routed: list[Routed], most: int) -> str:
    """The page as Markdown."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
    return "\n".join(
        [
            "# Routing, measured",
            "",
            f"By `tests/benchmarks/rewards/routing.py --most {most} --out docs/benchmarks/routing.md` ({where}).",
            "",
            "| what | found | over |",
            "|---|---|---|",
            *exact,
            "",
            "## RouteLLM's outcomes",
            "",
            _SAID,
            "",
            "| set | prompts | alone | gap recovered | blind | gain, points |",
            "|---|---|---|---|---|---|",
            *(row_of(one) for one in routed),
            "",
        ]
    )


if __name__ == "__main__":
    main()
