"""How long `palaestra bench build` takes, stage by stage: real prompts, recombined until there are as many as asked
for.

    python tests/benchmarks/bench_build.py --prompts 100000 --folder FOLDER

Sentences of two real prompts each are put together, with other numbers, so that lengths are those of real prompts and
few are near-duplicates. The judge is `scripted:criteria`, which costs nothing and takes no time. A second run in the
same folder goes on from what is there; then seconds are those of the second run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from palaestra.bench.build import BenchConfig, build
from palaestra.cli.bench import GatewayAsk
from palaestra.schema import ModelSpec
from palaestra.store.prompts import read_prompts

DATA = Path(__file__).parents[3] / "shared" / "data"
BOOK = Path(tempfile.mkdtemp()) / "calls.db"


def real_prompts() -> list[str]:
    """The texts of every set of prompts beside the project."""
    texts = []
    for name in (
        "judgments/arena-hard/question_v0.1.jsonl",
        "judgments/arena-hard/question_v2.0.jsonl.gz",
        "judgments/alpaca_eval/instructions.csv.gz",
        "routing/routellm/mt_bench_question.jsonl",
    ):
        texts += [prompt.text for prompt in read_prompts(DATA / name)]
    with gzip.open(DATA / "preferences/hh-rlhf/harmless-base_test.jsonl.gz", "rt") as file:
        for line in file:
            texts += re.findall(r"Human: (.*?)\n\nAssistant", json.loads(line)["chosen"], re.DOTALL)
    return sorted({text for text in texts if 20 < len(text) < 9000})


def recombined(texts: list[str], count: int, seed: int = 0) -> list[str]:
    """So many prompts: the real ones first, then pairs of real ones, about half the sentences of each."""
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(texts[:count])
    while len(found) < count:
        parts = []
        for place in rng.choice(len(texts), size=2, replace=False).tolist():
            sentences = re.split(r"(?<=[.?!\n])\s+", texts[place])
            keep = rng.random(len(sentences)) < 0.5
            keep[rng.integers(len(sentences))] = True
            parts += [sentence for sentence, kept in zip(sentences, keep.tolist(), strict=True) if kept]
        found[re.sub(r"\d+", lambda _: str(rng.integers(1, 500)), " ".join(parts))[:9000]] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--label", type=int, default=2000)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    path = given.folder / f"prompts-{given.prompts}.jsonl"
    if not path.exists():
        path.write_text(
            "".join(json.dumps({"prompt": text}) + "\n" for text in recombined(real_prompts(), given.prompts))
        )
    begun, seen = time.monotonic(), {}

    def tell(stage: str, done: int, of: int) -> None:
        now = time.monotonic() - begun
        if stage not in seen or done == of:
            print(f"{now:8.1f} s  {stage} {done}/{of}", file=sys.stderr, flush=True)
        seen[stage] = now

    built = build(
        [path],
        BenchConfig(label=given.label, name_by="words", score=5, mean=5, first_score=4, first_mean=2),
        name="timing",
        work_folder=given.folder / f"work-{given.prompts}",
        ask=GatewayAsk(ModelSpec(name="rule", endpoint="scripted:criteria"), BOOK, lambda *_: None),
        tell=tell,
    )
    for step in built.account.steps:
        print(f"{step.prompts:8,}  {step.step}  {step.dropped}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{time.monotonic() - begun:.0f} s, {len(built.account.topics)} topics, {peak:.1f} GB at most")
    print(built.account.embedder, built.account.validation)


if __name__ == "__main__":
    main()
