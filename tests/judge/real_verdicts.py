"""Real verdicts and votes beside this checkout, as frames; run as a program, the figures of docs/audits.md.

python tests/judge/real_verdicts.py [--rounds 400]

llmfao         59 models, 13 prompts, 2,139 pairs: votes of a crowd, GPT-3.5 and GPT-4 once each, order drawn
ko-arena-hard  76 models against one baseline on 500 prompts, both orders, an ensemble of judges; style counts
rakuda         9 models, 40 questions, GPT-4, some pairs in both orders; lengths
alpaca-eval    5 annotators, models against one baseline, orders not kept; lengths
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from palaestra.judge.audit import audit
from palaestra.judge.calibrate import CalibrateConfig, calibrate
from palaestra.judge.findings import Finding
from palaestra.judge.ppi import judge_mean, people_mean, ppi_mean
from palaestra.judge.ppi_ratings import Comparisons, people_strengths, ppi_strengths
from palaestra.judge.verdict_files import read_verdicts

DATA = Path(__file__).parents[3] / "shared" / "data"
JUDGMENTS = DATA / "judgments"
_SIDES = {"left": 1.0, "right": 0.0, "tie": 0.5}
FAMILIES = {
    "gpt-4": "openai", "gpt-3.5": "openai", "GPT 4": "openai", "GPT 3.5 Turbo": "openai",
    "GPT 3.5 Turbo (16k)": "openai",
}  # fmt: skip
"""Judges and models of llmfao that are of one house."""


def llmfao() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Verdicts of both judges on the crowd's pairs, the crowd's votes, and the answers with their texts."""
    folder = JUDGMENTS / "llmfao"
    judged = [
        _sided(pl.read_csv(folder / f"{name}-crowd-comparisons.csv")).with_columns(judge=pl.lit(judge))
        for name, judge in (("gpt3", "gpt-3.5"), ("gpt4", "gpt-4"))
    ]
    votes = _sided(pl.read_csv(folder / "crowd-comparisons.csv"))
    answers = pl.read_ndjson(folder / "results.jsonl.gz").select(
        pl.col("prompt").cast(pl.String).alias("question_id"), model="name", text="result"
    )
    return pl.concat(judged), votes, answers.unique(["question_id", "model"], keep="first", maintain_order=True)


def _sided(frame: pl.DataFrame) -> pl.DataFrame:
    points = pl.col("winner").replace_strict(_SIDES, return_dtype=pl.Float64)
    return frame.select(
        pl.col("prompt").cast(pl.String).alias("question_id"), model_a="left", model_b="right", points=points
    )


def korean() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Verdicts in both orders, and style counts of the answers."""
    folder = JUDGMENTS / "ko-arena-hard"
    verdicts = read_verdicts(folder / "ensemble_verdicts.csv.gz", "claude-3.7-sonnet")
    counts = pl.read_csv(folder / "answer_style_metadata.csv.gz")
    return verdicts.with_columns(judge=pl.lit("ensemble")), counts.select(
        "question_id",
        "model",
        length="token_len",
        header=pl.sum_horizontal("h1", "h2", "h3", "h4", "h5", "h6"),
        list=pl.sum_horizontal("ordered", "unordered"),
        bold=pl.sum_horizontal("bold_star", "bold_under"),
    ).unique(["question_id", "model"], keep="first", maintain_order=True)


def rakuda() -> tuple[pl.DataFrame, pl.DataFrame]:
    """GPT-4's verdicts, and lengths of the answers in characters."""
    frame = pl.read_csv(JUDGMENTS / "rakuda" / "reviews_gpt4_20230714.csv.gz")
    points = pl.col("score").replace_strict({1: 1.0, 2: 0.0, 3: 0.5}, return_dtype=pl.Float64)
    verdicts = frame.select("question_id", judge="reviewer", model_a="model1", model_b="model2", points=points)
    sides = [frame.select("question_id", model=f"model{side}", length=f"len{side}") for side in (1, 2)]
    return verdicts, pl.concat(sides).unique(["question_id", "model"], keep="first", maintain_order=True)


def alpaca() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Verdicts of the annotators with two models or more, the baseline as A; lengths of the answers in characters."""
    frame = pl.read_csv(JUDGMENTS / "alpaca_eval" / "annotations_compact.csv.gz").with_columns(
        pl.col("instruction_id").cast(pl.String)
    )
    lean = pl.when(pl.col("preference") == 0).then(1.5).otherwise("preference")
    verdicts = frame.select(
        question_id="instruction_id", judge="annotator", model_a="generator_1", model_b="dir",
        points=(1 - (lean - 1.5).sign()) / 2,
    ).drop_nulls()  # fmt: skip
    sides = [
        frame.select(question_id="instruction_id", model="generator_1", length="len_1"),
        frame.select(question_id="instruction_id", model="dir", length="len_2"),
    ]
    return verdicts, pl.concat(sides).unique(["question_id", "model"], keep="first", maintain_order=True)


def people_of_llmfao() -> pl.DataFrame:
    """One row a comparison: numbers of prompt and both models, mean points of the crowd, verdicts of both judges."""
    verdicts, votes, _ = llmfao()
    key = ["question_id", "model_a", "model_b"]
    rows = votes.group_by(key, maintain_order=True).agg(people=pl.col("points").mean())
    for judge in ("gpt-3.5", "gpt-4"):
        said = verdicts.filter(pl.col("judge") == judge).select(*key, pl.col("points").alias(judge))
        rows = rows.join(said, on=key, maintain_order="left")
    names = sorted({*rows["model_a"].to_list(), *rows["model_b"].to_list()})
    place = {name: number for number, name in enumerate(names)}
    return rows.with_columns(pl.col("model_a", "model_b").replace_strict(place, return_dtype=pl.Int64))


def resampled(judge: str, *, labelled: int, others: int, rounds: int, seed: int) -> dict[str, float]:
    """Coverage and widths on llmfao: the 2,139 comparisons are the world, each round draws from it with replacement.

    `coverage_` and `width_` (half, in log odds) are of the ratings of all models in rounds in which people's votes
    bound them, `mean_coverage_` and `mean_width_` of the mean points of the left side.
    """
    rows = people_of_llmfao()
    first_B, second_B = rows["model_a"].to_numpy(), rows["model_b"].to_numpy()
    people_B, judge_B = rows["people"].to_numpy(), rows[judge].to_numpy()
    models = int(max(first_B.max(), second_B.max())) + 1
    truth = people_strengths(models, Comparisons(first_B, second_B, people_B), 0.95)
    assert truth is not None
    rng, kept = np.random.default_rng(seed), []
    for _ in range(rounds):
        own, more = rng.integers(len(rows), size=labelled), rng.integers(len(rows), size=others)
        votes = Comparisons(first_B[own], second_B[own], people_B[own])
        verdicts = Comparisons(first_B[more], second_B[more], judge_B[more])
        strengths = {
            "people": people_strengths(models, votes, 0.95),
            "judge": people_strengths(models, votes.said(judge_B[own]).and_(verdicts), 0.95),
            "both": ppi_strengths(models, votes, judge_B[own], verdicts, 0.95),
        }
        means = {
            "people": people_mean(people_B[own], 0.95),
            "judge": judge_mean(judge_B[more], 0.95),
            "both": ppi_mean(people_B[own], judge_B[own], judge_B[more], 0.95),
        }
        figures = {f"unbounded_{name}": float(found is None) for name, found in strengths.items()}
        for name, found in means.items():
            figures[f"mean_coverage_{name}"] = float(found.lower <= people_B.mean() <= found.upper)
            figures[f"mean_width_{name}"] = found.upper - found.lower
        figures["mean_weight"] = means["both"].weight
        if strengths["people"] is not None and strengths["both"] is not None:
            figures["weight"] = strengths["both"].weight
            for name, found in strengths.items():
                if found is not None:
                    figures[f"coverage_{name}"] = float((np.abs(found.theta_M - truth.theta_M) <= found.half_M).mean())
                    figures[f"width_{name}"] = float(found.half_M.mean())
        kept.append(figures)
    frame = pl.from_dicts(kept, infer_schema_length=None)
    return {name: float(value) for name, value in frame.mean().row(0, named=True).items() if value is not None}


def main() -> None:
    """Print what the audits find, and what calibration is worth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    verdicts, votes, answers = llmfao()
    _print("llmfao", audit(verdicts, answers, votes, families=FAMILIES).findings)
    _print("ko-arena-hard", audit(*korean()).findings)
    _print("rakuda", audit(*rakuda()).findings)
    _print("alpaca-eval", audit(*alpaca()).findings)
    for judge in ("gpt-3.5", "gpt-4"):
        for labelled in (200, 500, 1000):
            found = resampled(judge, labelled=labelled, others=2139, rounds=rounds, seed=1)
            print(judge, labelled, {name: round(value, 3) for name, value in found.items()})
    some = votes.join(_some(votes), on=["question_id", "model_a", "model_b"], how="semi")
    for one in calibrate(verdicts, some, config=CalibrateConfig(cluster="none")):
        print(one.judge, one.labelled, one.others, one.weight, one.width_ratio, one.votes_worth, one.warnings)


def _some(votes: pl.DataFrame) -> pl.DataFrame:
    """Five hundred comparisons of the crowd, drawn."""
    return votes.select("question_id", "model_a", "model_b").unique(maintain_order=True).sample(500, seed=1)


def _print(data: str, findings: tuple[Finding, ...]) -> None:
    for one in findings:
        print(f"{data} | {one.judge} | {one.figure} | {one.words} | {one.rows} | {one.questions}")


if __name__ == "__main__":
    main()
