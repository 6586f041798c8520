"""Files of verdicts, read into one frame with the columns of `Verdict`.

    a run folder   verdicts.parquet, as a run writes it
    verdicts       any table with question_id, model_a, model_b, label
    arena-hard     JSON lines, or a folder of them, MODEL.jsonl: question_id or uid, model, judge, games with scores; in
                   the first game the baseline is A, in the second B
    a table        question_id, model, game1, game2: the same in columns
    mt-bench       pairs: question_id, model_1, model_2, g1_winner, g2_winner, judge, turn (`mt_bench.py`)

A table may be Parquet, CSV, JSON lines or JSON, also .gz or .zst. Labels are spelled in any case, in brackets or not,
from either side (B<A is A>B). An empty one is a verdict that could not be read: its row is kept, without a label. Any
other text is an error, never a tie. A model that meets itself stays in the frame; who counts wins leaves it out.

Judgments that a run has written come back with all that a run knows (`judgments.py`). Not here: votes
(`store/formats.py`, where a row without both verdicts is left out).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from palaestra.errors import InputError
from palaestra.judge.judgments import read_judgments
from palaestra.judge.mt_bench import read_pairs
from palaestra.judge.verdict import LABELS, MIRRORED, POINTS, Verdict
from palaestra.schema import arrow_schema
from palaestra.store.records import kind_of, read_rows
from palaestra.store.tables import in_columns, read_table

RUN_FILE, GRADES_FILE = "verdicts.parquet", "grades.parquet"
UNNAMED = "unnamed"
"""The judge, where a file does not say who judged."""
FOREIGN = "foreign"
"""The protocol, where a file does not say it."""

_QUESTION = ("question_id", "uid")
_OURS = ("model_a", "model_b", "label")
_GAMES = 2
_KEPT = ("question_id", "judge", "protocol", "category")
_TEXT_COLUMNS = (*_KEPT, "model", "baseline", "score1", "score2", "text1", "text2")
_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
_DEFAULTS: dict[str, Any] = {"judge": UNNAMED, "protocol": FOREIGN, "game": 1, "attempts": 1}
_SAID = f"one of {', '.join(LABELS)}, or nothing"


def read_verdicts(path: str | Path, baseline: str | None = None) -> pl.DataFrame:
    """Verdicts, in the order of the file, game 1 before game 2; shape (verdicts, columns of `Verdict`).

    Args:
        path: a file, a run's folder, or a folder of arena-hard judgments.
        baseline: the model against which all verdicts were given, where the file does not name it.

    Raises:
        InputError: no such file, a column is missing, the baseline is not known or is another than the file names, or
            a row holds what is no label; file, row and column are named.
    """
    path = Path(path)
    if not path.is_dir():
        return _read_file(path, baseline)
    if (path / RUN_FILE).is_file():
        return _read_file(path / RUN_FILE, baseline)
    if (path / GRADES_FILE).is_file():
        raise InputError(
            f"{path}: this run graded answers one by one, expected verdicts on pairs; see `palaestra judge grades` and "
            "`palaestra judge read`"
        )
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_LINES) and file.is_file())
    if not files:
        raise InputError(
            f"{path}: found no verdicts, expected {RUN_FILE}, or judgments in files that end in {', '.join(_LINES)}"
        )
    return pl.concat([_read_file(file, baseline) for file in files])


def _read_file(path: Path, baseline: str | None) -> pl.DataFrame:
    if kind_of(path) in {".parquet", ".csv"}:
        return _understood(path, read_table(path, "verdicts"), baseline)
    rows = read_rows(path, "verdicts")
    if all("games" in row and "protocol" in row for row in rows):
        return read_judgments(path, baseline=baseline)  # our own: they say more than Arena-Hard's
    if all("g1_winner" in row for row in rows):
        return read_pairs(path)
    if any("games" in row for row in rows):
        return _by_model(path, _judgments(path, rows), baseline)
    return _understood(path, in_columns(rows), baseline)


def _understood(path: Path, frame: pl.DataFrame, baseline: str | None) -> pl.DataFrame:
    there = set(frame.columns)
    if question := next((name for name in _QUESTION if name in there), None):
        frame = frame.rename({question: "question_id"})
    if question and there.issuperset(_OURS):
        return _verdicts(path, frame)
    if question and there.issuperset(("model", "game1", "game2")):
        return _by_model(path, frame.rename({"game1": "score1", "game2": "score2"}), baseline)
    raise InputError(
        f"{path}: found the columns {', '.join(frame.columns) or 'none'}, expected question_id with model, game1, "
        f"game2, or with {', '.join(_OURS)}, or arena-hard's model and games"
    )


def _judgments(path: Path, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Arena-hard's rows with their games laid out in columns."""
    found: dict[str, list[Any]] = {name: [] for name in (*_TEXT_COLUMNS, "game2_there")}
    for number, row in enumerate(rows, start=1):
        games = row.get("games")
        if not isinstance(games, list) or not 0 < len(games) <= _GAMES:
            raise InputError(f"{path}: row {number}, column games: found {games!r:.80}, expected one or two games")
        found["question_id"].append(next((row[name] for name in _QUESTION if row.get(name) is not None), None))
        for name in ("model", "baseline", "judge", "protocol", "category"):
            found[name].append(row.get(name))
        for game in range(_GAMES):
            score, text = _played(path, number, games[game] if game < len(games) else None)
            found[f"score{game + 1}"].append(score)
            found[f"text{game + 1}"].append(text)
        found["game2_there"].append(len(games) == _GAMES)
    return pl.DataFrame({name: pl.Series(name, values, strict=False) for name, values in found.items()})


def _played(path: Path, number: int, game: Any) -> tuple[Any, str | None]:  # noqa: ANN401 - as the file has it
    """A game's score and what the judge wrote; a game that failed is None in the newer files."""
    if game is None:
        return None, None
    if not isinstance(game, dict):
        raise InputError(f"{path}: row {number}, column games: found {game!r:.80}, expected an object with a score")
    said = game.get("judgment")
    said = said.get("answer") if isinstance(said, dict) else said
    return game.get("score"), said if isinstance(said, str) else None


def _by_model(path: Path, frame: pl.DataFrame, baseline: str | None) -> pl.DataFrame:
    """A row a model and question, with two scores, into a row a game."""
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in _TEXT_COLUMNS if name in frame.columns)
    frame = frame.with_columns(baseline=_baseline(path, frame, baseline)).with_row_index("row")
    _refuse_nameless(path, frame, "question_id", "model")
    both = []
    for game, (a, b) in enumerate((("baseline", "model"), ("model", "baseline")), start=1):
        kept = {name: pl.col(name) for name in _KEPT if name in frame.columns}
        if f"text{game}" in frame.columns:
            kept["text"] = pl.col(f"text{game}")
        part = frame.filter("game2_there") if game == _GAMES and "game2_there" in frame.columns else frame
        columns = kept | {"model_a": pl.col(a), "model_b": pl.col(b), "label": pl.col(f"score{game}")}
        both.append(part.select("row", game=pl.lit(game, pl.Int64), column=pl.lit(f"game{game}"), **columns))
    return _verdicts(path, pl.concat(both).sort("row", "game"))


def _baseline(path: Path, frame: pl.DataFrame, given: str | None) -> pl.Series:
    named = frame["baseline"] if "baseline" in frame.columns else pl.Series("baseline", [None] * len(frame), pl.String)
    if given is None and named.null_count():
        raise InputError(f"{path}: these verdicts do not name their baseline; give it: --baseline NAME")
    other = named.drop_nulls().unique().sort().to_list()
    if given is not None and other not in ([], [given]):
        raise InputError(f"{path}: found the baseline {', '.join(map(repr, other))}, expected {given!r}")
    return named.fill_null(given) if given is not None else named


def _verdicts(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `Verdict`, whatever of them is there, checked; `row` and `column` say where a value stood."""
    if "row" not in frame.columns:
        frame = frame.with_row_index("row").with_columns(column=pl.lit("label"))
    texts = [name for name in ("question_id", "model_a", "model_b", "judge", "protocol") if name in frame.columns]
    frame = frame.with_columns(pl.col(name).cast(pl.String) for name in texts)
    _refuse_nameless(path, frame, "question_id", "model_a", "model_b")
    frame = frame.with_columns(said=pl.col("label"), label=_label(frame["label"]))
    known = frame["label"].is_in(LABELS).fill_null(value=True)
    _refuse(path, frame.filter(~known), "said", None, _SAID)
    if "game" in frame.columns:
        games = frame["game"].cast(pl.Int64, strict=False).is_in([1, 2]).fill_null(value=False)
        _refuse(path, frame.filter(~games), "game", "game", "1 or 2")
    frame = frame.with_columns(preference=_preference(path, frame))
    for name, value in _DEFAULTS.items():
        there = pl.col(name).fill_null(value) if name in frame.columns else pl.lit(value)
        frame = frame.with_columns(there.alias(name))
    _refuse_repeated(path, frame)
    return _shaped(path, frame)


def _refuse_repeated(path: Path, frame: pl.DataFrame) -> None:
    """One game of two models on a question has one verdict of a judge: another would count twice."""
    key = ("question_id", "judge", "protocol", "model_a", "model_b", "game")
    again = frame.filter(~pl.struct(key).is_first_distinct())
    if again.is_empty():
        return
    row = again.row(0, named=True)
    raise InputError(
        f"{path}: row {row['row'] + 1}: found a second verdict of {row['judge']} on question {row['question_id']!r}, "
        f"{row['model_a']} against {row['model_b']} in game {row['game']} ({len(again)} such rows), expected one: "
        "remove the others, or tell judges or protocols apart by a column"
    )


def _preference(path: Path, frame: pl.DataFrame) -> pl.Series:
    """The chance that A is better: as the file says it, else by the label."""
    points = frame["label"].replace_strict(POINTS, default=None, return_dtype=pl.Float64)
    if "preference" not in frame.columns:
        return points
    given = frame["preference"].cast(pl.Float64, strict=False)
    lost = given.is_null() & frame["preference"].is_not_null()
    outside = (lost | ~given.is_between(0, 1)).fill_null(value=False)
    _refuse(path, frame.filter(outside), "preference", "preference", "a number from 0 to 1")
    return given.fill_null(points)


def _label(said: pl.Series) -> pl.Series:
    """Labels in one spelling; null for nothing."""
    bare = said.cast(pl.String).str.to_uppercase().str.strip_chars(" \t\r\n[]")
    return bare.replace(MIRRORED).replace("", None)


def _shaped(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of `Verdict`, in its order and types."""
    wanted = pl.DataFrame(arrow_schema(Verdict).empty_table()).schema
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in wanted.items() if name not in frame.columns]
    try:
        return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in wanted.items())
    except PolarsError as error:
        raise InputError(f"{path}: {str(error).partition(chr(10))[0]}; expected the types of a verdict") from error


def _refuse_nameless(path: Path, frame: pl.DataFrame, *columns: str) -> None:
    for name in columns:
        _refuse(path, frame.filter(pl.col(name).fill_null("").str.strip_chars() == ""), name, name, "a name")


def _refuse(path: Path, bad: pl.DataFrame, shown: str, column: str | None, expected: str) -> None:
    """Say what the first of some bad rows holds, and how many more there are."""
    if bad.is_empty():
        return
    first: Sequence[Any] = bad.row(0, named=False)
    row = dict(zip(bad.columns, first, strict=True))
    more = f" ({len(bad) - 1} more)" if len(bad) > 1 else ""
    raise InputError(
        f"{path}: row {row['row'] + 1}, column {column or row['column']}: found {row[shown]!r:.80}, "
        f"expected {expected}{more}"
    )
