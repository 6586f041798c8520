"""Vote files: every format the same, every malformed row named, nothing guessed."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from palaestra.errors import DatabaseError, VoteFileError
from palaestra.store.formats import read_votes

VOTES = [
    {"model_a": "Ada", "model_b": "Bea", "winner": "model_a", "voter": "p1", "tstamp": 1700000000.5, "weight": 2.0},
    {"model_a": "Bea", "model_b": "Çiğdem", "winner": "tie", "voter": "p2", "tstamp": 1700000001.0, "weight": 1.0},
    {"model_a": "Ada", "model_b": "Çiğdem", "winner": "both_bad", "voter": "p1", "tstamp": 1700000002.0, "weight": 0.5},
]
COMPRESSED = {"": lambda data: data, ".gz": gzip.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}


def encoded(kind: str, votes: list[dict[str, Any]]) -> bytes:
    if kind == ".json":
        return json.dumps(votes, ensure_ascii=False).encode()
    if kind in {".jsonl", ".ndjson"}:
        return "\n".join(json.dumps(vote) for vote in votes).encode() + b"\n\n"
    if kind == ".csv":
        return pl.DataFrame(votes).write_csv().encode()
    sink = pa.BufferOutputStream()
    pl.DataFrame(votes).write_parquet(sink)
    return sink.getvalue().to_pybytes()


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("kind", [".csv", ".json", ".jsonl", ".ndjson", ".parquet"])
def test_every_format_brings_the_same_votes(tmp_path: Path, kind: str, compression: str) -> None:
    path = tmp_path / f"votes.of.today{kind}{compression}"
    path.write_bytes(COMPRESSED[compression](encoded(kind, VOTES)))
    read = read_votes(path)
    assert read.skipped == ()
    frame = read.frame
    assert frame.select("model_a", "model_b", "winner", "voter").rows() == [
        (vote["model_a"], vote["model_b"], vote["winner"], vote["voter"]) for vote in VOTES
    ]
    assert frame["weight"].to_list() == [2.0, 1.0, 0.5]
    assert frame["tstamp"][0] == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)


def test_columns_of_the_public_releases(tmp_path: Path) -> None:
    path = write(
        tmp_path / "votes.csv",
        "question_id,model_a,model_b,winner,judge_hash,timestamp,language\n"
        "q1,Ada,Bea,tie (bothbad),j1,2024-01-02T03:04:05Z,English\n"
        "q2,Ada,Bea,both bad,j2,2024-01-02 03:04:05,German\n"
        "q3,Ada,Bea,model_b,,,\n",
    )
    frame = read_votes(path).frame
    assert frame["winner"].to_list() == ["both_bad", "both_bad", "model_b"]
    assert frame["voter"].to_list() == ["j1", "j2", None]
    assert frame["tstamp"].to_list() == [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)] * 2 + [None]
    assert frame["language"].to_list() == ["English", "German", None]
    assert "question_id" in frame.columns


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("model_a", "", "found no name, expected the name of a model"),
        ("model_b", None, "found no name"),
        ("model_b", "Ada", "found 'Ada' on both sides, expected two models"),
        ("winner", "model_c", "found 'model_c', expected model_a, model_b, tie, both_bad"),
        ("winner", "Tie", "found 'Tie', expected"),
        ("winner", None, "found None, expected"),
        ("weight", "-1", "found '-1', expected a number from 0 to 1e+09"),
        ("weight", "nan", "found 'nan'"),
        ("weight", "inf", "found 'inf'"),
        ("weight", "two", "found 'two'"),
        ("weight", "2e9", "found '2e9'"),
        ("weight", None, "found None, expected a number"),
        ("propensity", "0", "found '0', expected a probability above 0 and at most 1"),
        ("propensity", "1.5", "found '1.5'"),
        ("tstamp", "yesterday", "found 'yesterday', expected seconds since 1970 (not milliseconds) or an ISO time"),
        ("tstamp", "1700000000000", "found '1700000000000', expected seconds since 1970 (not milliseconds)"),
        ("tstamp", "inf", "found 'inf'"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, column: str, value: str | None, said: str) -> None:
    good = {"model_a": "Ada", "model_b": "Bea", "winner": "tie", "weight": "1", "propensity": "0.5", "tstamp": "1"}
    path = write(tmp_path / "v.jsonl", "\n".join(json.dumps(row) for row in (good, good | {column: value}, good)))
    with pytest.raises(VoteFileError) as refused:
        read_votes(path)
    assert str(refused.value).startswith(f"{path}: row 2, column {column}: {said}")
    read = read_votes(path, skip_bad=1)
    assert read.frame.height == 2
    assert len(read.skipped) == 1
    assert said in read.skipped[0]


def test_more_malformed_rows_than_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "v.csv", "model_a,model_b,winner\nA,B,x\nA,B,tie\nA,A,y\nA,B,z\n")
    with pytest.raises(VoteFileError, match=r"row 1, column winner: found 'x'.* \(3 rows are malformed\)"):
        read_votes(path, skip_bad=2)
    (bad := tmp_path / "bad.csv").write_text("model_a,model_b,winner\nA,B,x\n")
    with pytest.raises(VoteFileError, match="holds no votes that are well-formed"):
        read_votes(bad, skip_bad=1)
    assert [line.split(": ")[1] for line in read_votes(path, skip_bad=3).skipped] == [
        "row 1, column winner",
        "row 3, column winner",
        "row 4, column winner",
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("v.csv", "", "cannot read"),
        ("v.csv", "model_a,model_b,winner\n", "holds no votes"),
        ("v.csv", "a,b\n1,2\n", "no column model_a, model_b, winner; found a, b"),
        ("v.csv", "model_a,model_b,winner\nA,B,tie,4,5\n", "cannot read"),
        ("v.json", '{"model_a": "A"}', "expected a list of objects"),
        ("v.json", "[1, 2]", "expected a list of objects"),
        ("v.json", "[{", "expected JSON"),
        ("v.json", "[]", "holds no votes"),
        ("v.json", '[{"model_a": "\\ud800", "model_b": "B", "winner": "tie"}]', "found no name"),
        ("v.json", "[" * 100_000, "nested too deeply"),
        ("v.csv", "model_a,model_b,winner,winner\nA,B,tie,model_a\n", "more than one column winner"),
        (
            "v.csv",
            "model_a,model_b,winner,weight\nA,B,tie,0\n",
            "no votes that are well-formed and of a weight",
        ),
        ("v.jsonl", '{"model_a": "A", "model_b": "B", "winner": "tie"}\n\n{oops\n', "line 3"),
        ("v.parquet", "no parquet at all", "cannot read"),
        ("v.csv.gz", "not compressed", "cannot read"),
        ("v.csv.zst", "not compressed", "cannot read"),
        ("v.txt", "model_a", "expected .parquet, .csv"),
        ("votes", "model_a", "expected .parquet, .csv"),
    ],
)
def test_files_that_are_no_vote_files(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(VoteFileError) as refused:
        read_votes(write(tmp_path / name, text))
    assert said in str(refused.value)
    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("model_a", [["A"]], "column model_a: found values of type List(String), expected names as text"),
        ("model_b", [b"B"], "column model_b: found values of type Binary, expected names as text"),
        ("winner", [1], "column winner: found values of type Int64, expected text"),
        ("weight", [True], "column weight: found values of type Boolean, expected numbers"),
        ("propensity", [{"p": 0.5}], "column propensity: found values of type Struct"),
        ("tstamp", [timedelta(1)], "column tstamp: found values of type Duration"),
    ],
)
def test_columns_of_another_type(tmp_path: Path, column: str, values: list[object], said: str) -> None:
    path = tmp_path / "v.parquet"
    good = {"model_a": ["A"], "model_b": ["B"], "winner": ["tie"]}
    pl.DataFrame(good | {column: values}).write_parquet(path)
    with pytest.raises(VoteFileError) as refused:
        read_votes(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_columns_of_kindred_types(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    frame = pl.DataFrame({"model_a": [7], "model_b": ["B"], "winner": ["tie"], "tstamp": [date(2024, 1, 2)]})
    frame.with_columns(pl.col("winner").cast(pl.Categorical)).write_parquet(path)
    assert read_votes(path).frame.row(0) == ("7", "B", "tie", datetime(2024, 1, 2, tzinfo=UTC))
    frame.with_columns(tstamp=pl.lit("2024-01-02 03:00:00+03").cast(pl.Categorical)).write_parquet(path)
    assert read_votes(path).frame["tstamp"].to_list() == [datetime(2024, 1, 2, tzinfo=UTC)]


def test_a_column_of_others_without_a_common_type_passes_as_json(tmp_path: Path) -> None:
    good = {"model_a": "A", "model_b": "B", "winner": "tie", "weight": 2}
    rows = [good | {"extra": {"k": 1}}, good | {"extra": [1, 2]}, good]
    frame = read_votes(write(tmp_path / "v.json", json.dumps(rows))).frame
    assert frame["extra"].to_list() == ['{"k": 1}', "[1, 2]", None]
    assert frame["weight"].to_list() == [2.0, 2.0, 2.0]
    with pytest.raises(VoteFileError, match="cannot read"):
        read_votes(write(tmp_path / "v.json", json.dumps([good, good | {"weight": {"k": 1}}, good | {"weight": [1]}])))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(b"model_a,model_b,winner\n\xff\xfe,B,tie\n")
    with pytest.raises(VoteFileError, match="cannot read"):
        read_votes(path)


def test_a_missing_file_and_a_missing_database(tmp_path: Path) -> None:
    with pytest.raises(VoteFileError, match="no file"):
        read_votes(tmp_path / "nowhere.csv")
    with pytest.raises(DatabaseError):
        read_votes(f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert not (tmp_path / "nowhere.db").exists(), "reading makes no database"


def test_a_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(b'\xef\xbb\xbfmodel_a,model_b,winner\r\n"A, the first","B ""quoted""",tie\r\n')
    assert read_votes(path).frame.rows() == [("A, the first", 'B "quoted"', "tie")]


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-02T03:04:05Z",
        "2024-01-02 03:04:05",
        "2024-01-02 03:04:05.000",
        "2024-01-02T05:04:05+02:00",
        "2024-01-02T05:04:05.0+0200",
        "2024-01-02 05:04:05+02",
        "2024-01-02 03:04:05.000000+00",
        "2024-01-01T22:04:05-05",
        "1704164645",
        "1704164645.0",
        " 2024-01-02 03:04:05 UTC",
    ],
)
def test_spellings_of_one_moment(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "v.csv", f"model_a,model_b,winner,tstamp\nA,B,tie,{text}\nA,B,tie,2024-01-02T03:04Z\n")
    times = read_votes(path).frame["tstamp"].to_list()
    assert times == [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2024, 1, 2, 3, 4, tzinfo=UTC)]


def test_unknown_columns_pass_through_with_their_types(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    talk = [[{"role": "user", "content": "hi"}]]
    pl.DataFrame(
        {"model_a": ["A"], "model_b": ["B"], "winner": ["tie"], "conversation_a": talk, "turn": [2], "is_code": [True]}
    ).write_parquet(path)
    assert read_votes(path).frame.row(0, named=True) == {
        "model_a": "A",
        "model_b": "B",
        "winner": "tie",
        "conversation_a": talk[0],
        "turn": 2,
        "is_code": True,
    }
