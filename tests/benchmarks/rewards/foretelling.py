"""Rewards are evaluated, a model is optimised against each, and what foretold the gain is correlated with it.

    rewards   percentile intervals over other rewards, as `--downstream` gives them (`rewards/ppe/downstream.py`)
    prompts   recentred intervals with these rewards: other prompts and votes behind the metrics, other prompts and
              seeds behind the gains

Not here: the page (`downstream.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from scipy.stats import rankdata
from small_gpt import SmallGpt, imitate, sampled
from small_rewards import VERIFIER, SmallReward, all_rewards, opinions
from small_rl import Look, RlPlan, optimised
from small_tasks import DOMAINS, Floats, Tokens, decoded, domain_of, prompts_of, right, taught

from palaestra.recipes.proxy_board import bradley_terry_board
from palaestra.rewards.ppe.best_of import best_of_curves
from palaestra.rewards.ppe.correctness import domains_of, replies_of, scored_outcome
from palaestra.rewards.ppe.downstream import Foretold, foretold
from palaestra.rewards.ppe.evaluation import PpeConfig, ProxyEvaluation, evaluate
from palaestra.rewards.ppe.human import choices_of, human_rounds, human_votes
from palaestra.rewards.ppe.resampling import LESS_IS_BETTER
from palaestra.rewards.ppe.samples import Samples
from palaestra.schema import Message, Preference
from palaestra.stats.quality import recentred

METRICS = (
    *(("human", "overall", name) for name in ("accuracy", "row_pearson", "separability", "agreement", "kendall", "spearman", "brier")),  # noqa: E501 - the seven
    *(("correctness", "mean", name) for name in ("accuracy", "auc", "loss", "max_score", "end_score")),
)  # fmt: skip
"""The twelve of Preference Proxy Evaluations, over all domains."""
Metric = tuple[str, str, str]
FEW, MANY, RL = "best of 4", "best of 32", "RL"
RESULTS = (FEW, MANY, RL)
MOST = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of everything."""

    width: int = 64
    layers: int = 3
    steps: int = 900
    """Of imitation, 128 replies each."""
    pairs: int = 12_000
    """Of the best trained reward."""
    vote_pairs: int = 5
    """Votes on each prompt."""
    rounds: int = 200
    seeds: int = 2
    rl: RlPlan = field(default_factory=RlPlan)
    share: float = 1.0
    """Of the prompts of each part."""


QUICK = Plan(width=32, layers=2, steps=150, pairs=800, vote_pairs=2, rounds=100, seeds=1,
             rl=RlPlan(steps=6, prompts=6, look_every=3), share=0.3)  # fmt: skip
_PARTS = {"imitated": 450, "rewards": 180, "samples": 40, "votes": 60, "best of N": 40, "RL": 70, "looked at": 60}
"""Prompts of each domain in each part; no prompt is in two."""


@dataclass(frozen=True, slots=True)
class World:
    """The model, its earlier stages, and who asks what."""

    model: SmallGpt
    stages: list[SmallGpt]
    prompts: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the model with one reward."""

    curve_PN: Floats
    """The share of right replies among the best of N."""
    runs: list[list[Look]]
    """By seed."""

    def best_of(self, count: int) -> Floats:
        """The gain by the best of so many, by prompt."""
        return self.curve_PN[:, count - 1] - self.curve_PN[:, 0]

    @property
    def rl_SP(self) -> Floats:
        """The gain by RL, by seed and prompt."""
        return np.array([looks[-1].right_P - looks[0].right_P for looks in self.runs])

    def gains(self) -> dict[str, float]:
        """The gain by each way, in shares of right replies."""
        ways = (self.best_of(4), self.best_of(MOST), self.rl_SP)
        return {name: float(gain.mean()) for name, gain in zip(RESULTS, ways, strict=True)}


def world_of(plan: Plan, seed: int) -> World:
    """Prompts dealt out, and the model trained on the teacher's replies."""
    each = {name: max(8, round(plan.share * count)) for name, count in _PARTS.items()}
    drawn = prompts_of(sum(each.values()), seed)
    ends = np.cumsum(list(each.values()))
    prompts = {
        name: [prompt for domain in DOMAINS for prompt in drawn[domain][end - count : end]]
        for (name, count), end in zip(each.items(), ends, strict=True)
    }
    torch.manual_seed(seed)
    model, asked = SmallGpt(plan.width, plan.layers), prompts["imitated"] * 8
    keep_at = {plan.steps * part // 6 for part in (1, 2, 3, 4)}
    stages = imitate(model, asked, taught(asked, seed), steps=plan.steps, batch=128, seed=seed, keep_at=keep_at)
    return World(model, stages, prompts)


def samples_of(world: World, replies: int, seed: int) -> list[Samples]:
    """Right and wrong replies to each prompt, for the correctness side."""
    prompts = world.prompts["samples"]
    asked = [prompt for prompt in prompts for _ in range(replies)]
    reply_NT = sampled(world.model, asked, seed)
    right_PN = right(asked, reply_NT).reshape(len(prompts), replies)
    text_PN = np.array([decoded(row) for row in reply_NT], dtype=object).reshape(len(prompts), replies)
    return [
        Samples(
            prompt, prompt, (Message.of("user", prompt),), tuple(texts), tuple(map(bool, rights)), domain_of(prompt)
        )
        for prompt, texts, rights in zip(prompts, text_PN, right_PN, strict=True)
    ]


def votes_of(world: World, each: int, seed: int) -> list[Preference]:
    """People's votes on replies of ten models: five stages of training, each at two temperatures."""
    rng = np.random.default_rng(seed)
    prompts = [prompt for prompt in world.prompts["votes"] for _ in range(each)]
    replies: dict[str, Tokens] = {}
    for stage, model in enumerate([*world.stages, world.model], start=1):
        for temperature in (1.0, 0.6):
            name = f"stage {stage} at {temperature}"
            replies[name] = sampled(model, prompts, int(rng.integers(2**31)), temperature)
    met = list(combinations(replies, 2))
    pairs = [met[place] for place in rng.integers(len(met), size=len(prompts))]
    sides = [np.array([replies[pair[side]][row] for row, pair in enumerate(pairs)]) for side in (0, 1)]
    score_N = opinions(prompts, sides[0], sides[1], seed)
    return [
        Preference(
            id=f"vote {row}", prompt=(Message.of("user", prompt),), models=pairs[row], category=domain_of(prompt),
            replies=(decoded(sides[0][row]), decoded(sides[1][row])),
            ranks={1.0: (1, 2), 0.0: (2, 1)}.get(score_N[row], (1, 1)),
        )
        for row, prompt in enumerate(prompts)
    ]  # fmt: skip


def outcomes_of(world: World, rewards: Sequence[SmallReward], plan: Plan) -> dict[str, Outcome]:
    """Optimise against each reward; all choose from the same replies, and start from the same model and seeds."""
    prompts = world.prompts["best of N"]
    asked = [prompt for prompt in prompts for _ in range(MOST)]
    reply_NT = sampled(world.model, asked, 77)
    right_PN = right(asked, reply_NT).astype(float).reshape(len(prompts), MOST)
    found = {}
    for one in rewards:
        curve_PN = best_of_curves(one.score(asked, reply_NT).reshape(right_PN.shape), right_PN)
        runs = [
            optimised(world.model, one.score, world.prompts["RL"], world.prompts["looked at"], plan.rl, seed)
            for seed in range(plan.seeds)
        ]
        found[one.name] = Outcome(curve_PN, runs)
        sys.stderr.write(f"{one.name}: {found[one.name].gains()}\n")
    return found


def metric_rounds(
    rewards: Sequence[SmallReward], votes: Sequence[Preference], samples: Sequence[Samples], plan: Plan
) -> dict[Metric, Floats]:
    """Each metric of each reward over other prompts, more being better, shape (1 + R, M)."""
    people = human_votes(votes)
    replies = [reply for pair in people.pairs for reply in pair]
    scores = {one.name: one.scores(replies) for one in rewards}
    choices = {name: choices_of(score_N[::2], score_N[1::2]) for name, score_N in scores.items()}
    everything = np.ones(len(votes), dtype=bool)
    human, _ = human_rounds(
        people, choices, everything, bradley_terry_board, rounds=plan.rounds, board_rounds=plan.rounds, seed=1
    )
    domains = domains_of(samples, plan.rounds, 1)
    known = {
        one.name: [scored_outcome(domain, one.scores(replies_of(domain.samples))).metrics for domain in domains]
        for one in rewards
    }
    found = {}
    for side, domain, metric in METRICS:
        value_RM = np.column_stack(
            [
                human[one.name][metric]
                if side == "human"
                else np.mean([each[metric] for each in known[one.name]], axis=0)
                for one in rewards
            ]
        )
        found[side, domain, metric] = -value_RM if metric in LESS_IS_BETTER else value_RM
    return found


def gain_rounds(outcomes: Sequence[Outcome], rounds: int, seed: int) -> dict[str, Floats]:
    """The gain with each reward over other prompts and seeds, by result, shape (1 + R, M)."""
    rng = np.random.default_rng(seed)
    picked, seeds = len(outcomes[0].curve_PN), outcomes[0].rl_SP.shape
    weight_RP = np.vstack(
        [np.full(picked, 1 / picked), rng.multinomial(picked, np.full(picked, 1 / picked), rounds) / picked]
    )
    both = [
        np.vstack([np.full(size, 1 / size), rng.multinomial(size, np.full(size, 1 / size), rounds) / size])
        for size in seeds
    ]
    return {
        FEW: np.column_stack([weight_RP @ one.best_of(4) for one in outcomes]),
        MANY: np.column_stack([weight_RP @ one.best_of(MOST) for one in outcomes]),
        RL: np.column_stack([np.einsum("rs,sp,rp->r", both[0], one.rl_SP, both[1]) for one in outcomes]),
    }


def spearman_rounds(value_RM: Floats, gain_RM: Floats) -> Floats:
    """Spearman's correlation over the rewards in each round, shape (R,); NaN where one is constant."""
    x_RM, y_RM = (rankdata(each, axis=1) for each in (value_RM, gain_RM))
    x_RM, y_RM = (each - each.mean(axis=1, keepdims=True) for each in (x_RM, y_RM))
    spread_R = np.sqrt((x_RM**2).sum(axis=1) * (y_RM**2).sum(axis=1))
    return np.divide((x_RM * y_RM).sum(axis=1), spread_R, out=np.full(len(x_RM), np.nan), where=spread_R > 0)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that the page says."""

    evaluation: ProxyEvaluation
    outcomes: dict[str, Outcome]
    told: dict[tuple[Metric, str], Foretold]
    """By metric (with those of the lower quartile of domains) and result."""
    prompts: dict[tuple[Metric, str], tuple[float, float]]
    """Intervals over prompts and seeds."""


def measured(plan: Plan, seed: int) -> Found:
    """The whole of it."""
    world = world_of(plan, seed)
    rewards = all_rewards(world.model, world.prompts["rewards"], plan.pairs, seed)
    samples, votes = samples_of(world, 16, seed + 1), votes_of(world, plan.vote_pairs, seed + 2)
    outcomes = outcomes_of(world, rewards, plan)
    config = PpeConfig(rounds=plan.rounds, board_rounds=plan.rounds, least_pairs=30)
    evaluation = evaluate(rewards, config, maker=bradley_terry_board, human=votes, samples=samples)
    others = [one for one in rewards if one.name != VERIFIER]
    gains = {one.name: outcomes[one.name].gains() for one in others}
    results = {result: {name: gain[result] for name, gain in gains.items()} for result in RESULTS}
    kept = [figure for figure in evaluation.figures if figure.proxy != VERIFIER]
    told = {((one.side, one.domain, one.metric), one.result): one for one in foretold(kept, results)}
    by_metric = metric_rounds(others, votes, samples, plan)
    by_gain = gain_rounds([outcomes[one.name] for one in others], plan.rounds, seed)
    spans = {}
    for metric, value_RM in by_metric.items():
        for result, gain_RM in by_gain.items():
            rho_R = spearman_rounds(value_RM, gain_RM)
            spans[metric, result] = recentred(float(rho_R[0]), rho_R[1:], 0.95, signed=True)
    return Found(evaluation, outcomes, told, spans)
