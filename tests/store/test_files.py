"""Files as a whole: large ones, those that are written, columns that nobody wants, types in files that have none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from palaestra.errors import InputError, VoteFileError
from palaestra.store import formats
from palaestra.store.formats import check_votes, read_votes, write_votes

MILLION, WRONG = 1_000_000, 777_777
VOTES = pl.DataFrame(
    {
        "model_a": ["Ada", "Bea", 'C, "quoted"'],
        "model_b": ["Çiğdem", "Ada", "007"],
        "winner": ["model_a", "both_bad", "tie"],
        "weight": [2.0, 1.0, 0.1 + 0.2],
        "tstamp": [1700000000.123456, 0.0, None],
        "voter": ["v1", None, "0001"],
        "turn": [1, 2, None],
        "is_code": [True, None, False],
        "length": [1.5, 2.0, None],
    }
)


@pytest.fixture(scope="module")
def million() -> pl.DataFrame:
    number = pl.int_range(MILLION, eager=True)
    return pl.DataFrame({"number": number}).select(
        model_a=pl.format("vendor/model-{}", pl.col("number") % 75),
        model_b=pl.format("vendor/model-{}", 75 + pl.col("number") % 74),
        winner=pl.when(pl.col("number") == WRONG - 1)
        .then(pl.lit("model_c"))
        .otherwise(pl.lit(pl.Series(["model_a", "model_b", "tie", "tie (bothbad)"])).gather(pl.col("number") % 4)),
    )


def compressed(
    write: Callable[[pl.DataFrame, Path], Any], pack: Callable[[bytes], bytes]
) -> Callable[[pl.DataFrame, Path], None]:
    def written(frame: pl.DataFrame, path: Path) -> None:
        write(frame, plain := path.with_suffix(""))
        path.write_bytes(pack(plain.read_bytes()))
        plain.unlink()

    return written


WRITERS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    ".csv": pl.DataFrame.write_csv,
    ".jsonl": pl.DataFrame.write_ndjson,
    ".json": pl.DataFrame.write_json,
    ".parquet": pl.DataFrame.write_parquet,
    ".csv.gz": compressed(pl.DataFrame.write_csv, lambda data: gzip.compress(data, 1)),
    ".jsonl.zst": compressed(pl.DataFrame.write_ndjson, lambda data: pa.compress(data, "zstd", asbytes=True)),
}


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet", ".csv.gz", ".jsonl.zst"])
def test_one_wrong_outcome_in_a_million_votes_is_named(
    tmp_path: Path, million: pl.DataFrame, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"votes{kind}"
    WRITERS[kind](million, path)
    monkeypatch.setattr(formats, "objects", lambda *_, **__: pytest.fail("went through the objects one by one"))
    with pytest.raises(VoteFileError) as refused:
        read_votes(path)
    assert str(refused.value).startswith(f"{path}: row {WRONG}, column winner: found 'model_c', expected model_a, ")
    read = read_votes(path, skip_bad=1)
    assert read.frame.height == MILLION - 1
    assert f"row {WRONG}" in read.skipped[0]
    assert read.frame["winner"].value_counts().sort("winner").rows() == [
        ("model_a", 249_999),
        ("model_b", 250_000),
        ("tie", 250_000),
        ("both_bad", 250_000),
    ]


def test_a_type_that_changes_far_down_a_csv(tmp_path: Path) -> None:
    """Types come from the first rows; what follows must not be lost."""
    rows = 30_000
    frame = pl.DataFrame({"model_a": ["A"] * rows, "model_b": ["B"] * rows, "winner": ["tie"] * rows})
    turn, note = ["1"] * (rows - 1) + ["2.5"], ["7"] * (rows - 1) + ["long"]
    frame.with_columns(turn=pl.Series(turn), note=pl.Series(note)).write_csv(tmp_path / "v.csv")
    read = read_votes(tmp_path / "v.csv").frame
    assert read.schema["turn"] == pl.Float64
    assert read["turn"].sum() == rows + 1.5
    assert (read["note"][0], read["note"][-1]) == ("7", "long")


def test_a_key_that_comes_late_in_json_lines(tmp_path: Path) -> None:
    vote = {"model_a": "A", "model_b": "B", "winner": "tie"}
    lines = [json.dumps(vote | {"weight": 1})] * 2000 + [json.dumps(vote | {"weight": 2.5, "voter": "late"})]
    (tmp_path / "v.jsonl").write_text("\n".join(lines))
    read = read_votes(tmp_path / "v.jsonl").frame
    assert read["weight"].sum() == 2002.5
    assert read["voter"].drop_nulls().to_list() == ["late"]


def test_half_a_character_is_lost_in_a_text_but_not_in_a_name(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text('{"model_a": "A", "model_b": "B", "winner": "tie", "prompt": "cut \\ud83d"}\n')
    assert read_votes(path).frame.height == 1
    path.write_text('{"model_a": "A", "model_b": "B \\ud83d", "winner": "tie"}\n')
    with pytest.raises(VoteFileError, match="row 1, column model_b: found no name"):
        read_votes(path)


def test_a_csv_knows_numbers_and_truth_but_leaves_names_and_ids_alone(tmp_path: Path) -> None:
    (path := tmp_path / "v.csv").write_text(
        "model_a,model_b,winner,turn,is_code,len,judge,question_id\n007,1,tie,2,true,1.5,01,00\n"
    )
    assert read_votes(path).frame.rows(named=True) == [
        {
            "model_a": "007",
            "model_b": "1",
            "winner": "tie",
            "turn": 2,
            "is_code": True,
            "len": 1.5,
            "voter": "01",
            "question_id": "00",
        }
    ]


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_what_is_written_is_read_again(tmp_path: Path, kind: str) -> None:
    votes = check_votes(VOTES).frame
    path = tmp_path / f"votes{kind}"
    write_votes(VOTES.head(1), path)
    write_votes(votes, path)
    read = read_votes(path).frame
    assert read.schema == votes.schema
    assert read.equals(votes)
    assert list(tmp_path.iterdir()) == [path]


def test_written_codes_are_read_as_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "coded.parquet"
    write_votes(check_votes(VOTES).frame, path)
    monkeypatch.setattr("palaestra.store.checking.encode", lambda _: pytest.fail("names were hashed"))
    assert read_votes(path).frame.equals(check_votes(pl.read_parquet(path)).frame)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    write_votes(VOTES, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"cannot write votes .*\.parquet holds any column"):
        write_votes(VOTES.with_columns(talk=pl.concat_list("model_a")), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match=r"found 'votes.xlsx', expected a name that ends in \.parquet, \.csv, \.jsonl"):
        write_votes(VOTES, tmp_path / "votes.xlsx")
    with pytest.raises(InputError, match=r"cannot write votes to .*; give a writable path"):
        write_votes(VOTES, tmp_path / "nowhere" / "votes.csv")


@pytest.mark.parametrize("kind", WRITERS)
def test_unwanted_columns_are_left_in_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"v{kind}"
    WRITERS[kind](VOTES, path)
    assert read_votes(path, wanted=["turn"]).frame.columns == ["model_a", "model_b", "winner", "weight", "turn"]
    seen = []
    read_votes(path, wanted=lambda there: seen.extend(there) or ["voter"])
    assert seen[: VOTES.width] == VOTES.columns
    with pytest.raises(
        VoteFileError, match="found no column citations, expected one of model_a, model_b, winner, weight, tst"
    ):
        read_votes(path, wanted=["citations"])
