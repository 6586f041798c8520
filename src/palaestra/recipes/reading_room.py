"""A run of judges as pages to read, with its board: the judge room's pages, scored by the ranking room's engine.

The board is that of `palaestra judge board` with its defaults; of grades, their means. Two runs are compared on the
models and questions that both have: both boards are fitted anew on those.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from palaestra.judge.reading_room import Room, read_room
from palaestra.judge.reading_room_changes import Changes, changes_between, score_changes
from palaestra.judge.reading_room_folder import check_out, write_room
from palaestra.judge.reading_room_index import Standing, Standings, grade_standings
from palaestra.recipes.verdict_board import board_of_verdicts


def open_reading_room(
    run: str | Path,
    out: str | Path,
    *,
    against: str | Path | None = None,
    questions: str | Path | None = None,
    against_questions: str | Path | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], Changes | None]:
    """Write the reading room of a run.

    Args:
        run: a run's folder.
        out: the folder of pages.
        against: the folder of an earlier run.
        questions: where the run's questions are now, if they have moved.
        against_questions: likewise, of the other run.
        overwrite: whether an older reading room gives way.

    Returns:
        What is in the room, and what changed, if there was another run.

    Raises:
        InputError: a folder is no run, has no verdicts or was changed; the output exists or cannot be written.
        MissingPartError: the extra `pages` is not installed.
    """
    check_out(out, overwrite=overwrite)
    room = read_room(run, questions)
    changes = None
    if against is not None:
        changes = compare_rooms(read_room(against, against_questions), room)
    return write_room(out, room, standings(room), changes, overwrite=overwrite), changes


def compare_rooms(before: Room, after: Room) -> Changes:
    """What changed between two runs, with scores on what both have.

    Raises:
        InputError: they cannot be compared.
    """
    changes = changes_between(before, after)
    models = frozenset(before.models) & frozenset(after.models)
    baseline = after.baseline if after.baseline == before.baseline else None
    boards = [standings(room, questions=changes.common, models=models, baseline=baseline) for room in (before, after)]
    scores = score_changes(boards[0].lines, boards[1].lines)
    return replace(changes, scores=scores, score=boards[1].title)


def standings(
    room: Room,
    *,
    questions: frozenset[str] | None = None,
    models: frozenset[str] | None = None,
    baseline: str | None = None,
) -> Standings:
    """The board of a run, or of a part of it.

    Args:
        room: the run.
        questions: ids of those that count; all if None.
        models: those that count; all if None, and then scores are against the run's own baseline.
        baseline: whom scores are against, where a part was asked for.
    """
    if room.kind == "grades":
        found = grade_standings(room, questions)
        return found if models is None else replace(found, lines=tuple(x for x in found.lines if x.model in models))
    frame = room.verdicts
    if questions is not None:
        frame = frame.filter(pl.col("question_id").is_in(list(questions)))
    if models is not None:
        frame = frame.filter(pl.col("model_a").is_in(list(models)) & pl.col("model_b").is_in(list(models)))
    read = frame.filter(pl.col("label").is_not_null() & (pl.col("model_a") != pl.col("model_b")))
    against = room.baseline if models is None else baseline
    named = set(read["model_a"]) | set(read["model_b"])
    against = against if against in named else None
    title = f"win rate against {against} in percent" if against else "mean win rate against all others in percent"
    if read.is_empty():
        return Standings(title, 0, 100, (), ("No verdict could be read: there is no board.",))
    if read["question_id"].n_unique() == 1:
        return Standings(title, 0, 100, (), ("Verdicts on one question only: intervals need two, there is no board.",))
    board = board_of_verdicts(frame, baseline=against)
    votes = {line.model: line.votes for line in board.board.models}
    lines = [Standing(name, each.score, each.lower, each.upper, votes[name]) for name, each in board.scores.items()]
    level = f"{board.board.settings['confidence']:.0%}"
    notes = [f"{level} intervals clustered by question, as palaestra judge board gives them."]
    if board.unread:
        notes.append(
            f"{board.unread:,} of {board.games:,} games have no verdict that can be read; they count for nobody."
        )
    return Standings(title, 0, 100, tuple(lines), (*notes, *board.notes, *board.board.warnings))
