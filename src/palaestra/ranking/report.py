"""The report of one or many boards: a page that stands alone, and the small table that a notebook shows.

For each board a verdict in a sentence, every model in a table, pictures of ratings, ranks, win rates and battles,
effects,
calibration, what the fit warns of, and the settings and hash with which anybody can make it again. Several boards
begin with their ranks side by side. Not here: single charts (`charts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from palaestra.errors import InputError
from palaestra.ranking import charts
from palaestra.ranking.page import checked_path, picture, whole_page, write_page
from palaestra.schema import Leaderboard, ModelRating

_SORTING = """<script>
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) =>
        value(a).localeCompare(value(b), undefined, { numeric: true }) * (rising ? 1 : -1));
      table.tBodies[0].append(...rows);
    });
  });
}
</script>"""
_FULL_BOARDS = 4
"""So many boards have all pictures; of more, only the first and those of ratings for the others."""


def write_report(
    path: str | Path,
    boards: Mapping[str, Leaderboard],
    *,
    history: pl.DataFrame | None = None,
    title: str = "Leaderboard",
) -> None:
    """Write the report.

    Args:
        path: ends in .html.
        boards: by category; those of `fit` also show their battles.
        history: what `history` gives, if ratings over time are to be shown.
        title: of the page.

    Raises:
        InputError: there is no board, or the path cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    if not boards:
        raise InputError("found no board, expected at least one to report on")
    parts = [_overview(boards)] if len(boards) > 1 else []
    if history is not None:
        parts.append(picture(charts.history_chart(history), "history"))
    for number, (name, board) in enumerate(boards.items()):
        whole = number == 0 or len(boards) <= _FULL_BOARDS
        parts.append(_section(name, board, f"b{number}", whole=whole))
    write_page(path, whole_page(title, "".join(parts) + _SORTING))


def board_table(board: Leaderboard) -> str:
    """The board as a table of HTML, for notebooks."""
    return _table(board, caption=_votes(board))


def verdict(board: Leaderboard) -> str:
    """Who leads, and who cannot be told apart from the leader, in a sentence."""
    if not board.models:
        return "There are no votes yet."
    first = board.models[0]
    near = [line.model for line in board.models[1:] if _may_be_first(line)]
    if not near:
        return f"{first.model} leads; at {_confidence(board)} nobody else can be first."
    named = ", ".join(near[:3]) + (f" and {len(near) - 3} more" if len(near) > 3 else "")  # noqa: PLR2004 - names
    return (
        f"{first.model} leads; it cannot be told apart from {named}, which may be first as well ({_confidence(board)})."
    )


def _may_be_first(line: ModelRating) -> bool:
    return (line.rank_simultaneous_lower or line.rank_lower) == 1


def _confidence(board: Leaderboard) -> str:
    return f"{100 * float(board.settings.get('confidence', 0.95)):g}% confidence"  # ty: ignore[invalid-argument-type]


def _section(name: str, board: Leaderboard, key: str, *, whole: bool) -> str:
    drawn = [charts.ratings_chart(board)] if board.models else []
    if board.models and whole:
        drawn += [charts.ranks_chart(board), charts.win_rate_chart(board)]
        counts = getattr(board, "counts", None)
        if counts is not None and counts.names:
            pairs = charts.PairCounts(counts.names, counts.wins_MM, counts.drawn_MM)
            drawn.append(charts.battles_chart(pairs.of(tuple(line.model for line in board.models))))
        drawn += [charts.effects_chart(board)] if board.effects else []
        drawn += [charts.calibration_chart(board)] if board.fit.calibration else []
    pictures = "".join(picture(chart, f"{key}-{number}", 3) for number, chart in enumerate(drawn))
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in board.warnings)
    noted = f"<h3>What to know</h3><ul>{warnings}</ul>" if warnings else ""
    return (
        f'<section id="{key}"><h2>{escape(name)}</h2><p class="verdict">{escape(verdict(board))}</p>'
        f'<div class="wide" tabindex="0">{_table(board, caption=_votes(board))}</div>'
        f"{noted}{pictures}{_made(board)}</section>"
    )


def _votes(board: Leaderboard) -> str:
    fit = board.fit
    known = "" if fit.held_out_log_loss is None else f"; held-out log loss {fit.held_out_log_loss:.4f}"
    if fit.constant_log_loss is not None:
        known += f" ({fit.constant_log_loss:.4f} without knowing the models)"
    voters = f" by {board.data.voters:,} voters" if board.data.voters is not None else ""
    return f"{board.data.votes:,.0f} votes{voters}, {_confidence(board)}{known}"


def _table(board: Leaderboard, caption: str) -> str:
    heads = ("Rank", "All at once", "Model", "Rating", "Interval", "Votes", "Won", "Lost", "Tied", "Both bad", "Note")
    head = "".join(f'<th scope="col"{_class(name)}>{name}</th>' for name in heads)
    rows = "".join(_row(line) for line in board.models)
    return (
        f'<table class="sortable"><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _class(name: str) -> str:
    return ' class="name"' if name == "Model" else ""


def _row(line: ModelRating) -> str:
    sure = _span(line.rank_simultaneous_lower, line.rank_simultaneous_upper)
    counts = "".join(f"<td>{value:g}</td>" for value in (line.votes, line.wins, line.losses, line.ties, line.both_bad))
    return (
        f'<tr><td data-value="{line.rank_lower}">{_span(line.rank_lower, line.rank_upper)}</td><td>{sure}</td>'
        f'<th scope="row" class="name">{escape(line.model)}</th><td>{line.rating:.1f}</td>'
        f"<td>{line.upper - line.rating:+.0f} / {line.lower - line.rating:.0f}</td>{counts}"
        f"<td>{'preliminary' if line.preliminary else ''}</td></tr>"
    )


def _span(low: int | None, high: int | None) -> str:
    if low is None:
        return ""
    return f"{low}" if low == high else f"{low}\N{EN DASH}{high}"


def _overview(boards: Mapping[str, Leaderboard]) -> str:
    """Ranks of every category side by side; the first three bold, and marked with a circle, a square, a triangle."""
    first = next(iter(boards.values()))
    ranks = {name: {line.model: line for line in board.models} for name, board in boards.items()}
    head = "".join(
        f'<th scope="col"><a href="#b{number}">{escape(name.replace("_", " "))}</a></th>'
        for number, name in enumerate(boards)
    )
    rows = "".join(
        f'<tr><th scope="row" class="name">{escape(line.model)}</th>'
        + "".join(_place(ranks[name].get(line.model)) for name in boards)
        + "</tr>"
        for line in first.models
    )
    return (
        "<section><h2>Categories</h2><p>Ranks by category; \N{BLACK CIRCLE} first, \N{BLACK SQUARE} second, "
        "\N{BLACK UP-POINTING TRIANGLE} third, * preliminary.</p>"
        f'<div class="wide" tabindex="0"><table><caption>{len(boards)} boards</caption><thead><tr>'
        f'<th scope="col" class="name">Model</th>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _place(line: ModelRating | None) -> str:
    if line is None:
        return "<td></td>"
    marks = {1: "\N{BLACK CIRCLE} ", 2: "\N{BLACK SQUARE} ", 3: "\N{BLACK UP-POINTING TRIANGLE} "}
    top = ' class="top"' if line.rank in marks else ""
    return f"<td{top}>{marks.get(line.rank, '')}{line.rank}{'*' if line.preliminary else ''}</td>"


def _made(board: Leaderboard) -> str:
    """With what the board can be made again."""
    settings: dict[str, Any] = {name: value for name, value in board.settings.items() if value not in (None, [], False)}
    said = ", ".join(f"{name} = {value}" for name, value in settings.items())
    span = (
        f"; from {board.data.first:%Y-%m-%d} to {board.data.last:%Y-%m-%d}"
        if board.data.first and board.data.last
        else ""
    )
    return f"<h3>How it was made</h3><ul><li>{escape(said)}</li><li>votes {board.data.sha256}{span}</li></ul>"
