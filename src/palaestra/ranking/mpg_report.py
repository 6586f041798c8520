"""One page that stands alone: the table of goodness and fastness, the two against each other, and who is better.

No script, no font and no picture is loaded from anywhere. Not here: leaderboards from votes (`report.py`).
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.pictures.page import checked_path, picture, whole_page, write_page
from palaestra.ranking.mpg import MpgBoard, MpgLine
from palaestra.ranking.mpg_charts import beats_chart, tradeoff_chart


def write_mpg_report(path: str | Path, board: MpgBoard, title: str) -> None:
    """Write the page.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    write_page(path, mpg_page(board, title))


def mpg_page(board: MpgBoard, title: str) -> str:
    """The page as text.

    Raises:
        MissingPartError: the extra `plots` is not installed.
    """
    settings = board.settings
    benchmarks = sum(map(len, board.domains.values()))
    said = (
        f"Goodness is the mean over {len(board.domains)} domains of the mean over their {benchmarks} benchmarks. "
        f"{100 * settings.confidence:g}% intervals; {settings.draws:,} draws, seed {settings.seed}."
    )
    measured = any(line.pareto is not None for line in board.models)
    charts = [tradeoff_chart(board)] if measured else []
    charts.append(beats_chart(board))
    pictures = "".join(picture(chart, f"mpg{number}") for number, chart in enumerate(charts))
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in board.warnings)
    return whole_page(title, f"<p>{escape(said)}</p>{warnings}{_table(board)}{pictures}")


def _table(board: MpgBoard) -> str:
    by_cost = board.settings.by == "cost"
    other = "cost per query" if by_cost else "queries/s"
    headings = ["rank", "ranks", "surely", "model", "goodness", "interval", *board.domains, other, "interval"]
    headings += ["P(Pareto)", "Borda", "mean win rate", "no result on"]
    head = "".join(f'<th class="{"name" if text == "model" else ""}">{escape(text)}</th>' for text in headings)
    body = "".join(_row(line) for line in board.models)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(line: MpgLine) -> str:
    cells = [
        f"{line.rank}",
        span(line.rank_lower, line.rank_upper),
        span(line.rank_simultaneous_lower, line.rank_simultaneous_upper),
        line.model,
        f"{line.goodness:.1%}",
        f"{line.lower:.1%} to {line.upper:.1%}",
        *(f"{part.goodness:.1%}" for part in line.domains.values()),
        *spent(line),
        "" if line.pareto_probability is None else f"{line.pareto_probability:.2f}",
        f"{line.borda:.2f}",
        "" if line.mean_win_rate is None else f"{line.mean_win_rate:.2f}",
        f"{len(line.missing) or ''}",
    ]
    return (
        "<tr>" + "".join(f'<td class="{"name" * (cell is line.model)}">{escape(cell)}</td>' for cell in cells) + "</tr>"
    )


def span(low: int, high: int) -> str:
    """A range of ranks, as one number where it is one."""
    return f"{low}" if low == high else f"{low}-{high}"


def spent(line: MpgLine) -> tuple[str, str]:
    """Fastness or cost per query, and its interval."""
    if line.cost_per_query is not None:
        return f"{line.cost_per_query:.3g}", ""
    if line.fastness is None:
        return "", ""
    return f"{line.fastness:.3g}", f"{line.fastness_lower:.3g} to {line.fastness_upper:.3g}"
