"""The folder of a benchmark: prompts, record and card as every set has them, and the account, the page and what went.

prompts.parquet  promptset.json  card.md      a set of prompts (`store/prompts.py`)
build.json                                    the account
dropped.parquet                               every prompt that is not in the set: where it went and why
labels.parquet                                the judge's answers as they came, where there was one
scorer.json                                   where one was learnt: `--scorer` takes it
page.html                                     the page
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from palaestra.bench.account import ACCOUNT_FILE, Account, account_bytes
from palaestra.bench.build import BenchConfig, Built
from palaestra.bench.card import card
from palaestra.bench.cleaning import Dropped
from palaestra.bench.page import bench_page
from palaestra.bench.scorer import scorer_bytes
from palaestra.schema import Prompt, PromptSet
from palaestra.store.prompts import prompts_sha256, write_prompt_set

DROPPED_FILE, LABELS_FILE, SCORER_FILE, PAGE_FILE = "dropped.parquet", "labels.parquet", "scorer.json", "page.html"
_LABELS = pa.schema(
    [
        ("id", pa.string()),
        ("met", pa.list_(pa.bool_())),
        ("answer", pa.string()),
        ("error", pa.string()),
        ("cost", pa.float64()),
    ]
)
_DROPPED = pa.schema(
    [(field.name, pa.float64() if field.name == "likeness" else pa.string()) for field in fields(Dropped)]
)


def write_bench(path: str | Path, built: Built, config: BenchConfig) -> PromptSet:
    """Write the folder; it is there whole or not at all.

    Raises:
        InputError: it exists, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    record = record_of(built, config)
    files = {
        ACCOUNT_FILE: account_bytes(built.account),
        DROPPED_FILE: _parquet([asdict(one) for one in built.dropped], _DROPPED),
        PAGE_FILE: bench_page(record, built.account, built.prompts).encode(),
    }
    if built.labels:
        files[LABELS_FILE] = _parquet(built.labels, _LABELS)
    if built.scorer is not None:
        files[SCORER_FILE] = scorer_bytes(built.scorer)
    write_prompt_set(path, record, built.prompts, card(record, built.account, built.prompts), files)
    return record


def record_of(built: Built, config: BenchConfig) -> PromptSet:
    """The record of the set. It says no time, so that the same build has the same bytes."""
    account = built.account
    topics = len({prompt.topic for prompt in built.prompts})
    return PromptSet(
        name=account.name,
        version=config.version,
        description=_description(account, len(built.prompts), topics),
        license=config.license,
        prompts=len(built.prompts),
        sha256=prompts_sha256(built.prompts),
        categories=_categories(built.prompts),
        topics=topics,
        seed=config.seed,
        settings=config.model_dump(mode="json"),
    )


def _description(account: Account, prompts: int, topics: int) -> str:
    return (
        f"{prompts} prompts from {topics} topics, drawn by `palaestra bench build` from {account.steps[0].prompts} "
        "for what they ask of a model, after BenchBuilder (Li et al., 2024)."
    )


def _categories(prompts: Sequence[Prompt]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for prompt in prompts:
        if prompt.category is not None:
            counts[prompt.category] = counts.get(prompt.category, 0) + 1
    return dict(sorted(counts.items()))


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream)
    return stream.getvalue()
