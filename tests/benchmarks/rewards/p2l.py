"""A leaderboard for every prompt: does it find the truth, does it foretell real votes, what does it cost?

simulated  votes whose strengths move with the prompt: the error of per-prompt win rates, the board of all prompts
           against the fit that knows no prompts
real       outcomes and verdicts with prompts, three tenths of the prompts held out. The spread, the neighbours and how
           far they may lean are chosen on the other prompts alone, and so are the principal components
cost       a million votes among a hundred models on vectors of 384 numbers: seconds and memory of the whole training
board      milliseconds of one prompt's board after its vector

newcomer   models that join a trained head with few votes, against a board of the same votes
hidden     `real` with the hidden states of SmolLM2 for vectors; slow, and only by name
lm         SmolLM2 trained with its head on AlpacaEval, against itself untrained and MiniLM, on the prompts of `real`;
           slow, and only by name

Each part may be run by itself (`--only`); it then takes the place of its own section of the page.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import expit

from palaestra.learn.backbone import backbone_folder
from palaestra.learn.features import features
from palaestra.p2l.aggregate import board_of
from palaestra.p2l.backbone import train_backbone
from palaestra.p2l.cold_start import with_newcomer
from palaestra.p2l.config import TrainConfig, TuneConfig
from palaestra.p2l.evaluate import Evaluation, Figure, evaluate, renumbered
from palaestra.p2l.featurizers import featurizer_named
from palaestra.p2l.fitting import Weights, losses_of
from palaestra.p2l.head import HeadBoards
from palaestra.p2l.leaderboard import leaderboard
from palaestra.p2l.train import train_on
from palaestra.p2l.tuned import PromptStates, Tuned
from palaestra.stats.clustered import mean
from palaestra.store.prompted_votes import PromptedVotes, read_prompted_votes

SIMULATED = (
    "20 models, a prompt every five votes, vectors of 64 numbers; five worlds, mean ± standard error. Errors are those "
    "against the true chances of all pairs on 500 new prompts: the calibration error in ten bins of the foretold "
    "chance, the mean error pair by pair. The last two columns are in log odds, root mean square over models: the "
    "board of all training prompts less the fit that knows no prompts, and how sure the ensemble is of the first."
)
MOST = 3000
"""Prompts of one file, at most."""
TUNING = TuneConfig(mode="lora", learning_rate=3e-4)
"""Of the language model: one epoch."""
MODELS = 30
"""Models of one file, at most."""
ANNOTATOR = "alpaca_eval_gpt4"
HEADING = "# A leaderboard for every prompt"


@dataclass(frozen=True)
class World:
    """Votes, vectors of their prompts, and the true strengths."""

    votes: PromptedVotes
    x_PD: np.ndarray
    w_MD: np.ndarray
    a_M: np.ndarray

    def beta(self, x_PD: np.ndarray) -> np.ndarray:
        """The true strengths on prompts."""
        return self.a_M + x_PD @ self.w_MD.T


def world(*, prompts: int, models: int, votes: int, spread: float, size: int, seed: int) -> World:
    """Votes by Bradley-Terry, strengths linear in a vector whose variance falls off as embeddings' does."""
    rng = np.random.default_rng(seed)
    fall_D = 1 / np.sqrt(1 + np.arange(size))
    fall_D /= np.linalg.norm(fall_D)
    x_PD = (rng.standard_normal((prompts, size), dtype=np.float32) * fall_D).astype(np.float32)
    w_MD, a_M = spread * rng.normal(size=(models, size)), rng.normal(0, 0.7, models)
    prompt_B = np.sort(rng.integers(0, prompts, votes))
    first_B = rng.integers(0, models, votes)
    second_B = (first_B + rng.integers(1, models, votes)) % models
    d_B = a_M[first_B] - a_M[second_B]
    for low in range(0, votes, 50_000):
        here = slice(low, low + 50_000)
        d_B[here] += np.einsum("bd,bd->b", x_PD[prompt_B[here]], w_MD[first_B[here]] - w_MD[second_B[here]])
    outcome_B = (rng.random(votes) > expit(d_B)).astype(np.int8)
    names = [tuple(f"{kind}{number:06d}" for number in range(count)) for kind, count in (("p", prompts), ("m", models))]
    found = PromptedVotes(
        names[0], names[1], prompt_B.astype(np.int32), first_B.astype(np.int32), second_B.astype(np.int32),
        outcome_B, np.ones(votes), np.full(votes, -1, dtype=np.int32), (), (None,) * prompts,
    )  # fmt: skip
    return World(found, x_PD, w_MD, a_M)


def bench_simulated(out: list[str]) -> None:
    """The error of win rates on prompts that nobody voted on."""
    heads = (
        "votes", "spread", "spread chosen", "calibration error", "of the plain board", "mean error of a win rate",
        "of the plain board", "boards of all prompts differ by", "their standard error",
    )  # fmt: skip
    out += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for votes, spread in ((5_000, 0.5), (5_000, 1.0), (50_000, 0.5), (50_000, 1.0), (50_000, 0.0)):
        rows = np.array([_recovered(votes, spread, seed) for seed in range(5)])
        mean, se = rows.mean(axis=0), rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
        cells = [f"{mean[0]:.2g}", *(f"{m:.4f} ± {s:.4f}" for m, s in zip(mean[1:], se[1:], strict=True))]
        out.append(f"| {votes:,} | {spread:g} | {' | '.join(cells)} |")
    out += ["", SIMULATED]


def _recovered(votes: int, spread: float, seed: int) -> list[float]:
    made = world(prompts=votes // 5, models=20, votes=votes, spread=spread, size=64, seed=seed)
    head = train_on(made.votes, made.x_PD, TrainConfig(kind="bradley-terry", members=8, seed=seed))
    fall_D = made.x_PD.std(axis=0)
    new_PD = (np.random.default_rng(seed + 1000).normal(size=(500, 64)) * fall_D).astype(np.float32)
    one, two = np.triu_indices(20, 1)
    true = expit(_gap(made.beta(new_PD), one, two)).ravel()
    found = expit(_gap(head.coefficients_of(head.projection(new_PD)).beta_PM, one, two)).ravel()
    plain = np.tile(expit(_gap(head.plain.a_M[None], one, two)), (500, 1)).ravel()
    board = board_of("bradley-terry", head.coefficients_of(head.projection(made.x_PD)))
    assert board.draws_RM is not None
    gap_M = board.beta_M - board.beta_M.mean() - head.plain.a_M + head.plain.a_M.mean()
    off_RM = board.draws_RM - board.draws_RM.mean(axis=1, keepdims=True)
    rms = [float(np.sqrt(np.square(one).mean())) for one in (gap_M, off_RM.std(axis=0, ddof=1))]
    errors = [
        _calibration(found, true),
        _calibration(plain, true),
        np.abs(found - true).mean(),
        np.abs(plain - true).mean(),
    ]
    return [head.spread, *map(float, errors), *rms]


def _gap(beta_PM: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return beta_PM[:, one] - beta_PM[:, two]


def _calibration(said: np.ndarray, true: np.ndarray) -> float:
    return float(np.abs(np.bincount(np.minimum((said * 10).astype(int), 9), said - true)).sum() / len(said))


def _files(data: Path) -> dict[str, Callable[[], PromptedVotes]]:
    judged = data / "judgments"
    korean, alpaca = judged / "ko-arena-hard", judged / "alpaca_eval"
    routed = data / "routing" / "routellm"

    def of_alpaca() -> PromptedVotes:
        rows = pl.read_csv(alpaca / "annotations_compact.csv.gz").filter(pl.col("annotator") == ANNOTATOR)
        with tempfile.TemporaryDirectory() as folder:
            rows.write_csv(Path(folder) / "votes.csv")
            return read_prompted_votes(Path(folder) / "votes.csv", prompts=alpaca / "instructions.csv.gz")

    def of_korean() -> PromptedVotes:
        questions, baseline = korean / "question.jsonl", "claude-3.7-sonnet"
        return read_prompted_votes(korean / "ensemble_verdicts.csv.gz", prompts=questions, baseline=baseline)

    return {
        "RouteLLM, MMLU": lambda: read_prompted_votes(routed / "mmlu.csv.gz"),
        "RouteLLM, GSM8K": lambda: read_prompted_votes(routed / "gsm8k.csv.gz"),
        "AlpacaEval": of_alpaca,
        "Korean Arena-Hard": of_korean,
    }


def bench_real(out: list[str], data: Path, kept: Path, featurizer: str = "local:minilm") -> None:
    """Held-out log loss on real outcomes and verdicts."""
    if not data.is_dir():
        out.append("The data are not beside the project.")
        return
    heads = (
        "data", "held out", "method", "log loss", "gain on the plain board", "the head's gain on it",
        "calibration error (by chance)",
    )  # fmt: skip
    out += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, read in _files(data).items():
        votes = some_models(read())
        if len(votes.prompts) > MOST:
            drawn = np.random.default_rng(1).choice(len(votes.prompts), MOST, replace=False)
            votes, _ = part(votes, np.zeros((len(votes.prompts), 0)), np.isin(np.arange(len(votes.prompts)), drawn))
        x_PD = features(featurizer_named(featurizer), votes.prompts, kept)
        new_P = np.random.default_rng(0).random(len(votes.prompts)) < 0.3
        seen, held = (part(votes, x_PD, chosen_P) for chosen_P in (~new_P, new_P))
        began = time.perf_counter()
        head = train_on(*seen, TrainConfig(members=0, features=featurizer))
        found = evaluate(head, *held, training=seen)
        print(name, f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
        out += _rows(name, found)
    drawn = f"Of more than {MOST:,} prompts, and of more than {MODELS} models, so many are drawn."
    said = f"Vectors: `{featurizer}`. 95% intervals, paired vote by vote and clustered by prompt."
    out += ["", f"{said} {drawn}"]


def some_models(votes: PromptedVotes) -> PromptedVotes:
    """The votes among a few models, where there are many; one against which most votes were given stays."""
    if len(votes.models) <= MODELS:
        return votes
    count_M = np.bincount(np.concatenate([votes.first_B, votes.second_B]), minlength=len(votes.models))
    order = np.random.default_rng(2).permutation(len(votes.models))
    kept = np.unique([int(count_M.argmax()), *order[: MODELS - 1]])
    found = votes.take(np.isin(votes.first_B, kept) & np.isin(votes.second_B, kept))
    names = tuple(votes.models[m] for m in kept)
    return renumbered(found, names)


def part(votes: PromptedVotes, x_PD: np.ndarray, chosen_P: np.ndarray) -> tuple[PromptedVotes, np.ndarray]:
    """The votes on some prompts, as if there had been no others."""
    kept_P = np.flatnonzero(chosen_P)
    groups = tuple(votes.category_P[p] for p in kept_P if votes.category_P)
    place_P = np.cumsum(chosen_P) - 1
    found = votes.of_prompts(chosen_P)
    texts = tuple(votes.prompts[p] for p in kept_P)
    number_B = place_P[found.prompt_B].astype(np.int32)
    return replace(found, prompts=texts, category_P=groups, prompt_B=number_B), x_PD[kept_P]


def _rows(name: str, found: Evaluation) -> list[str]:
    rows = []
    for number, one in enumerate(found.methods):
        data = f"{name}, {found.kind}" if not number else ""
        held = f"{found.votes:,} votes, {found.prompts:,} prompts" if not number else ""
        said = ", ".join(f"{key} {value:g}" for key, value in one.settings.items())
        against = "" if one.name == "head" else _said(found.head_against[one.name])
        gain = "" if one.name == "plain" else _said(one.gain)
        cells = [
            data, held, f"{one.name}{f' ({said})' if said else ''}", f"{one.log_loss.value:.4f}", gain, against,
            f"{one.calibration_error:.3f} ({one.calibration_chance:.3f})",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _said(one: Figure) -> str:
    return f"{one.value:+.4f} [{one.lower:+.4f}, {one.upper:+.4f}]"


def bench_lm(out: list[str], data: Path, kept: Path) -> None:
    """A language model that is trained with its head, against heads on what stays as it is."""
    tuning = TUNING
    votes = some_models(_files(data)["AlpacaEval"]())
    none_PD = np.zeros((len(votes.prompts), 0))
    new_P = np.random.default_rng(0).random(len(votes.prompts)) < 0.3
    (seen, _), (held, _) = (part(votes, none_PD, chosen_P) for chosen_P in (~new_P, new_P))
    fit, stages = TrainConfig(members=0), dict[str, float]()
    began = time.perf_counter()

    def tell(stage: str, done: int, of: int) -> None:
        stages.setdefault(f"{stage} began", time.perf_counter() - began)
        if done == of:
            stages[stage] = time.perf_counter() - began
        print(f"{stage} {done}/{of} {time.perf_counter() - began:.0f} s", file=sys.stderr)

    trained = train_backbone(seen, fit, tuning, work=kept / "lm", kept=kept, tell=tell)
    seconds = time.perf_counter() - began
    tuned = trained.tuned
    assert tuned is not None
    untrained = PromptStates(Tuned.of(backbone_folder(tuning.backbone), tuning, {}))
    rivals = {"SmolLM2, untrained": untrained, "MiniLM": featurizer_named("local:minilm")}
    heads = {name: train_on(seen, features(maker, seen.prompts, kept), fit) for name, maker in rivals.items()}
    states = PromptStates(tuned)
    heads = {"SmolLM2, trained": trained, **heads}
    z_held = {
        name: heads[name].projection(features(maker, held.prompts, kept))
        for name, maker in {"SmolLM2, trained": states, **rivals}.items()
    }
    loss_B = {name: losses_of(head.weights, z_held[name], held, head.kind) for name, head in heads.items()}
    plain = losses_of(heads["MiniLM"].plain, np.zeros((len(held.prompts), 0), dtype=np.float32), held, trained.kind)
    loss_B["one board"] = plain
    names = ("method", "log loss", "gain on one board", "gain of the trained one on it")
    out += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, one_B in loss_B.items():
        spread = f" (spread {heads[name].spread:g})" if name in heads else ""
        gains = [mean(against - ours, held.prompt_B, 0.95, held.weight_B) for against, ours in (
            (plain, one_B), (one_B, loss_B["SmolLM2, trained"]))]  # fmt: skip
        cells = ["" if not one.value else f"{one.value:+.4f} [{one.lower:+.4f}, {one.upper:+.4f}]" for one in gains]
        out.append(f"| {name}{spread} | {np.average(one_B, weights=held.weight_B):.4f} | {cells[0]} | {cells[1]} |")
    about = tuned.about
    lasted = stages.get("steps", 0) - stages.get("steps began", 0)
    said = (
        f"AlpacaEval, {trained.kind}: {len(held):,} votes on {len(held.prompts)} held-out prompts, those of `real`. "
        f"LoRA of rank {about['lora_rank']}, learning rate {about['learning_rate']:g}, {tuning.epochs} epoch, "
        f"{about['steps']} steps of {about['batch']} prompts, {about['votes']:,g} votes on {about['prompts']} prompts; "
        f"the head from {about['aside_votes']:,g} votes on {about['aside_prompts']} others, where the log loss of the "
        f"language model's own head was {about['frozen_log_loss']:.4f} before and {about['own_log_loss']:.4f} after. "
        f"One core: {seconds:.0f} s in all, {lasted:.0f} s of them for the steps after the first. 95% intervals, "
        "paired vote by vote and clustered by prompt."
    )
    out += ["", said]


def bench_newcomer(out: list[str]) -> None:
    """Models that join a trained head with few votes, against the board of the same votes."""
    old, new, prompts = 30, 20, 4000
    made = world(prompts=prompts, models=old + new, votes=60_000, spread=1.0, size=64, seed=5)
    votes = made.votes
    newest_B, other_B = np.maximum(votes.first_B, votes.second_B), np.minimum(votes.first_B, votes.second_B)
    seen_B = votes.prompt_B < prompts * 3 // 4
    known = replace(votes.take(seen_B & (newest_B < old)), models=votes.models[:old])
    head = train_on(known, made.x_PD, TrainConfig(kind="bradley-terry", members=8))
    new_PD = made.x_PD[prompts * 3 // 4 :]
    beta_PM, z_PK = made.beta(new_PD), head.projection(new_PD)
    heads = ("votes", "mean error of a win rate", "of the board of the same votes", "gain")
    out += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for count in (10, 30, 100, 300):
        rows = []
        for number in range(old, old + new):
            mine = np.flatnonzero(seen_B & (newest_B == number) & (other_B < old))[:: max(1, 400 // count)][:count]
            joined = with_newcomer(head, votes.take(np.isin(np.arange(len(votes)), mine)), made.x_PD)
            true = expit(beta_PM[:, [number]] - beta_PM[:, :old])
            found = joined.weights.at("bradley-terry", z_PK).beta_PM
            a_M = joined.plain.a_M
            by_head = np.abs(expit(found[:, [old]] - found[:, :old]) - true).mean()
            rows.append((by_head, np.abs(expit(a_M[old] - a_M[:old]) - true).mean()))
        error = np.array(rows)
        gain = error[:, 1] - error[:, 0]
        se = gain.std(ddof=1) / np.sqrt(new)
        out.append(f"| {count} | {error[:, 0].mean():.4f} | {error[:, 1].mean():.4f} | {gain.mean():+.4f} ± {se:.4f} |")
    out += [
        "",
        f"{old} models known, {new} that join one by one; against the true chances on {len(new_PD):,} new prompts.",
    ]


def bench_cost(out: list[str]) -> None:
    """A million votes among a hundred models, then one prompt's board."""
    made = world(prompts=200_000, models=100, votes=1_000_000, spread=0.7, size=384, seed=0)
    fit = TrainConfig(kind="bradley-terry", features="numbers")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, stages, worked = time.perf_counter(), {}, time.process_time()

    def tell(stage: str, done: int, of: int) -> None:
        if done == of and stage not in stages:
            stages[stage] = time.perf_counter() - began

    head = train_on(made.votes, made.x_PD, fit, tell=tell)
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    worked = time.process_time() - worked
    ends = ", ".join(f"{stage} by {at:.0f} s" for stage, at in stages.items())
    out.append(
        f"1,000,000 votes, 100 models, 200,000 prompts, vectors of 384 numbers, {head.projection.basis_DK.shape[1]} "
        f"components, {len(head.members)} members: {seconds:.0f} s ({ends}), {worked:.0f} s of work; "
        f"peak memory {peak / 2**20:.2f} GiB, of "
        f"which {before / 2**20:.2f} GiB were there before (the votes and their vectors). Spread chosen: "
        f"{head.spread:g}, 0.7 being the truth.\n"
    )


def bench_board(out: list[str]) -> None:
    """One prompt's board, after its vector. The head is not trained: what its numbers are costs nothing."""
    models, size, rng = 100, 64, np.random.default_rng(0)
    made = world(prompts=200, models=models, votes=2000, spread=0.7, size=384, seed=0)
    began = train_on(made.votes, made.x_PD, TrainConfig(kind="bradley-terry", spread=0.7, members=2))
    around = [
        Weights(at.a_M + 0.1 * rng.normal(size=models), at.w_MK + 0.1 * rng.normal(size=(models, size)), at.tie_C)
        for at in [began.weights] * 32
    ]
    head = replace(began, members=tuple(around))
    number = {text: place for place, text in enumerate(made.votes.prompts)}

    class Rows:
        name = "numbers"

        def __call__(self, texts: Sequence[str]) -> np.ndarray:
            return made.x_PD[[number[text] for text in texts]]

    boards = HeadBoards(head, Rows)
    taken: dict[str, list[float]] = {"record": [], "strengths": []}
    processor: list[float] = []
    for prompt in made.votes.prompts:
        for what, times in taken.items():
            start, worked = time.perf_counter(), time.process_time()
            leaderboard(boards, [prompt]) if what == "record" else board_of(head.kind, boards.coefficients([prompt]))
            times.append(1000 * (time.perf_counter() - start))
            processor.append(1000 * (time.process_time() - worked)) if what == "record" else None
    said = {name: f"{np.median(t):.2f} ms (95% within {np.quantile(t, 0.95):.2f} ms)" for name, t in taken.items()}
    out.append(
        f"{models} models, {len(head.members)} members, {size} components, after the prompt's vector: "
        f"{said['strengths']} for strengths; {said['record']} for the whole record with intervals and simultaneous "
        f"ranks (of a core {np.median(processor):.2f} ms), the very first {taken['record'][0]:.0f} ms."
    )


PARTS = {
    "simulated": "Simulated truth",
    "real": "Real outcomes and verdicts, prompts held out",
    "hidden": "The same with hidden states",
    "lm": "A language model trained with its head",
    "newcomer": "A new model with few votes",
    "board": "What one prompt's board costs",
    "cost": "What training costs",
}


def bench(name: str, out: list[str], data: Path, kept: Path) -> None:
    """One part."""
    if name == "simulated":
        bench_simulated(out)
    elif name == "newcomer":
        bench_newcomer(out)
    elif name == "board":
        bench_board(out)
    elif name == "cost":
        bench_cost(out)
    elif name == "lm":
        bench_lm(out, data, kept)
    else:
        bench_real(out, data, kept, "local:minilm" if name == "real" else "gguf:smollm2")


def main() -> None:
    """Run the parts, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=list(PARTS), nargs="*")
    parser.add_argument("--vectors", type=Path, default=Path(tempfile.gettempdir()) / "palaestra-p2l-vectors")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[4] / "shared" / "data")
    given = parser.parse_args()
    known = sections(given.out.read_text()) if given.out and given.out.is_file() else {}
    for name in given.only or [name for name in PARTS if name not in {"hidden", "lm"}]:
        title = PARTS[name]
        load, out = os.getloadavg()[0], []
        bench(name, out, given.data, given.vectors)
        where = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {load:.1f} before, Python "
        known[title] = "\n".join([*out, "", f"({where}{platform.python_version()})"])
        sys.stdout.write(f"## {title}\n\n{known[title]}\n\n")
        if given.out:
            order = [title for title in PARTS.values() if title in known]
            given.out.write_text("\n\n".join([HEADING, *(f"## {one}\n\n{known[one].strip()}" for one in order)]) + "\n")


def sections(text: str) -> dict[str, str]:
    """What a page has under each of its headings."""
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


if __name__ == "__main__":
    main()
