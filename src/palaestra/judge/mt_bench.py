"""MT-Bench (Zheng et al., 2023): grades from 1 to 10 of single answers, and verdicts on pairs; their files.

    grades     question_id, model, judge: [name, prompt], turn, score, judgment, tstamp; as a table judge, judge_prompt
    pairs      question_id, model_1, model_2, g1_winner, g2_winner, judge, turn, g1_judgment, g2_judgment, tstamp

A score outside 1 to 10 (the authors write -1 where they found none) is no score: counted, never averaged in. In the
second game of a pair the answers are swapped; a judge that then contradicts itself has given two different labels, and
both are kept. `error`, the authors' mark of a verdict that could not be read, is no label.

Not here: questions (`store/prompts.py`), answers (`answers.py`), the board of the grades (`grade_board.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.judge.verdict import OPPOSITE, POINTS, Grade, Label, Verdict, verdict_frame
from palaestra.store.records import read_rows, write_lines

LEAST, MOST = 1.0, 10.0
_PROTOCOL = "mt-bench"
_TURN = re.compile(r"[1-9][0-9]*(\.0+)?")
_LABELS: dict[str, Label | None] = {"model_1": "A>B", "model_2": "B>A", "tie": "A=B", "error": None}
"""Of the first game, by its winner."""
_WINNERS = {1.0: "model_1", 0.0: "model_2", 0.5: "tie"}
"""By what model 1 scores."""


def read_grades(path: str | Path) -> list[Grade]:
    """Read grades of MT-Bench, in the order of the file; of a folder, file by file in the order of their names.

    The protocol is `mt-bench/PROMPT/TURN`.

    Raises:
        InputError: unreadable, a row without an id, a model or a judge, a score that is no number, or two grades by one
            judge of one turn; file and row are named.
    """
    found: list[Grade] = []
    first: dict[tuple[object, ...], str] = {}
    for where, row in _rows(path, "grades"):
        grade = _checked(where, Grade, _grade, row)
        key = (grade.judge, grade.model, grade.question_id, turn_of(grade.protocol))
        if (before := first.setdefault(key, where)) != where:
            raise InputError(
                f"{where}: found a second grade by {grade.judge} of {grade.model}, question {grade.question_id!r}, "
                f"turn {key[-1]}; the first is {before}; expected one: remove one of them"
            )
        found.append(grade)
    return found


def turn_of(protocol: str) -> int | None:
    """The turn in a protocol of MT-Bench; None for any other, which grades an answer as a whole."""
    return _parts(protocol)[1]


def write_grades(path: str | Path, grades: Sequence[Grade]) -> None:
    """Write grades as FastChat does, JSON lines; without a score -1. What they cost is lost.

    Raises:
        InputError: there are none, or the path cannot be written.
    """
    if not grades:
        raise InputError("found no grades, expected at least one to write")
    write_lines(path, map(_grade_row, grades))


def read_pairs(path: str | Path) -> pl.DataFrame:
    """Read verdicts on pairs, with the columns of `Verdict`, two rows a line.

    The protocol is `mt-bench/PROMPT/TURN`, so that both turns of a question stand beside each other under one id.

    Raises:
        InputError: unreadable, a row without an id, two models or a judge, or a winner that is none of model_1,
            model_2, tie and error; file and row are named.
    """
    found: list[Verdict] = []
    first: dict[tuple[object, ...], str] = {}
    for where, row in _rows(path, "verdicts on pairs"):
        for game in (1, 2):
            verdict = _checked(where, Verdict, lambda row, game=game: _verdict(row, game), row)
            if verdict.model_a == verdict.model_b:
                raise InputError(f"{where}: found {verdict.model_a!r} against itself, expected two models")
            key = (verdict.judge, verdict.protocol, verdict.question_id, verdict.model_a, verdict.model_b, game)
            if (before := first.setdefault(key, where)) != where:
                raise InputError(f"{where}: found game {game} of {key[:-1]}, which {before} has already")
            found.append(verdict)
    return verdict_frame(found)


def write_pairs(path: str | Path, verdicts: pl.DataFrame) -> None:
    """Write verdicts on pairs as FastChat does. Both games of a pair make a line; one that is not there is an error.

    What their files have no place for is lost: how strong a preference is, what it cost, why a text is missing.

    Raises:
        InputError: there are none, a game stands there twice, or the path cannot be written.
    """
    if verdicts.is_empty():
        raise InputError("found no verdicts, expected at least one to write")
    pairs: dict[tuple[str, ...], dict[int, dict[str, Any]]] = {}
    for row in verdicts.iter_rows(named=True):
        one, two = (row["model_a"], row["model_b"])[:: 1 if row["game"] == 1 else -1]
        games = pairs.setdefault((row["question_id"], one, two, row["judge"], row["protocol"]), {})
        if row["game"] in games:
            raise InputError(f"found game {row['game']} of {one} against {two} on {row['question_id']!r} twice")
        games[row["game"]] = row
    write_lines(path, (_pair_row(key, games) for key, games in pairs.items()))


def _rows(path: str | Path, what: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    path = Path(path)
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: found no {what}, expected files that end in .jsonl")
    return ((f"{file}: row {at}", row) for file in files for at, row in enumerate(read_rows(file, what), start=1))


def _checked(where: str, record: type[Any], fields: Any, row: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a record's class
    try:
        return record(**fields(row))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"{where}, {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _judge(row: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Its name and that of its prompt."""
    judge = row.get("judge")
    if isinstance(judge, list | tuple):
        return (judge[0] if judge else None), (str(judge[1]) if len(judge) > 1 else None)
    return judge, row.get("judge_prompt")


def _id(row: Mapping[str, Any]) -> str:
    named = row.get("question_id")
    if named is None or not str(named) or isinstance(named, (bool, list, dict)):
        raise InputError(f"found the question_id {named!r:.80}, expected the question's: a number or a text")
    return f"{named:.0f}" if isinstance(named, float) and named.is_integer() else str(named)


def _grade(row: Mapping[str, Any]) -> dict[str, Any]:
    judge, prompt = _judge(row)
    given = row.get("score")
    try:
        score = math.nan if isinstance(given, bool) else float(-1 if given is None else given)
    except (TypeError, ValueError):
        score = math.nan
    if math.isnan(score):
        raise InputError(f"column score: found {given!r}, expected a number, or -1 for none")
    if not row.get("model") or not judge:
        raise InputError(f"found the model {row.get('model')!r} and the judge {judge!r}, expected their names")
    return {
        "question_id": _id(row),
        "model": row["model"],
        "judge": judge,
        "protocol": _protocol(prompt or "single", row.get("turn", 1)),
        "rating": score if LEAST <= score <= MOST else None,
        "text": row.get("judgment"),
        "category": row.get("category"),
    }


def _grade_row(grade: Grade) -> dict[str, Any]:
    prompt, turn = _parts(grade.protocol)
    row = {
        "question_id": _number(grade.question_id),
        "model": grade.model,
        "judge": [grade.judge, prompt],
        "judgment": grade.text,
        "score": -1 if grade.rating is None else grade.rating,
        "turn": turn or 1,
        "category": grade.category,
    }
    return {name: value for name, value in row.items() if value is not None}


def _protocol(prompt: str, turn: Any) -> str:  # noqa: ANN401 - as the file has it
    if not _TURN.fullmatch(str(turn)):
        raise InputError(f"column turn: found {turn!r}, expected 1, 2, ...")
    return f"{_PROTOCOL}/{prompt}/{float(str(turn)):.0f}"


def _parts(protocol: str) -> tuple[str, int | None]:
    """Prompt and turn of a protocol as it is made here; any other is a prompt as a whole."""
    parts = protocol.split("/")
    if parts[0] != _PROTOCOL or len(parts) < len(("mt-bench", "prompt", "turn")) or not parts[-1].isdecimal():
        return protocol, None
    return "/".join(parts[1:-1]), int(parts[-1])


def _verdict(row: Mapping[str, Any], game: int) -> dict[str, Any]:
    winner = row.get(f"g{game}_winner")
    if not isinstance(winner, str) or winner not in _LABELS:
        raise InputError(f"column g{game}_winner: found {winner!r}, expected {', '.join(_LABELS)}")
    judge, prompt = _judge(row)
    label = _LABELS[str(winner)]
    label = OPPOSITE[label] if label is not None and game == 2 else label  # noqa: PLR2004 - swapped
    one, two = row.get("model_1") or "", row.get("model_2") or ""
    if not one or not two or not judge:
        raise InputError(f"found the models {one!r} and {two!r} and the judge {judge!r}, expected their names")
    return {
        "question_id": _id(row),
        "judge": judge,
        "protocol": _protocol(prompt or "pair", row.get("turn", 1)),
        "model_a": one if game == 1 else two,
        "model_b": two if game == 1 else one,
        "game": game,
        "label": label,
        "preference": None if label is None else POINTS[label],
        "text": row.get(f"g{game}_judgment"),
        "category": row.get("category"),
    }


def _pair_row(key: tuple[str, ...], games: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    question, one, two, judge, protocol = key
    if len(games) != len((one, two)):
        raise InputError(f"found only game {min(games)} of {one} against {two} on {question!r}, expected both")
    prompt, turn = _parts(protocol)
    row: dict[str, Any] = {"question_id": _number(question), "model_1": one, "model_2": two}
    for game, verdict in sorted(games.items()):
        points = None if verdict["label"] is None else POINTS[verdict["label"]]
        row[f"g{game}_winner"] = "error" if points is None else _WINNERS[points if game == 1 else 1 - points]
        row[f"g{game}_judgment"] = verdict["text"]
    return row | {"judge": [judge, prompt], "turn": turn or 1, "category": games[1]["category"]}


def _number(name: str) -> str | int:
    """Their ids are numbers."""
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else name
