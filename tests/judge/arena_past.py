"""Real boards over time with real offline results, read from the published data and joined by name with care.

Two stories: the arena from May 2023 to March 2025, and its boards with style control from March to December 2025. Names
are matched when they are alike but for case and punctuation, or by the lists below, each entry of which was checked
against the links in the boards or is the sources' own. What does not match is left out, and counted.

Not here: any score made up or filled in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

DATA = Path(__file__).parents[3] / "shared" / "data"
HERE = (DATA / "boards").is_dir() and (DATA / "judgments").is_dir()

SAME = {
    "gpt4-1106-preview": "gpt-4-1106-preview",
    "gpt4-0125-preview": "gpt-4-0125-preview",
    "claude": "claude-1",
    "claude-2": "claude-2.0",
    "llama-2-13b-chat-hf": "llama-2-13b-chat",
    "meta-llama-3-8b-instruct": "llama-3-8b-instruct",
    "meta-llama-3-70b-instruct": "llama-3-70b-instruct",
    "vicuna-33b-v1.3": "vicuna-33b",
    "vicuna-13b-v1.5": "vicuna-13b",
    "vicuna-7b-v1.5": "vicuna-7b",
    "wizardlm-13b-v1.2": "wizardlm-13b",
    "oasst-sft-pythia-12b": "oasst-pythia-12b",
    "mistral-7b-instruct-v0.1": "mistral-7b-instruct",
    "dbrx-instruct": "dbrx-instruct-preview",
}
SAME_2025 = {
    "gemini-2.5": "gemini-2.5-pro-preview-05-06",
    "gemini-2.5-flash": "gemini-2.5-flash-preview-04-17",
    "gemini-2.5-flash-preview-thinking": "gemini-2.5-flash-preview-04-17",
    "o3-mini-2025-01-31-high": "o3-mini-high",
    "o3-mini-2025-01-31": "o3-mini",
    "o3-mini-medium": "o3-mini",
    "o4-mini-medium": "o4-mini-2025-04-16",
    "o1-medium": "o1-2024-12-17",
    "gpt-4.5-preview": "gpt-4.5-preview-2025-02-27",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "chatgpt-4o-latest-2025-03-26": "chatgpt-4o-latest-20250326",
    "claude-3.7-sonnet": "claude-3-7-sonnet-20250219",
    "claude-3.5-sonnet": "claude-3-5-sonnet-20241022",
    "claude-3.5-sonnet-20240620": "claude-3-5-sonnet-20240620",
    "claude-3.5-haiku": "claude-3-5-haiku-20241022",
    "llama4-maverick-instruct-basic": "llama-4-maverick-17b-128e-instruct",
    "llama-4-maverick": "llama-4-maverick-17b-128e-instruct",
    "llama-4-scout": "llama-4-scout-17b-16e-instruct",
    "llama-3.1-nemotron-70b-instruct-hf": "llama-3.1-nemotron-70b-instruct",
    "deepseek-chat-v3-0324": "deepseek-v3-0324",
    "grok-3-beta": "grok-3-preview-02-24",
    "qwen-2.5-72b-instruct": "qwen2.5-72b-instruct",
    "command-a": "command-a-03-2025",
    "nova-pro-v1": "amazon-nova-pro-v1.0",
    "nova-lite-v1": "amazon-nova-lite-v1.0",
    "nova-micro-v1": "amazon-nova-micro-v1.0",
    "llama-3.1-405b-instruct": "llama-3.1-405b-instruct-bf16",
}
"""What the benchmarks call it, and what the boards do."""
_LEFT_OUT = {"Output Length", "LC AlpacaEval 2.0", "AlpacaEval 2.0", "MT-bench (multi-turn)", "MMLU (5-shot)"}
"""Columns of the cross-benchmark table that other files have in full."""


@dataclass
class Past:
    """Offline results by model and benchmark, boards over time, and names that were matched or not."""

    keys: dict[str, str]
    same: dict[str, str]
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    unmatched: set[str] = field(default_factory=set)

    def put(self, model: str, benchmark: str, score: object) -> None:
        """Keep a score; the first one counts, and what is no number is a hole."""
        name = _plain(model)
        key = self.keys.get(_plain(self.same.get(name, name)))
        (self.matched if key else self.unmatched).add(model)
        try:
            number = float(str(score))
        except ValueError:
            return
        if key is not None:
            self.scores.setdefault(key, {}).setdefault(benchmark, number)

    def write(self, folder: Path, history: pl.DataFrame, dates: dict[str, str] | None = None) -> tuple[Path, Path]:
        """Write the results, wide, and the boards."""
        benchmarks = sorted({name for own in self.scores.values() for name in own})
        rows = [
            {"model": model, "date": (dates or {}).get(model)} | {name: own.get(name) for name in benchmarks}
            for model, own in sorted(self.scores.items())
        ]
        results, boards = folder / "results.csv", folder / "boards.csv"
        schema = {"model": pl.String, "date": pl.String} | dict.fromkeys(benchmarks, pl.Float64)
        pl.DataFrame(rows, schema=schema).write_csv(results)
        history.write_csv(boards)
        return results, boards


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def arena_boards() -> pl.DataFrame:
    """The arena's boards from May 2023 to March 2025: date, model, rating. No standard errors are published."""
    table = pl.read_csv(DATA / "boards" / "alltime_elo_history.csv.gz", infer_schema_length=None)
    table = table.unique(["date", "key"], keep="first", maintain_order=True)
    return table.select("date", pl.col("key").alias("model"), "rating")


def arena_2023(folder: Path) -> tuple[Path, Path, Past]:
    """Results and boards of the first story, as files."""
    history = arena_boards()
    own = json.loads((DATA / "judgments" / "arena-hard" / "alpaca_to_arena.json").read_text())
    table = pl.read_csv(DATA / "boards" / "leaderboard_table_20250511.csv", infer_schema_length=0)
    keys = {_plain(key): key for key in (*table["key"], *history["model"].unique().sort())}
    past = Past(keys, {_plain(there): key for there, key in own.items()} | SAME)
    for row in table.iter_rows(named=True):
        past.put(row["key"], "MT-bench", row["MT-bench (score)"])
        past.put(row["key"], "MMLU", row["MMLU"])
    alpaca = DATA / "judgments" / "alpaca_eval"
    for row in pl.read_csv(alpaca / "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv").iter_rows(named=True):
        past.put(row[""], "AlpacaEval 2 LC", row["length_controlled_winrate"])
        past.put(row[""], "AlpacaEval 2", row["win_rate"])
    across = pl.read_csv(alpaca / "benchmarks.csv", infer_schema_length=0, truncate_ragged_lines=True)
    for row in across.filter(pl.col("Model").is_not_null()).iter_rows(named=True):
        for column in across.columns[3:]:
            name = " ".join(column.split())
            if name not in _LEFT_OUT:
                past.put(row["Model"], name, row[column])
    for name, found in _arena_hard_v01().items():
        for model, score in found:
            past.put(model, name, score)
    return *past.write(folder, history), past


def arena_2025(folder: Path) -> tuple[Path, Path, Past]:
    """Results and boards of the second story, as files; models that came before it have the date of the first one."""
    table = pl.read_csv(DATA / "boards" / "leaderboard-text-style-control.history.csv.gz")
    table = table.filter(pl.col("category") == "full").unique(
        ["commit_date", "model"], keep="first", maintain_order=True
    )
    columns = [pl.col("commit_date").alias("date"), "model", "rating"]
    history = table.select(
        *columns, lower=pl.min_horizontal("q025", "rating"), upper=pl.max_horizontal("q975", "rating")
    )
    past = Past({_plain(name): name for name in history["model"].unique().sort()}, SAME_2025)
    for name, found in _arena_hard_v2().items():
        for model, score in found:
            past.put(model, name, score)
    newest = DATA / "judgments" / "ko-arena-hard" / "leaderboard" / "20250420_ensemble"
    for control in ("no_control", "style_control"):
        for row in pl.read_csv(newest / f"{control}.csv", infer_schema_length=0).iter_rows(named=True):
            past.put(row["model"], f"Ko-Arena-Hard {control}", row["score"])
    for name, found in _arena_hard_v01().items():
        for model, score in found:
            past.put(model, name, score)
    before = arena_boards().group_by("model").agg(pl.col("date").min())
    return *past.write(folder, history, {model: str(day) for model, day in before.iter_rows()}), past


def _arena_hard_v01() -> dict[str, list[tuple[str, str]]]:
    text = (DATA / "judgments" / "arena-hard" / "past_leaderboards.md").read_text()
    blocks = text.split("```console")[1:]
    names = ("Arena-Hard v0.1, style control", "Arena-Hard v0.1")
    return {
        name: re.findall(r"^(\S+)\s*\| score: ([\d.]+)", block, re.MULTILINE)
        for name, block in zip(names, blocks, strict=True)
    }


def _arena_hard_v2() -> dict[str, list[tuple[str, str]]]:
    text = (DATA / "judgments" / "arena-hard" / "README_v2_leaderboards.md").read_text()
    blocks = [block.partition("```")[0] for block in text.split("```console")[1:4]]
    names = ("Arena-Hard v2, hard, Gemini", "Arena-Hard v2, hard, GPT-4.1", "Arena-Hard v2, creative")
    return {
        name: re.findall(r"^\d+\s+(\S+)\s+([\d.]+)\s+\(", block, re.MULTILINE)
        for name, block in zip(names, blocks, strict=True)
    }
