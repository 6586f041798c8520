"""Results files: what is written is read again, and a malformed row is named by file, row and column."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from palaestra.errors import InputError
from palaestra.schema import Result, to_table
from palaestra.store.results import read_results

RESULTS = [
    Result(model="007", benchmark="logic, hard", domain="Çiğ", correct=3, total=10),
    Result(model='A "quoted"', benchmark="1", domain="d", correct=0, total=1, guess_rate=0.1 + 0.2),
    Result(
        model="B",
        benchmark="logic, hard",
        domain="Çiğ",
        correct=10,
        total=10,
        queries=9,
        seconds=1.5,
        concurrency=8,
        cost=0.01,
        date=datetime(2024, 5, 1, 12, 30, tzinfo=UTC),
    ),
]
FRAME = pl.DataFrame(pl.from_arrow(to_table(Result, RESULTS)))
LINES = "\n".join(json.dumps(result.to_dict()) for result in RESULTS)
WRITERS: dict[str, Callable[[Path], Any]] = {
    ".csv": FRAME.write_csv,
    ".jsonl": lambda path: path.write_text(LINES),
    ".json": lambda path: path.write_text(json.dumps([result.to_dict() for result in RESULTS])),
    ".parquet": lambda path: pq.write_table(to_table(Result, RESULTS), path),
    ".csv.gz": lambda path: path.write_bytes(gzip.compress(FRAME.write_csv().encode())),
    ".ndjson.zst": lambda path: path.write_bytes(pa.compress(LINES.encode(), "zstd", asbytes=True)),
}
HEAD = "model,benchmark,domain,correct,total,guess_rate,queries,seconds,concurrency,cost,date\n"
GOOD = "A,logic,reason,3,10,0.25,10,2.5,1,0.1,2024-05-01\n"


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_is_read_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"results{kind}"
    WRITERS[kind](path)
    assert read_results(path) == RESULTS


def test_a_moment_without_a_zone_is_in_utc(tmp_path: Path) -> None:
    (path := tmp_path / "r.csv").write_text(HEAD + GOOD)
    assert read_results(path)[0].date == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("A,logic,reason,many,10,,,,,,", "column correct: found 'many': input should be a valid integer"),
        ("A,logic,reason,,10,,,,,,", "column correct: found nothing: field required"),
        ("A,logic,reason,-1,10,,,,,,", "column correct: found '-1': input should be greater than or equal to 0"),
        ("A,logic,reason,3,0,,,,,,", "column total: found '0': input should be greater than or equal to 1"),
        ("A,logic,reason,3.5,10,,,,,,", "column correct: found '3.5'"),
        ("A,logic,reason,3,10,1,,,,,", "column guess_rate: found '1': input should be less than 1"),
        ("A,logic,reason,3,10,,10,nan,1,,", "column seconds: found 'nan'"),
        ("A,logic,reason,3,10,,,,,,soon", "column date: found 'soon'"),
        (",logic,reason,3,10,,,,,,", "column model: found nothing"),
        (
            "A,logic,reason,11,10,,,,,,",
            "columns of A on logic: 11 correct of 10, expected at most as many as the total",
        ),
        ("A,logic,reason,3,10,,10,2.5,,,", "columns of A on logic: found seconds without queries and concurrency"),
        ("A,logic,reason,3,10,,,,,0.1,", "columns of A on logic: found cost without queries"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    (path := tmp_path / "r.csv").write_text(HEAD + GOOD + row + "\n" + GOOD)
    with pytest.raises(InputError) as refused:
        read_results(path)
    assert str(refused.value).startswith(f"{path}: row 2, {words}")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.csv", HEAD.replace("guess_rate", "gues_rate") + GOOD, "row 1, column gues_rate: found an unknown column"),
        ("r.csv", HEAD, "found no rows"),
        ("r.csv", "", "found no rows"),
        ("r.csv", HEAD + GOOD.replace("\n", ",extra\n"), "cannot read"),
        ("r.jsonl", "{", "cannot read"),
        ("r.jsonl", "[1]", r"row 1: found \[1\], expected an object"),
        ("r.json", '{"model": "A"}', "found no rows"),
        ("r.json", '[{"schema": "palaestra.result/0"}]', r"row 1: found a record of schema 'palaestra.result/0'"),
        ("r.json", "[" * 100_000, "cannot read .*RecursionError|cannot read .*recursion"),
        ("r.parquet", "no parquet", "cannot read"),
        ("r.csv.gz", "not compressed", "cannot read"),
        ("r.xlsx", "", r"found 'r.xlsx'; expected a file of results: \.parquet, \.csv"),
    ],
)
def test_what_is_no_results_file_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (path := tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_results(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*nowhere\.csv"):
        read_results(tmp_path / "nowhere.csv")
