"""Pages that stand alone: a forecast, and forecasts of the past. No script, font or picture is loaded from anywhere."""

from __future__ import annotations

from html import escape
from pathlib import Path

from palaestra.judge.backtest import Backtest
from palaestra.judge.backtest_scores import LEVELS, Measured
from palaestra.judge.forecast import Forecast, ForecastLine
from palaestra.judge.forecast_charts import coverage_chart, forecast_chart, past_chart
from palaestra.judge.forecast_tables import Ratings, read_ratings
from palaestra.pictures.page import checked_path, picture, scrolling, whole_page, write_page


def write_forecast_report(path: str | Path, found: Forecast, board: Ratings | str | Path, title: str) -> None:
    """Write the page of a forecast.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    board = board if isinstance(board, Ratings) else read_ratings(board)
    rival = found.production
    said = (
        f"From {found.rated} rated models with results, of {found.board} on the board, and {len(found.benchmarks)} "
        f"benchmarks, by the method {found.method}. {100 * found.settings.confidence:g}% intervals."
    )
    headings = ["rating", "interval", "rank", "ranks", *([f"P(beats {rival})"] if rival else []), "no result on"]
    table = _table(["model", *headings], [_row(line) for line in found.models])
    warnings = [*found.warnings, *(f"{line.model}: {text}" for line in found.models for text in line.warnings)]
    body = (
        f"<p>{escape(said)}</p>{_listed(warnings)}{table}{picture(forecast_chart(found, board), 'forecast')}"
        f"<h2>What moved them</h2><p>Rating points by which each benchmark moved the forecast off the middle of the "
        f"rated models; empty where there is no result.</p>{_moved(found)}"
    )
    write_page(path, whole_page(title, body))


def write_backtest_report(path: str | Path, found: Backtest, title: str) -> None:
    """Write the page of forecasts of the past.

    Raises:
        InputError: the path does not end in .html, or cannot be written.
        MissingPartError: the extra `plots` is not installed.
    """
    checked_path(path)
    headings = ["method", "MAE", "RMSE", "bias", "CRPS", "log score", *(f"in {100 * level:g}%" for level in LEVELS)]
    headings += ["Brier", f"MAE less that of {found.reference}", f"CRPS less that of {found.reference}"]
    rows = []
    for method, own in sorted(found.scores.items(), key=lambda one: one[1].crps.value):
        gain = found.gains.get(method)
        rows.append(
            [
                method,
                *(_measured(one, ".1f") for one in (own.mae, own.rmse, own.bias, own.crps)),
                _measured(own.log_score, ".2f"),
                *(_measured(one, ".0%") for one in own.coverage.values()),
                _measured(own.brier, ".3f"),
                *(("", "") if gain is None else (_measured(gain.mae, "+.1f"), _measured(gain.crps, "+.1f"))),
            ]
        )
    said = "Each model was foretold from the board before it came. Brackets hold 95% intervals over models."
    pictures = picture(past_chart(found), "past") + picture(coverage_chart(found), "coverage")
    write_page(path, whole_page(title, f"<p>{said}</p>{_table(headings, rows)}{pictures}"))


def _row(line: ForecastLine) -> list[str]:
    chance = [] if line.chance is None else [f"{line.chance:.3f}"]
    ranks = f"{line.rank_lower}-{line.rank_upper}"
    interval = f"{line.lower:.0f} to {line.upper:.0f}"
    return [line.model, f"{line.rating:.0f}", interval, f"{line.rank}", ranks, *chance, ", ".join(line.missing)]


def _moved(found: Forecast) -> str:
    columns = list(dict.fromkeys(name for line in found.models for name in line.points))
    rows = [
        [line.model, *(f"{line.points[name]:+.1f}" if name in line.points else "" for name in columns)]
        for line in found.models
    ]
    return _table(["model", *columns], rows)


def _table(headings: list[str], rows: list[list[str]]) -> str:
    """Columns of words stand to the left."""
    head = "".join(f'<th class="{"name" if _wordy(text) else ""}">{escape(text)}</th>' for text in headings)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"name" if _wordy(heading) else ""}">{escape(cell)}</td>'
            for heading, cell in zip(headings, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return scrolling(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", "table")


def _wordy(heading: str) -> bool:
    return heading in {"model", "method", "no result on"}


def _listed(warnings: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in warnings)}</ul>" if warnings else ""


def _measured(one: Measured, form: str) -> str:
    return f"{one.value:{form}} [{one.lower:{form}}, {one.upper:{form}}]"
