"""Which metric of a reward foretold what it does to a model? Writes docs/benchmarks/ppe_downstream.md.

A small language model is trained here, 21 rewards of different quality are made for it, and each is evaluated
by `palaestra.rewards.ppe`: seven metrics against (simulated) people's votes, five against the truth. Then the model is
really optimised against each one on other prompts: the best of N replies, and policy gradients from several seeds.
What comes of it is counted by a verifier. Last, of every metric, Spearman's correlation with the gain over the rewards
(the verifier itself is left out: nobody has it). What is measured is in `foretelling.py`.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from foretelling import FEW, MANY, METRICS, MOST, QUICK, RESULTS, RL, Found, Outcome, Plan, measured
from small_gpt import SmallGpt
from small_tasks import DOMAINS

from palaestra.pictures.drawing import altair, save_chart, styled
from palaestra.pictures.palette import FIRST, INK, SOFT
from palaestra.rewards.ppe.downstream import LOW_QUARTILE

_SHOWN = (METRICS[0], METRICS[7], METRICS[8], METRICS[11])
_HEADS = ("reward", "people", "accuracy", "AUC", "end score", "best of 4", "best of 32", "best N", "RL", "below peak",
          "its reward", "KL")  # fmt: skip
_LEGEND = """\
Accuracy against people, then accuracy, AUC and end score against the truth; the gains; the N at which the best of N was
best; RL by seed, how far its end lies below its best look, what became of the reward itself (in its standard deviations
over the first model's replies), and how far the model went (KL in nats a reply)."""


def reward_rows(found: Found) -> list[str]:
    """A line for each reward, the greatest gain of RL first."""
    rows = []
    for name, one in sorted(found.outcomes.items(), key=lambda item: -item[1].gains()[RL]):
        shown = [found.evaluation.value(*metric, name).value for metric in _SHOWN]
        gain = one.gains()
        cells = [
            name,
            *("" if value is None else f"{value:.2f}" for value in shown),
            f"{100 * gain[FEW]:+.1f}",
            f"{100 * gain[MANY]:+.1f}",
            f"{1 + int(one.curve_PN.mean(axis=0).argmax())}",
            ", ".join(f"{100 * value:+.1f}" for value in one.rl_SP.mean(axis=1)),
            f"{100 * below_peak(one):.1f}",
            f"{reward_gain(one):+.2f}",
            f"{np.mean([looks[-1].kl for looks in one.runs]):.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def below_peak(one: Outcome) -> float:
    """How far the share of right replies ends below the best look, seeds taken together."""
    by_look = np.mean([[look.right_P.mean() for look in looks] for looks in one.runs], axis=0)
    return float(by_look.max() - by_look[-1])


def reward_gain(one: Outcome) -> float:
    """What became of the reward that was optimised."""
    return float(np.mean([looks[-1].reward - looks[0].reward for looks in one.runs]))


def metric_rows(found: Found, domain: Mapping[str, str]) -> list[str]:
    """A line for each metric: Spearman's correlation with each result, and both intervals."""
    rows = []
    for side, total, metric in METRICS:
        key = (side, domain.get(side, total), metric)
        cells = []
        for result in RESULTS:
            one = found.told.get((key, result))
            cell = "" if one is None or one.spearman is None else f"{one.spearman:+.2f}"
            if one is not None and one.spearman_lower is not None:
                cell += f" ({one.spearman_lower:+.2f} to {one.spearman_upper:+.2f})"
            if (key, result) in found.prompts:
                low, high = found.prompts[key, result]
                cell += f" [{low:+.2f}, {high:+.2f}]"
            cells.append(cell)
        rows.append(f"| {side}: {metric.replace('_', ' ')} | {' | '.join(cells)} |")
    return rows


def over_optimised(found: Found) -> list[str]:
    """With which rewards the reward went up and the truth down."""

    def named(fell: Mapping[str, bool]) -> str:
        return (
            f"{sum(fell.values())} of {len(fell)}: {'; '.join(name for name, does in fell.items() if does) or 'none'}."
        )

    up = {name: reward_gain(one) > 0 and one.gains()[RL] < -0.01 for name, one in found.outcomes.items()}
    curves = {name: one.curve_PN.mean(axis=0) for name, one in found.outcomes.items()}
    turned = {name: bool(curve_N.max() - curve_N[-1] > 0.01) for name, curve_N in curves.items()}
    return [
        f"RL raised the reward and lowered the truth by more than a point for {named(up)}",
        "",
        f"The best of {MOST} was more than a point worse than the best of fewer for {named(turned)}",
    ]


def about_world(found: Found, plan: Plan) -> str:
    """What was done."""
    first, rl = next(iter(found.outcomes.values())), plan.rl
    base = first.curve_PN[:, 0].mean()
    weights = sum(weight.numel() for weight in SmallGpt(plan.width, plan.layers).parameters())
    return (
        f"A transformer of {weights:,} weights, trained in the same run on an erring teacher, answers four kinds of "
        f"small tasks ({', '.join(DOMAINS)}); a verifier knows the truth, and {100 * base:.0f} % of "
        f"its replies are right. Each of {len(found.outcomes)} rewards is evaluated by `palaestra.rewards.ppe` on 16 "
        "replies to each prompt and on votes of simulated people, who like what is right and what says `hmm`. Then the "
        f"model is optimised against it on other prompts: the best of N, and {rl.steps} steps of RLOO (a loop of the "
        f"benchmark's own, not TRL), each with {rl.group} replies to {rl.prompts} prompts, {rl.penalty} standard "
        f"deviations of the reward off for each nat of KL, from {plan.seeds} seeds. Gains are in points of right ones."
    )


def page(found: Found, plan: Plan, about: str) -> str:
    """The page as Markdown."""
    heads = [f"| metric | {' | '.join(RESULTS)} |", "|---|---|---|---|"]
    correlated = (
        f"Spearman's correlation with the gain over {len(found.outcomes) - 1} rewards, the verifier left out; metrics "
        "of which less is better are turned. In round brackets 95 % over other rewards (percentiles), in square ones "
        "over other prompts, votes and seeds with these rewards (recentred)."
    )
    lines = [
        "# Which metric of a reward foretold what came of it", "",
        f"`tests/benchmarks/rewards/downstream.py` ({about}).", "",
        about_world(found, plan), "",
        "![Spearman's correlation of each metric with each gain](../images/ppe-downstream.png)", "",
        "## The rewards", "", _LEGEND, "",
        f"| {' | '.join(_HEADS)} |", "|---" * len(_HEADS) + "|", *reward_rows(found), "",
        *over_optimised(found), "",
        "## The metrics", "", correlated, "", *heads, *metric_rows(found, {}), "",
        "The same with the lower quartile of the four domains in place of all:", "",
        *heads, *metric_rows(found, dict.fromkeys(("human", "correctness"), LOW_QUARTILE)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def draw(found: Found, path: Path) -> None:
    """The correlation of each metric with each gain, with intervals over rewards."""
    alt = altair()
    rows = [
        {"metric": f"{metric[0]}: {metric[2].replace('_', ' ')}", "result": result, "value": one.spearman, "zero": 0,
         "lower": one.spearman_lower, "upper": one.spearman_upper, "human": metric[0] == "human"}
        for metric in METRICS
        for result in RESULTS
        if (one := found.told.get((metric, result))) is not None and one.spearman is not None
    ]  # fmt: skip
    y = alt.Y("metric:N", sort=None, title=None, axis=alt.Axis(grid=False, labelLimit=260))
    data = alt.Data(values=rows)
    base = alt.Chart(data).encode(y=y, color=alt.condition("datum.human", alt.value(SOFT), alt.value(FIRST)))
    x = alt.X("lower:Q", scale=alt.Scale(domain=[-1, 1]), title="Spearman's correlation")
    layers = alt.layer(
        alt.Chart(data).mark_rule(color=INK, strokeWidth=1).encode(x="zero:Q"),
        base.mark_rule(strokeWidth=1.6).encode(x=x, x2="upper:Q"),
        base.mark_point(filled=True, size=48, opacity=1).encode(x="value:Q"),
    ).properties(width=210, height=alt.Step(22))
    header = alt.Header(orient="top", labelAnchor="start", title=None)
    chart = layers.facet(alt.Facet("result:N", sort=list(RESULTS), header=header), columns=3)
    about = f"{len(found.outcomes) - 1} rewards; lines are 95% intervals over other rewards"
    save_chart(styled(chart, "Which metric foretold the gain in truth?", about), path)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--quick", action="store_true", help="a minute, to see that it runs; its figures say nothing")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load, began = os.getloadavg()[0], (time.perf_counter(), time.process_time())
    torch.set_num_threads(1)
    plan = QUICK if given.quick else Plan()
    found = measured(plan, given.seed)
    wall, used = time.perf_counter() - began[0], time.process_time() - began[1]
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, one of {os.cpu_count()} cores, load {load:.1f} before, {wall / 60:.0f} min, "
        f"{used / 60:.0f} of them of the processor, Python {platform.python_version()}, torch {torch.__version__}, "
        f"seed {given.seed}"
    )
    written = page(found, plan, about)
    print(written)
    if given.out:
        given.out.write_text(written, encoding="utf-8")
    if given.picture:
        draw(found, given.picture)


if __name__ == "__main__":
    main()
