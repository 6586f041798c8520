"""Votes from files: Parquet, JSON lines, JSON, CSV, each also compressed, or an arena's database by its URL.

Every row is checked, in columns at once. A malformed one is an error that names file, row (from 1, the header not
counted) and column, or, up to a number that the caller allows, a row left out and told of.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from palaestra.errors import VoteFileError
from palaestra.schema import Winner

_ALIASES = {"voter": ("judge", "judge_hash", "user"), "tstamp": ("timestamp",)}
_REQUIRED = ("model_a", "model_b", "winner")
_SPELLINGS = {"tie (bothbad)": Winner.BOTH_BAD.value, "both bad": Winner.BOTH_BAD.value}
_OUTCOMES = [winner.value for winner in Winner]
_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_KINDS = ".parquet, .csv, .jsonl, .ndjson or .json, also with .gz or .zst, or sqlite:///FILE or postgresql://..."

_HEAVIEST = 1e9
_FIRST_TIME, _LAST_TIME = -62_135_596_800, 253_402_300_800
"""Seconds since 1970 of the years 1 and 10000: what a time can be. Milliseconds fall outside."""

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_NUMBER = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
_KINDS_OF_COLUMNS: dict[str, tuple[tuple[type[pl.DataType], ...], str]] = {
    "model_a": ((*_TEXT, *_NUMBER), "names as text"),
    "model_b": ((*_TEXT, *_NUMBER), "names as text"),
    "winner": (_TEXT, "text"),
    "weight": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "propensity": ((*_NUMBER, pl.Decimal, pl.String), "numbers"),
    "tstamp": ((*_NUMBER, *_TEXT, pl.Datetime, pl.Date), "seconds since 1970 or times"),
}


@dataclass(frozen=True, slots=True)
class VoteFile:
    """Votes with the columns of the interface, and a line on each row that was left out."""

    frame: pl.DataFrame
    skipped: tuple[str, ...] = ()


def read_votes(source: str | Path, *, skip_bad: int = 0) -> VoteFile:
    """Read and check votes.

    Args:
        source: a path, or the URL of an arena's database.
        skip_bad: how many malformed rows may be left out.

    Raises:
        VoteFileError: the file cannot be read, lacks a column, or has more malformed rows than allowed.
        DatabaseError: there is no such ledger.
    """
    if str(source).startswith(("sqlite:", "postgresql:", "postgresql+", "postgres:")):
        from palaestra.store.ballots import vote_frame

        return VoteFile(vote_frame(str(source)))
    path = Path(source)
    loaded = _load(path)
    if loaded.is_empty():
        raise VoteFileError(f"{path}: the file holds no votes")
    votes = check_votes(loaded, source=str(path), skip_bad=skip_bad)
    if votes.frame.is_empty() or ("weight" in votes.frame.columns and votes.frame["weight"].sum() == 0):
        raise VoteFileError(f"{path}: the file holds no votes that are well-formed and of a weight above 0")
    return votes


def check_votes(frame: pl.DataFrame, *, source: str = "the frame", skip_bad: int = 0) -> VoteFile:
    """Check votes that are in memory already, as those of a file are; here there may be none.

    Args:
        frame: with the columns of a vote file.
        source: what messages call it.
        skip_bad: how many malformed rows may be left out.

    Raises:
        VoteFileError: it lacks a column, has one of another type, or more malformed rows than allowed.
    """
    return _checked(source, _canonical(source, frame), skip_bad)


def _load(path: Path) -> pl.DataFrame:
    kind = path.suffixes[-2] if path.suffix in _COMPRESSED and len(path.suffixes) > 1 else path.suffix
    if kind not in {".parquet", ".csv", ".jsonl", ".ndjson", ".json"}:
        raise VoteFileError(f"found {path.name!r}, expected {_KINDS}")
    if not path.is_file():
        raise VoteFileError(f"no file {path}; expected {_KINDS}")
    try:
        data = _bytes(path)
        if kind == ".parquet":
            return pl.read_parquet(data)
        if kind == ".csv":
            return pl.read_csv(data, infer_schema=False, null_values=[""], encoding="utf8")
        return _frame(_rows(path, data, lines=kind != ".json"))
    except (OSError, PolarsError, pa.ArrowException, UnicodeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VoteFileError(f"cannot read {path}: {said}; expected {_KINDS}") from error


def _bytes(path: Path) -> io.BytesIO:
    with pa.input_stream(str(path), compression=_COMPRESSED.get(path.suffix)) as stream:
        return io.BytesIO(stream.read())


def _rows(path: Path, data: io.BytesIO, *, lines: bool) -> list[dict[str, object]]:
    """The objects of a JSON file, or of one object a line."""
    try:
        rows = [json.loads(line) for line in data if line.strip()] if lines else json.loads(data.read())
    except RecursionError as error:
        raise VoteFileError(f"{path}: nested too deeply; expected a flat object for each vote") from error
    except ValueError as error:
        where = ""
        if lines:
            text = data.getvalue().splitlines()
            number = next(number for number, line in enumerate(text, start=1) if line.strip() and not _is_json(line))
            where = f", line {number}"
        raise VoteFileError(f"{path}{where}: {error}; expected JSON") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise VoteFileError(f"{path}: expected a list of objects, one for each vote")
    return rows


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    """The rows as columns; a column that is none of ours and has no common type becomes JSON text."""
    try:
        return pl.DataFrame(rows, infer_schema_length=None, strict=False)
    except PolarsError:
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pl.concat([_column(name, [row.get(name) for row in rows]) for name in names], how="horizontal")


def _column(name: str, values: list[object]) -> pl.DataFrame:
    try:
        return pl.DataFrame([{name: value} for value in values], infer_schema_length=None, strict=False)
    except PolarsError:
        if name in _KINDS_OF_COLUMNS:
            raise
        return pl.DataFrame({name: [None if value is None else json.dumps(value) for value in values]})


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _canonical(source: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Our names for the columns, and our types where a value can be read as one."""
    for name, others in _ALIASES.items():
        present = [other for other in others if other in frame.columns]
        if name not in frame.columns and present:
            frame = frame.rename({present[0]: name})
    missing = [name for name in _REQUIRED if name not in frame.columns]
    if missing:
        raise VoteFileError(
            f"{source}: no column {', '.join(missing)}; found {', '.join(frame.columns) or 'none'}, expected at least "
            f"{', '.join(_REQUIRED)}"
        )
    twice = [name for name in _KINDS_OF_COLUMNS if f"{name}_duplicated_0" in frame.columns]  # polars' name for it
    if twice:
        raise VoteFileError(f"{source}: found more than one column {', '.join(twice)}, expected one")
    for name, (kinds, expected) in _KINDS_OF_COLUMNS.items():
        found = frame.schema.get(name, pl.Null())
        if not isinstance(found, (pl.Null, *kinds)):
            raise VoteFileError(f"{source}: column {name}: found values of type {found}, expected {expected}")
    return frame.with_columns(
        pl.col("model_a").cast(pl.String),
        pl.col("model_b").cast(pl.String),
        pl.col("winner").cast(pl.String).replace(_SPELLINGS),
    )


def _checked(source: str, frame: pl.DataFrame, skip_bad: int) -> VoteFile:
    """Check every row; leave out up to `skip_bad` malformed ones."""
    typed = frame.with_columns(*_times(frame), *_numbers(frame))
    complaints = [
        (name, expected, frame.select(_REQUIRED_ROW, bad=rule)["bad"].fill_null(value=True))
        for name, expected, rule in _rules()
    ]
    complaints += [
        (name, expected, bad(typed[name]) & (frame[name].is_not_null() if name in _MAY_BE_MISSING else True))
        for name, expected, bad in _VALUE_RULES
        if name in frame.columns
    ]
    malformed = pl.Series([False]).new_from_index(0, frame.height)
    said: dict[int, str] = {}
    for name, expected, bad in complaints:
        malformed |= bad
        for index in bad.arg_true().head(skip_bad + 1).to_list():
            said.setdefault(index, f"{source}: row {index + 1}, column {name}: {expected.format(frame[name][index])}")
    if malformed.sum() > skip_bad:
        more = f" ({malformed.sum()} rows are malformed)" if malformed.sum() > 1 else ""
        raise VoteFileError(said[min(said)] + more)
    return VoteFile(typed.filter(~malformed), tuple(said[index] for index in sorted(said)))


_REQUIRED_ROW = pl.col("model_a").alias("_row")


def _rules() -> list[tuple[str, str, pl.Expr]]:
    nameless = "found no name, expected the name of a model"
    outcomes = f"found {{!r}}, expected {', '.join(_OUTCOMES)} (or {', '.join(map(repr, _SPELLINGS))})"
    same = "found {!r} on both sides, expected two models"
    return [
        ("model_a", nameless, pl.col("model_a").str.strip_chars() == ""),
        ("model_b", nameless, pl.col("model_b").str.strip_chars() == ""),
        ("winner", outcomes, ~pl.col("winner").is_in(_OUTCOMES)),
        ("model_b", same, pl.col("model_a") == pl.col("model_b")),
    ]


_MAY_BE_MISSING = {"propensity", "tstamp"}  # a vote without a weight, where others have one, is a fault of the file

_VALUE_RULES = [
    (
        "weight",
        f"found {{!r}}, expected a number from 0 to {_HEAVIEST:.0e}",
        lambda number: number.is_null() | ~number.is_between(0, _HEAVIEST),
    ),
    (
        "propensity",
        "found {!r}, expected a probability above 0 and at most 1",
        lambda number: number.is_null() | ~((number > 0) & (number <= 1)),
    ),
    (
        "tstamp",
        "found {!r}, expected seconds since 1970 (not milliseconds) or an ISO time",
        lambda time: time.is_null(),
    ),
]


def _numbers(frame: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Float64, strict=False) for name in ("weight", "propensity") if name in frame.columns]


def _times(frame: pl.DataFrame) -> list[pl.Expr]:
    """Seconds or ISO text as a time in UTC; text without a zone is taken as UTC."""
    if "tstamp" not in frame.columns:
        return []
    column, kind = pl.col("tstamp"), frame.schema["tstamp"]
    if isinstance(kind, pl.Datetime):
        zoned = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        return [zoned.cast(pl.Datetime("us", "UTC"))]
    if kind == pl.Date:
        return [column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")]
    if isinstance(kind, _TEXT):
        column = column.cast(pl.String)
    seconds = column.cast(pl.Float64, strict=False)
    microseconds = pl.when(seconds.is_between(_FIRST_TIME, _LAST_TIME, closed="left")).then((seconds * 1e6).round())
    read = microseconds.cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(kind, _TEXT):
        return [pl.coalesce(read, _iso(column)).alias("tstamp")]
    return [read.alias("tstamp")]


def _iso(column: pl.Expr) -> pl.Expr:
    """ISO text in any mixture of its spellings: T or a blank, with or without seconds and zone, or a date alone."""
    spelled = (
        column.str.strip_chars()
        .str.replace(r"^(\d{4}-\d\d-\d\d)[ t]", "${1}T")
        .str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
        .str.replace(r"(T\d\d:\d\d)(Z|z|[+-]|$)", "${1}:00${2}")
        .str.replace(r"\s*(Z|z| ?UTC)$", "+00:00")
        .str.replace(r"(T[\d:.]+[+-]\d\d)$", "${1}:00")
        .str.replace(r"(T\d\d:\d\d:\d\d(?:\.\d+)?)$", "${1}+00:00")
    )
    return spelled.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False)
