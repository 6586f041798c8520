"""`palaestra rank`: votes become leaderboards."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter, validators
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import JsonTarget
from palaestra.ranking import FitConfig
from palaestra.ranking import fit as fit_votes
from palaestra.schema import Leaderboard
from palaestra.store.formats import read_votes


def fit(
    votes: str,
    *,
    config: Annotated[FitConfig, Parameter(name="*")] | None = None,
    json: JsonTarget = None,
    skip_bad: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
) -> None:
    """Rate the models of a vote file or of an arena's database.

    Parameters
    ----------
    votes
        Parquet, CSV, JSON lines or JSON, also .gz or .zst; or sqlite:///FILE, postgresql://...
    skip_bad
        Leave out up to so many malformed rows, and report each.
    """
    read = read_votes(votes, skip_bad=skip_bad)
    for line in read.skipped:
        console.warn(f"left out {line}")
    board = fit_votes(read.frame, config)
    if json is not None:
        console.write_json(board.to_dict(), json)
    else:
        console.show(_table(board))
    for warning in board.warnings:
        console.warn(warning)


def _table(board: Leaderboard) -> Table:
    headings = ("rank", "model", "rating", "interval", "votes", "won", "lost", "tied", "both bad", "")
    table = Table(*headings, caption=_caption(board))
    for column in table.columns:
        column.justify = "left" if column.header in {"model", ""} else "right"
    for line in board.models:
        sure = line.rank_lower == line.rank_upper
        ranks = f"{line.rank}" if sure else f"{line.rank_lower}-{line.rank_upper}"
        interval = f"{line.upper - line.rating:+.0f} / {line.lower - line.rating:.0f}"
        counts = (f"{value:g}" for value in (line.votes, line.wins, line.losses, line.ties, line.both_bad))
        mark = "preliminary" if line.preliminary else ""
        table.add_row(ranks, line.model, f"{line.rating:.1f}", interval, *counts, mark)
    return table


def _caption(board: Leaderboard) -> str:
    loss = board.fit.held_out_log_loss
    known = "" if loss is None else f"; held-out log loss {loss:.4f} (a coin has 0.6931)"
    voters = f" by {_several(board.data.voters, 'voter')}" if board.data.voters is not None else ""
    return f"{_several(board.data.votes, 'vote')}{voters}, {board.settings['confidence']:.0%} intervals{known}"


def _several(count: float, what: str) -> str:
    return f"{count:g} {what}" if count == 1 else f"{count:g} {what}s"
