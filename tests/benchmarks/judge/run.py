"""What judges' runs and boards cost, against Arena-Hard's method and against the ideal; `make bench-judge`.

board      500 questions x 100 models, style and intervals, against the method of arena-hard-auto written from its
           description: rows one by one, strong verdicts copied, L-BFGS on one-hot differences and z-scored style,
           100 bootstrap rounds (a few are run, and the rest extrapolated)
engine     a judge that takes 50 ms, 64 at once: verdicts a second against 64 / 0.05; memory at the end against
           that after the first tenth
schedule   the active schedule at half the verdicts against one baseline in both orders, simulated
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from kills import bench_kills
from scipy.optimize import minimize
from scipy.special import expit

from palaestra.gateway import GatewaySettings
from palaestra.gateway.asking import Post
from palaestra.judge.answering import Answers
from palaestra.judge.answers import Answer
from palaestra.judge.judging import Panel
from palaestra.judge.protocols import EVERY, PROTOCOLS
from palaestra.judge.schedule import ActiveSchedule, Meeting, against_baselines, everybody
from palaestra.judge.votes import votes_of
from palaestra.ranking import FitConfig
from palaestra.recipes.verdict_board import VerdictBoard, board_of_verdicts, pairs_that_say_most
from palaestra.schema import ModelSpec, Prompt

LABELS = np.array(["A>>B", "A>B", "A=B", "B>A", "B>>A"])
COPIES, ROUNDS_RUN, ROUNDS = 3, 2, 100
PLACES, SECONDS = 64, 0.05


def verdicts_of(
    meetings: list[Meeting], theta: dict[str, float], effect: np.ndarray, seed: int, *, both: bool
) -> pl.DataFrame:
    """Verdicts of simulated judges: strengths, effects of questions on models, a liking of the first place."""
    rng, names = np.random.default_rng(seed), list(theta)
    place = {name: number for number, name in enumerate(names)}
    question = np.array([meeting.question for meeting in meetings])
    sides = [np.array([place[getattr(meeting, side)] for meeting in meetings]) for side in "ab"]
    strength, parts = np.array(list(theta.values())), []
    for game in (1, 2)[: 1 + both]:
        a, b = sides if game == 1 else sides[::-1]
        z = strength[a] - strength[b] + effect[question, a] - effect[question, b] + 0.2
        noise = rng.logistic(size=len(z))
        label = LABELS[np.digitize(-(z + noise), [-2.5, -0.25, 0.25, 2.5])]
        parts.append(
            pl.DataFrame(
                {
                    "question_id": [f"q{n}" for n in question], "judge": "judge", "protocol": "simulated",
                    "model_a": [names[n] for n in a], "model_b": [names[n] for n in b], "game": game, "label": label,
                    "preference": None, "category": None,
                },
                schema_overrides={"preference": pl.Float64, "category": pl.String},
            )
        )  # fmt: skip
    return pl.concat(parts)


def arena_hard_round(
    verdicts: pl.DataFrame, counts: pl.DataFrame, rng: np.random.Generator | None
) -> tuple[np.ndarray, float]:
    """One fit of arena-hard-auto's method, on rows drawn with replacement where a generator is given."""
    began = time.perf_counter()
    names = sorted(set(verdicts["model_a"]) | set(verdicts["model_b"]))
    place = {name: number for number, name in enumerate(names)}
    label = verdicts["label"].to_numpy()
    copies = np.where((label == "A>>B") | (label == "B>>A"), COPIES, 1)
    rows = np.repeat(np.arange(len(label)), copies)
    a = np.array([place[name] for name in verdicts["model_a"]])[rows]
    b = np.array([place[name] for name in verdicts["model_b"]])[rows]
    score = np.select([np.isin(label, ["A>>B", "A>B"]), label == "A=B"], [1.0, 0.5], 0.0)[rows]
    sides = []
    for side in "ab":
        joined = verdicts.join(
            counts, left_on=["question_id", f"model_{side}"], right_on=["question_id", "model"], how="left",
            maintain_order="left",
        )  # fmt: skip
        sides.append(joined.select("length", "header", "list", "bold").to_numpy().astype(float)[rows])
    style = (sides[0] - sides[1]) / (sides[0] + sides[1] + 1)
    style = (style - style.mean(axis=0)) / style.std(axis=0)
    x = np.zeros((len(rows), len(names) + style.shape[1]))
    x[np.arange(len(rows)), a] = 1.0
    x[np.arange(len(rows)), b] -= 1.0
    x[:, len(names) :] = style
    if rng is not None:
        drawn = rng.integers(0, len(rows), len(rows))
        x, score = x[drawn], score[drawn]

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ beta
        return float(np.logaddexp(0, z).sum() - score @ z) / len(score), x.T @ (expit(z) - score) / len(score)

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 100, "gtol": 1e-8})
    return found.x, time.perf_counter() - began


def bench_board(out: list[str]) -> None:
    """500 questions, 100 models, one baseline, style and intervals."""
    rng = np.random.default_rng(0)
    names = [f"m{n:03d}" for n in range(100)]
    prompts = [Prompt(id=f"q{n}", turns=("?",)) for n in range(500)]
    meetings = against_baselines(prompts, names, [{EVERY: names[50]}])
    theta = dict(zip(names, np.sort(rng.normal(0, 1, 100)), strict=True))
    verdicts = verdicts_of(meetings, theta, rng.normal(0, 0.7, (500, 100)), 1, both=True)
    counts = pl.DataFrame(
        {
            "question_id": [f"q{n}" for n in range(500) for _ in names], "model": names * 500,
            "length": rng.integers(50, 2000, 50_000), "header": rng.integers(0, 6, 50_000),
            "list": rng.integers(0, 20, 50_000), "bold": rng.integers(0, 20, 50_000),
        }
    )  # fmt: skip
    config = FitConfig(style=("all",), style_definition="arena-hard-v0.1")

    def ours() -> VerdictBoard:
        return board_of_verdicts(verdicts, config, baseline=names[50], strong=COPIES, counts=counts)

    board_of_verdicts(verdicts.head(4000), FitConfig(), baseline=None)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        found = ours()
        times.append(time.perf_counter() - began)
    mine = float(np.median(times))
    theirs, single = arena_hard_round(verdicts, counts, None)
    rounds = [arena_hard_round(verdicts, counts, rng)[1] for _ in range(ROUNDS_RUN)]
    total = single + ROUNDS * float(np.mean(rounds))
    rating = {line.model: line.rating * np.log(10) / 400 for line in found.board.models}
    gap = np.array([rating[name] for name in names]) - theirs[:100]
    out += [
        "## A board of 500 questions x 100 models (99,000 games), style and intervals",
        "",
        "| who | seconds |", "|---|---|",
        f"| Palaestra, sandwich by question, and the same with strong verdicts once | {mine:.2f} |",
        f"| arena-hard-auto's method, one fit | {single:.1f} |",
        f"| the same with 100 bootstraps, from {ROUNDS_RUN} | {total:.0f} |",
        "",
        f"Ratio {total / mine:.0f} (goal 50: {'met' if total / mine >= 50 else '**not met**'}).",
        f"Strengths differ by at most {np.abs(gap - gap.mean()).max():.3f} natural units (features centred there).",
        "",
    ]  # fmt: skip


async def judged(count: int, folder: Path, out: list[str]) -> None:
    """So many verdicts of a judge in 50 ms."""
    names = [f"m{n}" for n in range(5)]
    questions = -(-count // 20)
    prompts = [Prompt(id=f"q{n}", turns=(f"What is {n}?",)) for n in range(questions)]
    text = "An answer of some length, which says one thing and another. " * 10
    answers = Answers(
        {(m, p.id): Answer(question_id=p.id, model=m, turns=(f"{m} {p.id} {text}",)) for m in names for p in prompts}
    )
    spec = ModelSpec(name="judge", endpoint=f"scripted:judge?first={SECONDS}")
    done, began, memory = 0, 0.0, 0.0

    def tick() -> None:
        nonlocal done, began, memory
        done += 1
        if done == 1:
            began = time.perf_counter()
        if done == count // 10:
            memory = peak()

    async with Post(folder / "calls.db", [spec], GatewaySettings(concurrency=PLACES)) as post:
        panel = Panel(post, prompts, answers, PROTOCOLS["pairwise"])
        await panel.hear(panel.games(everybody(prompts, names), ("judge",)), ("judge",), tick)
    took, ideal = time.perf_counter() - began, PLACES / SECONDS
    rate = (done - 1) / took
    out += [
        f"## A judge that takes 50 ms, {PLACES} at once",
        "",
        f"{done:,} verdicts in {took:.1f} s: {rate:.0f} a second, {rate / ideal:.0%} of the ideal {ideal:.0f}",
        f"(goal 90 %: {'met' if rate / ideal >= 0.9 else '**not met**'}). Memory of the command {memory:.0f} MB",
        f"after a tenth, {peak():.0f} MB at the end; of the courier {peak(resource.RUSAGE_CHILDREN):.0f} MB.",
        "",
    ]


def peak(who: int = resource.RUSAGE_SELF) -> float:
    """The highest resident memory so far, MB."""
    return resource.getrusage(who).ru_maxrss / 1024


def told_apart(found: VerdictBoard) -> tuple[float, float]:
    """Share of pairs whose scores' intervals do not overlap, and of pairs whose difference is beyond 1.96 errors."""
    scores = list(found.scores.values())
    apart = [one.lower > two.upper or two.lower > one.upper for one, two in combinations(scores, 2)]
    rating = np.array([line.rating for line in found.board.models])
    covariance = np.array(found.board.covariance)
    variance = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
    first, second = np.triu_indices(len(rating), 1)
    beyond = np.abs(rating[first] - rating[second]) > 1.96 * np.sqrt(np.maximum(variance[first, second], 1e-12))
    return float(np.mean(apart)), float(np.mean(beyond))


def bench_schedule(worlds: int, out: list[str]) -> None:
    """Half the verdicts, in rounds, against one baseline; the baseline in the middle, and near the top."""
    models, questions = 20, 500
    prompts = [Prompt(id=f"q{n}", turns=("?",)) for n in range(questions)]
    names = [f"m{n:02d}" for n in range(models)]
    rows = {"baseline in the middle": [], "baseline second best": [], "active, half the verdicts": []}
    for seed in range(worlds):
        rng = np.random.default_rng(seed)
        theta = dict(zip(names, rng.normal(0, 1, models), strict=True))
        effect = rng.normal(0, 0.7, (questions, models))
        order = sorted(names, key=lambda name: theta[name])
        for what, baseline in (("baseline in the middle", order[models // 2]), ("baseline second best", order[-2])):
            star = against_baselines(prompts, names, [{EVERY: baseline}])
            found = board_of_verdicts(verdicts_of(star, theta, effect, seed, both=True), baseline=baseline)
            rows[what].append(told_apart(found))
        schedule, frames = ActiveSchedule(names, questions, questions * (models - 1), 8, seed), list[pl.DataFrame]()
        for number, meetings in enumerate(
            schedule.rounds(lambda so_far=frames: votes_of(pl.concat(so_far)), pairs_that_say_most)
        ):
            frames.append(verdicts_of(meetings, theta, effect, 1000 * seed + number, both=False))
        config = FitConfig(covariates=("position",))
        rows["active, half the verdicts"].append(told_apart(board_of_verdicts(pl.concat(frames), config)))
    out += [
        f"## Separability of {models} models on {questions} questions, {worlds} simulated worlds",
        "",
        "| schedule | verdicts | intervals of scores apart | differences told apart |", "|---|---|---|---|",
    ]  # fmt: skip
    for what, found in rows.items():
        mean, error = np.mean(found, axis=0), np.std(found, axis=0) / len(found) ** 0.5
        games = questions * (models - 1) * (1 if "half" in what else 2)
        out.append(f"| {what} | {games:,} | {mean[0]:.1%} ± {error[0]:.1%} | {mean[1]:.1%} ± {error[1]:.1%} |")
    gaps = {
        what: np.array(rows["active, half the verdicts"]) - np.array(rows[what])
        for what in ("baseline in the middle", "baseline second best")
    }
    for what, gap in gaps.items():
        mean, error = gap.mean(axis=0), gap.std(axis=0) / len(gap) ** 0.5
        said = f"{mean[0]:+.1%} ± {error[0]:.1%} of scores, {mean[1]:+.1%} ± {error[1]:.1%} of differences"
        out += ["", f"Active minus {what}: {said}."]
    out.append("")


def main() -> None:
    """Run all of it, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--verdicts", type=int, default=100_000)
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--kills", type=int, default=50)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    out = [
        "# Judges: boards, runs, schedules",
        "",
        f"`make bench-judge` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, load {load:.1f} before,",
        f"Python {platform.python_version()}.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(judged(given.verdicts, Path(folder), out))
    bench_kills(given.kills, out)
    bench_board(out)
    bench_schedule(given.worlds, out)
    text = "\n".join(out)
    sys.stdout.write(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
