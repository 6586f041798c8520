"""From a base and its experts to one model, stage by stage, and what stands beside it for comparison.

    base        a model of chance learns a little of every domain
    experts     one for each domain, from the base
    merges      every method; lambda by validation
    gate        does the best merge beat the base on validation? It decides where the student begins
    distilled   the student, several seeds; and one seed from the start that the gate did not choose
    joint       supervised on gold answers and on the experts' own answers, and reinforced on all domains: with as many
                answers as the student learns from, and supervised on gold answers also with the compute of everything
    short       a model that writes workings, reinforced to write shorter ones
    board       all of them on held-out prompts (`board.py`)

Each stage makes what is not there yet. The world's gold answers stand for data that exists; experts of a real house may
know what no data shows, and then there is no joint training on gold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from palaestra.learn.language_model import write_model
from palaestra.posttrain.gate import Gate, gate
from palaestra.posttrain.merging.recipe import SCALES
from palaestra.recipes.experts_to_generalist.grades import Right, graded, halves, one_of_each, read_right
from palaestra.recipes.experts_to_generalist.letters import letter_tokenizer
from palaestra.recipes.experts_to_generalist.plan import Plan
from palaestra.recipes.experts_to_generalist.pupils import taught_by_answers
from palaestra.recipes.experts_to_generalist.small_model import small_model
from palaestra.recipes.experts_to_generalist.workshop import (
    Job,
    distilled,
    merged,
    model_of,
    reinforced,
    side_by_side,
    taught,
)
from palaestra.recipes.experts_to_generalist.world import LONGEST_ANSWER, LONGEST_WORKING, mixture
from palaestra.store.records import write_text

Tell = Callable[[str, int, int], None]
START_FILE = "start.json"
_SPARE = 4
"""Gold answers are drawn so many times as often as there are steps to see them, at most."""


class Story:
    """The stages, in one folder.

    Args:
        out: the folder.
        plan: sizes.
        tell: is told the stage, what is done, of how many.
    """

    def __init__(self, out: Path, plan: Plan, tell: Tell = lambda _stage, _done, _of: None) -> None:
        self.out, self.plan, self.tell = out, plan, tell
        self.experts = {name: out / "experts" / name for name in plan.domains}
        self.merges = {
            f"{method}{'' if scale is None else f'-{scale:g}'}": (method, scale)
            for method in plan.methods
            for scale in (plan.scales if method in SCALES else (None,))
        }

    def base(self) -> None:
        """A model of chance, and the base."""
        chance = self.out / "chance"
        if not chance.is_dir():
            write_model(chance, small_model(self.plan.width, self.plan.layers), letter_tokenizer())
        gold = mixture("train", self._count(self.plan.base_steps), 0, domains=self.plan.domains)
        settings = self._sft(self.plan.base_steps, self.plan.base_rate)
        self._do("base", [(taught, (self.out / "base", str(chance), gold, settings))])
        self._grade("base", [self.out / "base"])

    def make_experts(self) -> None:
        """An expert for each domain."""
        plan, base = self.plan, model_of(self.out / "base")
        settings = self._sft(plan.expert_steps, plan.expert_rate)
        jobs: list[Job] = [
            (taught, (out, base, mixture("train", plan.expert_steps * plan.batch, 1, domains=(name,)), settings))
            for name, out in self.experts.items()
        ]
        self._do("experts", jobs)
        self._grade("experts", list(self.experts.values()))

    def make_merges(self) -> None:
        """Every method at every lambda."""
        base, experts = model_of(self.out / "base"), self._experts()
        self._do(
            "merges",
            [(merged, (self.out / "merges" / name, base, experts, *how)) for name, how in self.merges.items()],
        )
        self._grade("merges", [self.out / "merges" / name for name in self.merges])

    def start(self) -> tuple[str, Gate]:
        """Where the student begins: the best merge of validation if it surely beats the base there, else the base."""
        seen = {name: halves(read_right(self.out / "merges" / name, "validation")) for name in self.merges}
        best = max(seen, key=lambda name: seen[name][0].mean)  # one half chooses, the other judges
        found = gate(*_flat(halves(read_right(self.out / "base", "validation"))[1], seen[best][1]))
        said = {"merge": best, "passed": found.passed, "reason": found.reason, "base": found.base, "other": found.other}
        write_text(self.out / START_FILE, json.dumps(said, indent=2) + "\n")
        return best, found

    def distil(self) -> None:
        """The student, seed by seed; and once from the other start."""
        best, found = self.start()
        starts = {"base": self.out / "base", "merge": self.out / "merges" / best}
        chosen, other = ("merge", "base") if found.passed else ("base", "merge")
        base, experts = one_of_each(self.out / "base", self.experts, "validation")
        jobs: list[Job] = [
            (
                distilled,
                (
                    self.out / "distilled" / f"{name}-{seed}", model_of(starts[name]), self._experts(),
                    self._distil(seed), self.plan.rows // len(self.plan.domains) + 1, self.plan.validation,
                    experts.by_domain(), base.by_domain(),
                ),
            )
            for name, seed in [*((chosen, seed) for seed in range(self.plan.seeds)), (other, 0)]
        ]  # fmt: skip
        self._do("distilled", jobs)
        self._grade("distilled", [self.out / "distilled" / job[1][0].name for job in jobs])

    def joint(self) -> None:
        """What a house would do without experts, or with their data alone."""
        plan, base = self.plan, model_of(self.out / "base")
        jobs: list[Job] = []
        for name, steps, seeds in (
            ("gold", plan.equal_steps, plan.seeds),
            ("gold-all-compute", plan.total_steps, plan.costly_seeds),
        ):
            gold = mixture("train", self._count(steps), 2, domains=plan.domains)
            jobs += [
                (taught, (self.out / "joint" / f"{name}-{s}", base, gold, self._sft(steps, plan.expert_rate, s)))
                for s in range(seeds)
            ]
        jobs += [
            (
                taught_by_answers,
                (
                    self.out / "joint" / f"experts-data-{seed}", base, self._experts(),
                    plan.rows // len(plan.domains) + 1, self._sft(plan.equal_steps, plan.expert_rate, seed),
                ),
            )
            for seed in range(plan.seeds)
        ]  # fmt: skip
        asked = mixture("train", plan.rows // len(plan.domains) // plan.group + 1, 3, domains=plan.domains)
        jobs += [
            (reinforced, (self.out / "joint" / f"rl-{seed}", base, asked, self._rl(seed))) for seed in range(plan.seeds)
        ]
        self._do("joint", jobs)
        self._grade("joint", [job[1][0] for job in jobs])

    def short(self) -> None:
        """A model that writes workings, and what reinforcement with a price on tokens makes of it."""
        plan, talker = self.plan, self.out / "short" / "talker"
        said = mixture("train", self._count(plan.talk_steps), 4, says="working", domains=plan.domains)
        self._do(
            "short", [(taught, (talker, model_of(self.out / "base"), said, self._sft(plan.talk_steps, plan.base_rate)))]
        )
        asked = mixture("train", plan.short_steps, 5, domains=plan.domains)
        settings = self._rl(0) | {
            "steps": plan.short_steps, "max_tokens": LONGEST_WORKING, "lengths": {"form": "group", "alpha": 0.4},
            "prompts": max(1, plan.batch // plan.group) * 2,
        }  # fmt: skip
        self._do("short", [(reinforced, (self.out / "short" / "brief", model_of(talker), asked, settings))])
        self._grade("short", [talker, self.out / "short" / "brief"], says="working")

    def whole(self) -> None:
        """Every stage that makes models."""
        for stage in (self.base, self.make_experts, self.make_merges, self.distil, self.joint, self.short):
            stage()

    def _do(self, stage: str, jobs: list[Job]) -> None:
        side_by_side(jobs, self.plan.workers, lambda done, of: self.tell(stage, done, of))

    def _grade(self, stage: str, outs: list[Path], **how: Any) -> None:  # noqa: ANN401 - of `graded`
        plan = self.plan
        sizes: Mapping[Any, int] = {"validation": plan.validation, "test": plan.test}
        jobs: list[Job] = [
            (partial(graded, **how), (out, split, count, plan.domains))
            for out in outs
            for split, count in sizes.items()
        ]
        side_by_side(jobs, plan.workers, lambda done, of: self.tell(f"{stage}, grades", done, of))

    def _experts(self) -> dict[str, str]:
        return {name: model_of(out) for name, out in self.experts.items()}

    def _count(self, steps: int) -> int:
        """Examples of each domain for so many steps, none of which is seen often."""
        return max(1, min(20_000, steps * self.plan.batch // len(self.plan.domains) + _SPARE))

    def _sft(self, steps: int, rate: float, seed: int = 0) -> dict[str, Any]:
        return {
            "steps": steps, "batch": self.plan.batch, "learning_rate": rate, "warmup": max(1, steps // 30),
            "pack_to": 0, "max_tokens": 128, "save_every": 500, "check_every": 10**6, "seed": seed, "epoch_cap": 1000,
        }  # fmt: skip

    def _distil(self, seed: int) -> dict[str, Any]:
        plan = self.plan
        return {
            "steps": plan.distill_steps, "batch": plan.distill_batch, "learning_rate": plan.distill_rate,
            "divergence": plan.divergence, "balance": plan.balance, "block": plan.block,
            "max_tokens": LONGEST_ANSWER + 1, "warmup": max(1, plan.distill_steps // 30), "seed": seed,
            "check_every": max(plan.block, plan.distill_steps // 10),
        }  # fmt: skip

    def _rl(self, seed: int) -> dict[str, Any]:
        plan = self.plan
        prompts = max(1, plan.distill_batch // plan.group)
        return {
            "method": "grpo", "steps": max(1, plan.rows // (prompts * plan.group)), "prompts": prompts,
            "group": plan.group, "learning_rate": plan.rl_rate, "max_tokens": LONGEST_ANSWER + 1, "beta": 0.0,
            "save_every": 500, "seed": seed,
        }  # fmt: skip


def _flat(one: Right, other: Right) -> tuple[list[float], list[float], list[str], list[str]]:
    names = [name for name, flags in one.right.items() for _ in flags]
    flat = [[float(flag) for name in model.right for flag in model.right[name]] for model in (one, other)]
    return flat[0], flat[1], names, [f"{name} {place}" for place, name in enumerate(names)]
