"""Verdicts as the judgment files of Arena-Hard, and such files as verdicts.

    arena-hard-v2     JUDGE/MODEL.jsonl: uid, category, judge, model, baseline, games[{score, judgment: {answer}}]
    arena-hard-v0.1   JUDGE/MODEL.jsonl: question_id, model, judge, games[{score, judgment}]

Of the two games of a row the first shows the baseline as A, the second the model. What the tool has no field for (the
protocol, the preference, attempts, tokens, cost; in v0.1 also category and baseline) stands in fields of ours, which it
passes over, so that reading gives what was written. The judge's prompts are not in a verdict and are not written.

A game that was not played is null in v2, as there, and an object with `absent` in v0.1, whose readers expect one.

Foreign ones of any number are read faster, and more leniently, by `verdict_files.py`, which also takes a run's own to
here. Not here: votes made of such files (`store/foreign.py`), which know nothing of texts and of unread verdicts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import ValidationError

from palaestra.errors import InputError
from palaestra.judge.answers import file_name
from palaestra.judge.verdict import LABELS, POINTS, Label, Verdict, label_of, verdict_frame
from palaestra.store.records import read_rows, write_lines

JudgmentKind = Literal["arena-hard-v2", "arena-hard-v0.1"]
_NAMES = {"arena-hard-v2": "arena-hard-v2.0", "arena-hard-v0.1": "arena-hard-v0.1"}
"""The protocol of a file that does not say."""
_OURS = ("preference", "error", "attempts", "input_tokens", "output_tokens", "cost")
_GAMES = (1, 2)


def write_judgments(folder: str | Path, verdicts: pl.DataFrame, kind: JudgmentKind = "arena-hard-v2") -> list[Path]:
    """Write verdicts, one file a judge and model, and give the paths; a file of that name is replaced.

    Args:
        folder: made if it is not there; each judge has a folder in it.
        verdicts: rows of `Verdict`; in game 1 A is the baseline, in game 2 B.
        kind: whose files.

    Raises:
        InputError: the kind is unknown, there are no verdicts, a game stands there twice, or the folder cannot be
            written. Nothing is written in the first three cases.
    """
    if kind not in _NAMES:
        raise InputError(f"found the kind {kind!r}, expected {', '.join(_NAMES)}")
    if verdicts.is_empty():
        raise InputError("found no verdicts, expected at least one to write")
    rows: dict[tuple[str, str, str, str, str, str | None], list[dict[str, Any] | None]] = {}
    for row in verdicts.iter_rows(named=True):
        baseline, model = (row["model_a"], row["model_b"])[:: 1 if row["game"] == 1 else -1]
        key = (row["judge"], model, baseline, row["question_id"], row["protocol"], row["category"])
        games = rows.setdefault(key, [None, None])
        if games[row["game"] - 1] is not None:
            raise InputError(
                f"found game {row['game']} of {model} against {baseline} on question {row['question_id']!r} by "
                f"{row['judge']} twice, expected each once"
            )
        games[row["game"] - 1] = row
    files: dict[Path, list[dict[str, Any]]] = defaultdict(list)
    for (judge, model, baseline, question, protocol, category), games in rows.items():
        files[Path(folder) / file_name(judge) / f"{file_name(model)}.jsonl"].append(
            {
                ("uid" if kind == "arena-hard-v2" else "question_id"): question,
                "category": category,
                "judge": judge,
                "model": model,
                "baseline": baseline,
                "protocol": protocol,
                "games": [_game(game, kind) for game in games],
            }
        )
    for path, lines in files.items():
        write_lines(path, lines)
    return list(files)


def read_judgments(path: str | Path, *, baseline: str | None = None) -> pl.DataFrame:
    """Read verdicts, with the columns of `Verdict`, two rows a line where both games were played.

    Args:
        path: a file, or a folder of them at any depth.
        baseline: against whom the verdicts were given, where the file does not say (v0.1).

    Raises:
        InputError: unreadable, a row without an id, a model or a judge, a score that is no label, a game that stands
            there twice, or no baseline; file and row are named.
    """
    path = Path(path)
    files = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: found no judgments, expected files JUDGE/MODEL.jsonl")
    found: list[Verdict] = []
    first: dict[tuple[object, ...], str] = {}
    for file in files:
        for number, row in enumerate(read_rows(file, "judgments"), start=1):
            where = f"{file}: row {number}"
            for verdict in _verdicts(where, row, baseline):
                key = (verdict.judge, verdict.protocol, verdict.question_id, verdict.model_a, verdict.model_b)
                if (before := first.setdefault((*key, verdict.game), where)) != where:
                    raise InputError(f"{where}: found game {verdict.game} of {key}, which {before} has already")
                found.append(verdict)
    return verdict_frame(found)


def _game(row: Mapping[str, Any] | None, kind: JudgmentKind) -> dict[str, Any] | None:
    if row is None:
        return None if kind == "arena-hard-v2" else {"score": None, "judgment": "", "absent": True}
    text = row["text"]
    judgment = text if kind == "arena-hard-v0.1" else None if text is None else {"answer": text}
    return {"score": row["label"], "judgment": judgment, **{name: row[name] for name in _OURS}}


def _verdicts(where: str, row: Mapping[str, Any], baseline: str | None) -> list[Verdict]:
    games = row.get("games")
    if not isinstance(games, list) or len(games) > len(_GAMES):
        raise InputError(f"{where}: found the games {json.dumps(games)[:80]}, expected a list of one or two")
    against = row.get("baseline", baseline)
    if against is None:
        raise InputError(f"{where}: the verdicts do not name their baseline; give it: --baseline NAME")
    if row.get("model") == against:
        raise InputError(f"{where}: found the model {against!r} against itself, expected another baseline")
    protocol = _NAMES["arena-hard-v2" if "uid" in row else "arena-hard-v0.1"]
    named = row.get("uid", row.get("question_id"))
    if named is None or not str(named):
        raise InputError(f"{where}: found no id of a question, expected uid or question_id")
    both: dict[str, Any] = {"protocol": protocol, "question_id": str(named)}
    both |= {name: row[name] for name in ("judge", "protocol", "category") if name in row}
    try:
        return [
            Verdict(
                game=number,
                model_a=(against, row["model"])[number - 1],
                model_b=(row["model"], against)[number - 1],
                **both,
                **_played(game),
            )
            for number, game in zip(_GAMES, games, strict=False)
            if game is not None and not game.get("absent")
        ]
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"{where}, {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{where}: expected question_id or uid, model, judge and games: {type(error).__name__}: {error}"
        ) from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _played(game: Mapping[str, Any]) -> dict[str, Any]:
    label = _label(game["score"])
    judgment = game.get("judgment")
    text = judgment.get("answer") if isinstance(judgment, Mapping) else judgment
    said = {"preference": None if label is None else POINTS[label]}
    return {"label": label, "text": text} | said | {name: game[name] for name in _OURS if name in game}


def _label(score: Any) -> Label | None:  # noqa: ANN401 - as the file has it
    if score is None or score == "":
        return None
    label = label_of(str(score).strip(" \n[]").upper())
    if label is None:
        raise InputError(f"found the score {score!r}, expected {', '.join(LABELS)}, or null")
    return label
