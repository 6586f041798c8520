"""The pictures of docs/bench.md, made anew from real prompts: Arena-Hard v0.1 and v2.0, and AlpacaEval.

The prompts are not part of the project; where they are not beside it, the pictures stay as they are. The judge is the
rule `scripted:criteria`, so that thresholds are low and scores say nothing about these prompts but digits and words.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from palaestra.bench.build import BenchConfig, build
from palaestra.bench.charts import funnel_chart, map_chart
from palaestra.cli.bench import GatewayAsk
from palaestra.pictures.drawing import save_chart
from palaestra.schema import ModelSpec

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "data" / "judgments"
SOURCES = (
    DATA / "arena-hard" / "question_v0.1.jsonl",
    DATA / "arena-hard" / "question_v2.0.jsonl.gz",
    DATA / "alpaca_eval" / "instructions.csv.gz",
)
CONFIG = BenchConfig(size=100, label=600, name_by="words", first_score=3, first_mean=2, score=4, mean=4)


def main() -> None:
    """Build, print what the documents say, and draw."""
    if not all(source.is_file() for source in SOURCES):
        print("docs/bench.md: the published prompts are not beside this checkout; its pictures stay as they are")
        return
    with tempfile.TemporaryDirectory() as work:
        spec = ModelSpec(name="rule", endpoint="scripted:criteria")
        judge = GatewayAsk(spec, Path(work) / "calls.db", lambda *_: None)
        account = build(SOURCES, CONFIG, name="hard", work_folder=work, ask=judge).account
    for step in account.steps:
        print(f"{step.prompts:6,}  {step.step}  {step.dropped}")
    print(f"{len(account.topics)} topics, {account.outliers} prompts in none")
    save_chart(map_chart(account), HERE / "bench-map.png")
    save_chart(funnel_chart(account), HERE / "bench-funnel.png")


if __name__ == "__main__":
    main()
