"""Votes from files: Parquet, JSON lines, JSON, CSV, each also compressed, or an arena's database; and to files.

What is read is given our columns (`foreign.py`) and checked (`checking.py`). Files are read in columns, and only those
that are wanted; a JSON file is gone through object by object (`objects.py`) only where polars finds no columns in it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.exceptions import ComputeError, PanicException, PolarsError

from palaestra.errors import InputError, VoteFileError
from palaestra.store.checking import VoteFile, check_votes, sift
from palaestra.store.columns import ALIASES, KINDS_OF_COLUMNS, Wanted
from palaestra.store.foreign import NAMES, Format, recognise
from palaestra.store.objects import objects
from palaestra.store.sources import is_database
from palaestra.whole_file import whole_file

__all__ = ["VoteFile", "check_votes", "read_votes", "write_votes"]

_COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_KINDS = ".parquet, .csv, .jsonl, .ndjson or .json, also with .gz or .zst, or sqlite:///FILE or postgresql://..."
_IDENTIFIERS = ("id", "question_id", "uid", "instruction_id", "evaluation_session_id")
_TEXT_IN_CSV = (
    *NAMES,
    *KINDS_OF_COLUMNS,
    *ALIASES,
    *(other for others in ALIASES.values() for other in others),
    *_IDENTIFIERS,
)
"""What is not turned into numbers in a CSV, where everything is text: a name may be 007."""


def read_votes(
    source: str | Path, *, skip_bad: int = 0, baseline: str | None = None, wanted: Wanted | None = None
) -> VoteFile:
    """Read and check votes.

    Args:
        source: a path, or the URL of an arena's database.
        skip_bad: how many malformed rows may be left out.
        baseline: for files of verdicts that do not name the model against which they were given.
        wanted: which columns are kept beside those that make a vote and its weight, by name, or as a function of the
            names that are there; all of them if left out. Files with conversations are read much faster without.

    Raises:
        VoteFileError: the file cannot be read, lacks a column, or has more malformed rows than allowed.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        from palaestra.store.ballots import vote_frame

        return check_votes(vote_frame(str(source)), source="the ledger", wanted=wanted)
    path = Path(source)
    loaded, whose = _load(path, wanted)
    if loaded.is_empty():
        raise VoteFileError(f"{path}: the file holds no votes")
    ours = whose.translate(loaded, str(path), baseline)
    kept_B, malformed = sift(str(path), loaded, ours.complaints, skip_bad)
    frame, row_B = ours.of(kept_B)
    allowed = skip_bad - len(malformed)
    votes = check_votes(frame, source=str(path), skip_bad=allowed, wanted=wanted, row_B=row_B)
    if not len(votes) or ("weight" in votes.others.columns and votes.others["weight"].sum() == 0):
        raise VoteFileError(f"{path}: the file holds no votes that are well-formed and of a weight above 0")
    return replace(votes, skipped=(*ours.left_out, *malformed, *votes.skipped), format=whose.name)


def write_votes(frame: pl.DataFrame, path: str | Path) -> None:
    """Write votes, as Parquet, CSV or JSON lines by the path's suffix; the file is there whole or not at all.

    Parquet keeps the codes of names and outcomes, so that reading them back looks at no name twice.

    Raises:
        InputError: the suffix is another one, the path cannot be written, or CSV cannot hold a column.
    """
    path = Path(path)
    writers = {
        ".parquet": pl.DataFrame.write_parquet,
        ".csv": pl.DataFrame.write_csv,
        ".jsonl": pl.DataFrame.write_ndjson,
    }
    if path.suffix not in writers:
        raise InputError(f"found {path.name!r}, expected a name that ends in {', '.join(writers)}")
    try:
        with whole_file(path, "votes to ") as part:
            writers[path.suffix](frame, part)
    except PolarsError as error:
        raise InputError(f"cannot write votes to {str(path)!r}: {error}; .parquet holds any column") from error


def _load(path: Path, wanted: Wanted | None) -> tuple[pl.DataFrame, Format]:
    """The wanted columns as they are in the file, and whose format it is."""
    kind = path.suffixes[-2] if path.suffix in _COMPRESSED and len(path.suffixes) > 1 else path.suffix
    if kind not in _READERS:
        raise VoteFileError(f"found {path.name!r}, expected {_KINDS}")
    if not path.is_file():
        raise VoteFileError(f"no file {path}; expected {_KINDS}")
    try:
        data = _bytes(path) if path.suffix in _COMPRESSED else path
        *quick, last = _READERS[kind]
        for read in quick:
            with suppress(PolarsError):
                return _collected(read(path, data), str(path), wanted)
        return _collected(last(path, data), str(path), wanted)
    except (OSError, PolarsError, PanicException, pa.ArrowException, UnicodeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise VoteFileError(f"cannot read {path}: {said}; expected {_KINDS}") from error


def _collected(lazy: pl.LazyFrame, source: str, wanted: Wanted | None) -> tuple[pl.DataFrame, Format]:
    there = lazy.collect_schema().names()
    whose = recognise(there)
    return lazy.select(whose.needs(source, there, wanted)).collect(), whose


def _bytes(path: Path) -> bytes:
    with pa.input_stream(str(path), compression=_COMPRESSED.get(path.suffix)) as stream:
        return stream.read()


def _parquet(_: Path, data: Path | bytes) -> pl.LazyFrame:
    return pl.scan_parquet(data)


def _csv(_: Path, data: Path | bytes, *, rows: int | None = 10_000) -> pl.LazyFrame:
    """Columns of types as in the first rows; a value further down that is of another one is an error."""
    text = dict.fromkeys(_TEXT_IN_CSV, pl.String())
    return pl.scan_csv(data, schema_overrides=text, infer_schema_length=rows, null_values=[""], encoding="utf8")


def _csv_of_any_types(path: Path, data: Path | bytes) -> pl.LazyFrame:
    return _csv(path, data, rows=None)


def _lines(_: Path, data: Path | bytes) -> pl.LazyFrame:
    return pl.scan_ndjson(data, infer_schema_length=None)


def _lines_one_by_one(path: Path, data: Path | bytes) -> pl.LazyFrame:
    return objects(path, _whole(data), lines=True).lazy()


def _list(_: Path, data: Path | bytes) -> pl.LazyFrame:
    data = _whole(data)
    if not data[:100].lstrip().startswith(b"["):
        raise ComputeError("no list")
    return pl.read_json(data, infer_schema_length=None).lazy()


def _list_one_by_one(path: Path, data: Path | bytes) -> pl.LazyFrame:
    return objects(path, _whole(data), lines=False).lazy()


_READERS: dict[str, tuple[Callable[[Path, Path | bytes], pl.LazyFrame], ...]] = {
    ".parquet": (_parquet,),
    ".csv": (_csv, _csv_of_any_types),
    ".jsonl": (_lines, _lines_one_by_one),
    ".ndjson": (_lines, _lines_one_by_one),
    ".json": (_list, _list_one_by_one),
}
"""What is tried in turn; the last one words the error."""


def _whole(data: Path | bytes) -> bytes:
    return data if isinstance(data, bytes) else data.read_bytes()
