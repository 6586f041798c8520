"""Votes from files: Parquet, JSON lines, JSON, CSV, each also compressed, or an arena's database by its URL; and to files.

What is read is given our columns (`foreign.py`) and checked (`checking.py`). Files are read in columns; only to find the
words for a broken JSON file are its lines looked at one by one.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import PolarsError

from palaestra.errors import InputError, VoteFileError
from palaestra.store.checking import KINDS_OF_COLUMNS, REQUIRED, VoteFile, Wanted, check_votes, kept_columns
from palaestra.store.foreign import in_our_columns

__all__ = ["VoteFile", "check_votes", "read_votes", "write_votes"]

_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_KINDS = ".parquet, .csv, .jsonl, .ndjson or .json, also with .gz or .zst, or sqlite:///FILE or postgresql://..."


def read_votes(
    source: str | Path, *, skip_bad: int = 0, baseline: str | None = None, wanted: Wanted | None = None
) -> VoteFile:
    """Read and check votes.

    Args:
        source: a path, or the URL of an arena's database.
        skip_bad: how many malformed rows may be left out.
        baseline: for files of verdicts that do not name the model against which they were given.
        wanted: which columns are kept beside the three that make a vote, all of them if left out; a file with conversations
            that nobody looks at is read many times faster without them.

    Raises:
        VoteFileError: the file cannot be read, lacks a column, or has more malformed rows than allowed.
        DatabaseError: there is no such ledger.
    """
    if str(source).startswith(("sqlite:", "postgresql:", "postgresql+", "postgres:")):
        from palaestra.store.ballots import vote_frame

        return check_votes(vote_frame(str(source)), source="the ledger")
    path = Path(source)
    loaded = _load(path, wanted)
    if loaded.is_empty():
        raise VoteFileError(f"{path}: the file holds no votes")
    ours, whose, notes = in_our_columns(loaded, source=str(path), baseline=baseline)
    votes = check_votes(ours, source=str(path), skip_bad=skip_bad, wanted=wanted)
    if votes.frame.is_empty() or ("weight" in votes.frame.columns and votes.frame["weight"].sum() == 0):
        raise VoteFileError(f"{path}: the file holds no votes that are well-formed and of a weight above 0")
    return VoteFile(votes.frame, (*notes, *votes.skipped), whose)


def write_votes(frame: pl.DataFrame, path: str | Path) -> None:
    """Write votes, as Parquet, CSV or JSON lines by the path's suffix; the file is there whole or not at all.

    Parquet keeps names as codes, so that reading them back looks at no name twice.

    Raises:
        InputError: the suffix is another one, or the path cannot be written.
    """
    path = Path(path)
    writers = {
        ".parquet": pl.DataFrame.write_parquet,
        ".csv": pl.DataFrame.write_csv,
        ".jsonl": pl.DataFrame.write_ndjson,
    }
    if path.suffix not in writers:
        raise InputError(f"found {path.name!r}, expected {', '.join(writers)}")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        writers[path.suffix](frame, unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"cannot write votes to {str(path)!r}: {error.strerror}; give a writable path") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _load(path: Path, wanted: Wanted | None) -> pl.DataFrame:
    kind = path.suffixes[-2] if path.suffix in _COMPRESSED and len(path.suffixes) > 1 else path.suffix
    if kind not in {".parquet", ".csv", ".jsonl", ".ndjson", ".json"}:
        raise VoteFileError(f"found {path.name!r}, expected {_KINDS}")
    if not path.is_file():
        raise VoteFileError(f"no file {path}; expected {_KINDS}")
    try:
        if kind == ".parquet":
            file = path if path.suffix == ".parquet" else _bytes(path)
            names = list(pl.read_parquet_schema(file))
            ours = set(REQUIRED) <= set(names)
            return pl.read_parquet(file, columns=kept_columns(names, wanted) if ours else names)
        data = path if path.suffix not in _COMPRESSED else _bytes(path)
        if kind == ".csv":
            return pl.read_csv(data, infer_schema=False, null_values=[""], encoding="utf8")
        if kind != ".json":
            return _json_lines(path, data)
        return _frame(_rows(path, _bytes(path), lines=False))
    except (OSError, PolarsError, pa.ArrowException, UnicodeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VoteFileError(f"cannot read {path}: {said}; expected {_KINDS}") from error


def _bytes(path: Path) -> io.BytesIO:
    with pa.input_stream(str(path), compression=_COMPRESSED.get(path.suffix)) as stream:
        return io.BytesIO(stream.read())


def _json_lines(path: Path, data: Path | io.BytesIO) -> pl.DataFrame:
    """One object a line, read in columns where all lines have them in common, else line by line."""
    try:
        return pl.read_ndjson(data, infer_schema_length=None)
    except PolarsError:
        return _frame(_rows(path, _bytes(path), lines=True))


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
        if name in KINDS_OF_COLUMNS:
            raise
        return pl.DataFrame({name: [None if value is None else json.dumps(value) for value in values]})


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
