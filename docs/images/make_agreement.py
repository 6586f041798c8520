"""The pictures of docs/agreement.md, made anew from the public data beside the project, with the numbers in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from palaestra.judge.agreement import Agreement, agreement
from palaestra.judge.agreement_charts import agreement_chart, subset_chart, value_chart
from palaestra.judge.subset import KINDS, subset
from palaestra.judge.value import value
from palaestra.judge.verdict_files import read_verdicts
from palaestra.pictures.drawing import save_chart

HERE = Path(__file__).parent
DATA = Path(__file__).parents[3] / "shared" / "data" / "judgments"
BENCHMARKS = {
    "Arena-Hard v0.1": ("arena_hard", "arena_to_arena_hard"),
    "AlpacaEval 2, length-controlled": ("alpaca_LC", "alpaca_to_arena"),
    "AlpacaEval 2": ("alpaca", "alpaca_to_arena"),
    "MT-Bench": ("mt_bench", "arena_to_mt_bench"),
}


def compared(benchmark: str) -> Agreement:
    """A benchmark's bootstrap samples against the Arena of 2024-03-29, on the 20 models of the published comparison."""
    samples, names = BENCHMARKS[benchmark]
    return agreement(
        DATA / "arena-hard" / f"bootstrap_stats_{samples}.jsonl.gz",
        DATA / "arena-hard" / "elo_20240329_full_leaderboard_table_df.csv",
        names=DATA / "arena-hard" / f"{names}.json",
        only_named=True,
        overlap="published",
    )


def benchmarks() -> None:
    """Four benchmarks against one reference."""
    found = {benchmark: compared(benchmark) for benchmark in BENCHMARKS}
    save_chart(agreement_chart(found), HERE / "agreement.png")
    for benchmark, one in found.items():
        print(benchmark)
        for measure in one.measures:
            print(f"  {measure.name:24} {measure.value:.4f}  {measure.lower:.3f} to {measure.upper:.3f}")


def questions() -> None:
    """The worth of 500 questions, and of some of them."""
    verdicts = read_verdicts(DATA / "ko-arena-hard" / "ensemble_verdicts.csv.gz", "baseline")
    lines = (DATA / "ko-arena-hard" / "question.jsonl").read_text(encoding="utf-8").splitlines()
    topics = {row["question_id"]: row["cluster"] for row in map(json.loads, lines)}
    found = value(verdicts, "baseline")
    save_chart(value_chart(found), HERE / "agreement-questions.png")
    costly = sum((one.information_upper or 0) < 0 for one in found.questions)
    print(f"separability {found.separability:.3f}, flips {found.flips:.3f}, {costly} questions cost separation")
    some = subset(verdicts, "baseline", topics=topics)
    save_chart(subset_chart(some), HERE / "agreement-subset.png")
    print(f"{len(some.questions)} questions keep {some.settings.keep:.0%}")
    for size in (50, 100, 170, 300, 500):
        for kind in KINDS:
            ways = [some.at(size, kind, way) for way in ("chosen", "random", "stratified")]
            gain = f"gain {ways[0].gain:+.3f} ({ways[0].gain_lower:+.3f} to {ways[0].gain_upper:+.3f})"
            print(f"  {size} {kind:12} {' '.join(f'{one.way} {one.mean:.3f}' for one in ways)} {gain}")
    by_information = subset(verdicts, "baseline", by="information")
    print(f"by information: {len(by_information.questions)} questions")
    for kind in KINDS:
        print(f"  100 {kind:12} {by_information.at(100, kind).mean:.3f}, gain {by_information.at(100, kind).gain:+.3f}")


if __name__ == "__main__":
    if not DATA.is_dir():
        sys.exit(f"no folder {DATA}: the pictures of docs/agreement.md stay as they are")
    benchmarks()
    questions()
