"""The report of one or many boards: a page that stands alone, and the small table that a notebook shows.

For each board a verdict in a sentence, what the fit warns of, every model in a table, pictures of ratings, ranks, win
rates, battles, effects and calibration, and the settings and hash with which anybody can make it again. Several boards
begin with their ranks side by side. Not here: single charts (`charts.py`), the page around it (`page.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

import polars as pl

from palaestra.errors import InputError
from palaestra.pictures.drawing import intervals, spelled
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page
from palaestra.ranking import charts
from palaestra.schema import FitReport, Leaderboard, ModelRating

_SORTING = """<script>
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    const value = (row) => {
      const cell = row.cells[column], number = parseFloat(cell.textContent.replaceAll(",", ""));
      return cell.tagName === "TH" || isNaN(number) ? cell.textContent : number;
    };
    const order = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : `${a}`.localeCompare(`${b}`);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => sign * order(value(a), value(b))));
    });
  });
}
</script>"""
_FULL_BOARDS = 4
"""So many boards have all pictures; of more, only the first, and the others ratings, effects, and a folded table."""
_SIDE_BY_SIDE = 8
"""Above so many boards, their names stand upright over the columns."""
_SHOWN = 40
"""Rows of the table in a notebook."""
_NAMED = 3
"""So many models that may be first as well are named; of more, their number is given."""


def write_report(
    path: str | Path,
    boards: Mapping[str, Leaderboard],
    *,
    history: pl.DataFrame | None = None,
    title: str = "Leaderboard",
    before: str = "",
) -> None:
    """Write the report.

    Args:
        path: ends in .html.
        boards: by category; those of `fit` also show their battles.
        history: what `history` gives, if ratings over time are to be shown.
        title: of the page.
        before: HTML that stands before everything else.

    Raises:
        InputError: there is no board, or the path cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    if not boards:
        raise InputError("found no board, expected at least one to report on")
    parts = [before, *([_overview(boards)] if len(boards) > 1 else [])]
    if history is not None:
        parts.append(picture(charts.history_chart(history), "history"))
    for number, (name, board) in enumerate(boards.items()):
        whole = number == 0 or len(boards) <= _FULL_BOARDS
        parts.append(_section(name, board, f"b{number}", whole=whole))
    write_page(path, whole_page(title, "".join(parts) + _SORTING))


def board_table(board: Leaderboard) -> str:
    """The board as a table of HTML, for notebooks."""
    shown = board.models[:_SHOWN]
    rest = len(board.models) - len(shown)
    return _table(board, shown) + (f"<p>and {rest} more</p>" if rest else "")


def verdict(board: Leaderboard) -> str:
    """Who leads, and who cannot be told apart from the leader, in a sentence."""
    if not board.models:
        return "There are no votes yet."
    if not board.fit.converged:
        return "The fit did not converge; nobody can be said to lead."
    if len(board.components) > 1:
        return f"Nobody leads: the votes fall into {len(board.components)} sets of models that never met."
    first = board.models[0]
    few = f" Its rating is preliminary, from {_count(first.votes)} votes." if first.preliminary else ""
    if first.rank_simultaneous_upper is None:
        best, worst, sure = first.rank_lower, first.rank_upper, "each model by itself"
    else:
        best, worst, sure = 1, first.rank_simultaneous_upper, "all models at once"
    near = [line.model for line in board.models[1:] if (line.rank_simultaneous_lower or line.rank_lower) == best]
    if not near:
        return f"{first.model} leads; nobody else can be first ({intervals(board)}, {sure}).{few}"
    named = _listed(near)
    return (
        f"{first.model} leads; it cannot be told apart from {named}, which may be first as well. Its rank is between "
        f"{best} and {worst} ({intervals(board)}, {sure}).{few}"
    )


def _listed(names: list[str]) -> str:
    if len(names) > _NAMED + 1:
        names = [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _section(name: str, board: Leaderboard, key: str, *, whole: bool) -> str:
    table = scrolling(_table(board, board.models), escape(f"All models, {_words(name)}"))
    if not whole:
        table = f"<details><summary>All {len(board.models)} models</summary>{table}</details>"
    return (
        f'<section id="{key}" aria-labelledby="{key}-name"><h2 id="{key}-name">{escape(_words(name))}</h2>'
        f'<p class="verdict">{escape(verdict(board))}</p>{_warnings(board)}'
        f"{table}{_pictures(board, key, whole=whole)}{_made(board)}</section>"
    )


def _pictures(board: Leaderboard, key: str, *, whole: bool) -> str:
    if not board.models:
        return ""
    drawn = [charts.ratings_chart(board)]
    counts = getattr(board, "counts", None)
    if whole:
        drawn += [charts.ranks_chart(board), charts.win_rate_chart(board)]
    if whole and counts is not None and counts.names:
        pairs = charts.PairCounts(counts.names, counts.wins_MM, counts.drawn_MM).of(spelled(board.models))
        drawn += [charts.win_rate_chart(board, pairs), charts.battles_chart(pairs)]
    drawn += [charts.effects_chart(board)] if board.effects else []
    drawn += [charts.calibration_chart(board)] if whole and board.fit.calibration else []
    figures = "".join(picture(chart, f"{key}-{number}", 3) for number, chart in enumerate(drawn))
    return f'<div class="pictures">{figures}</div>'


def _warnings(board: Leaderboard) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in board.warnings)
    return f"<h3>What to know</h3><ul>{items}</ul>" if items else ""


def _table(board: Leaderboard, lines: tuple[ModelRating, ...]) -> str:
    heads = ("Rank", "All at once", "Model", "Rating", "Interval", "Votes", "Won", "Lost", "Tied", "Both bad", "Note")
    head = "".join(f'<th scope="col"{_class(name)}>{name}</th>' for name in heads)
    return (
        f'<table class="sortable"><caption>{escape(_votes(board))}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(_row, lines))}</tbody></table>"
    )


def _class(name: str) -> str:
    return ' class="name"' if name == "Model" else ""


def _row(line: ModelRating) -> str:
    cells = [_count(value) for value in (line.votes, line.wins, line.losses, line.ties, line.both_bad)]
    return (
        f"<tr><td>{_span(line.rank_lower, line.rank_upper)}</td>"
        f"<td>{_span(line.rank_simultaneous_lower, line.rank_simultaneous_upper)}</td>"
        f'<th scope="row" class="name">{escape(line.model)}</th><td>{line.rating:.1f}</td>'
        f"<td>{line.upper - line.rating:+.0f} / {line.lower - line.rating:+.0f}</td>"
        f"<td>{'</td><td>'.join(cells)}</td><td>{'preliminary' if line.preliminary else ''}</td></tr>"
    )


def _votes(board: Leaderboard) -> str:
    voters = f" by {board.data.voters:,} voters" if board.data.voters is not None else ""
    return f"{_count(board.data.votes)} votes{voters}, {intervals(board)}"


def _count(number: float) -> str:
    """Votes: whole numbers, or sums of weights."""
    return f"{number:,.0f}" if number == round(number) else f"{number:,.1f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _span(low: int | None, high: int | None) -> str:
    if low is None:
        return ""
    return f"{low}" if low == high else f"{low}\N{EN DASH}{high}"


def _overview(boards: Mapping[str, Leaderboard]) -> str:
    """Ranks of every category side by side; the first three bold, coloured, and with a mark each."""
    names = list(dict.fromkeys(line.model for board in boards.values() for line in board.models))
    ranks = [{line.model: line for line in board.models} for board in boards.values()]
    head = "".join(
        f'<th scope="col"><a href="#b{number}">{escape(_words(name))}</a></th>' for number, name in enumerate(boards)
    )
    cells = {name: "".join(_place(lines.get(name)) for lines in ranks) for name in names}
    rows = "".join(f'<tr><th scope="row" class="name">{escape(name)}</th>{cells[name]}</tr>' for name in names)
    many = " upright" if len(boards) > _SIDE_BY_SIDE else ""
    table = (
        f'<table class="ranks{many}"><caption>Ranks on {len(boards)} boards</caption><thead><tr>'
        f'<th scope="col" class="name">Model</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )
    return (
        '<section aria-labelledby="categories"><h2 id="categories">Categories</h2><p>Ranks by category: one plus the '
        "number of models whose interval lies wholly above. \N{BLACK CIRCLE} first, \N{BLACK SQUARE} second, "
        f"\N{BLACK DIAMOND} third, * preliminary.</p>{scrolling(table, 'Ranks by category')}</section>"
    )


def _place(line: ModelRating | None) -> str:
    if line is None:
        return "<td></td>"
    marks = {1: "\N{BLACK CIRCLE}", 2: "\N{BLACK SQUARE}", 3: "\N{BLACK DIAMOND}"}
    rank = f"{line.rank}{'*' if line.preliminary else ''}"
    return f'<td class="top{line.rank}">{marks[line.rank]} {rank}</td>' if line.rank in marks else f"<td>{rank}</td>"


def _made(board: Leaderboard) -> str:
    """With what the board can be made again."""
    data = board.data
    settings = {name: value for name, value in board.settings.items() if value not in (None, [], False)}
    facts = [", ".join(f"{name} = {_said(value)}" for name, value in settings.items()), _forecast(board.fit)]
    if data.first and data.last:
        facts.append(f"first vote {data.first:%Y-%m-%d %H:%M}, last vote {data.last:%Y-%m-%d %H:%M} UTC")
    facts.append(f"votes with SHA-256 {data.sha256}")
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts if fact)
    return f"<h3>How it was made, and how well it foretells</h3><ul>{items}</ul>"


def _said(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else f"{value}"


def _forecast(fit: FitReport) -> str:
    """The held-out log loss against that of knowing nothing, and the calibration."""
    if fit.held_out_log_loss is None:
        return "too few votes to hold some out: how well it foretells is not known"
    said = f"log loss of votes that the fit had not seen: {fit.held_out_log_loss:.4f} for each"
    if fit.constant_log_loss:
        less = 1 - fit.held_out_log_loss / fit.constant_log_loss
        said += f", {abs(less):.1%} {'less' if less >= 0 else 'more'} than without knowing the models"
        said += f" ({fit.constant_log_loss:.4f})"
    if fit.calibration_error is not None:
        said += f"; foretold and observed scores differ by {fit.calibration_error:.3f} on average"
    return said
