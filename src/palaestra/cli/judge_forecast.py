"""`palaestra judge forecast | backtest`: ratings foretold from offline results, and how good that would have been."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators
from rich.progress import Progress
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.judge.backtest import Backtest, BacktestConfig
from palaestra.judge.forecast import Forecast, ForecastConfig, ForecastLine

if TYPE_CHECKING:
    from palaestra.judge.backtest_scores import Measured

Config = Annotated[ForecastConfig, Parameter(name="*")]
PastConfig = Annotated[BacktestConfig, Parameter(name="*")]
Gate = Annotated[float | None, Parameter(validator=validators.Number(gte=0, lte=1))]
Models = Annotated[list[str] | None, Parameter(name="--model", help="A new model; may be repeated.", negative=())]

_SHOWN = 3
_FAILED = 1


def forecast(
    results: str,
    *,
    board: str,
    production: str | None = None,
    model: Models = None,
    earlier: str | None = None,
    gate: Gate = None,
    config: Config | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> int:
    """The rating that a model will have, and its chance to beat the one in production, from offline results.

    Parameters
    ----------
    results
        A table: model, optionally date, and one column a benchmark; or model, benchmark, score (or correct and total).
    board
        What `rank fit --json` wrote, or a table with model, rating and, if known, se, or lower and upper.
    production
        A model of the board.
    earlier
        The board as it was when the results were made: a change of its scale since then is warned of.
    gate
        End with exit code 1 if a new model's chance to beat the one in production is below this.
    """
    from palaestra.judge.forecast import forecast as foretell

    if gate is not None and production is None:
        raise InputError("found --gate without --production, expected the model that has to be beaten")
    found = foretell(results, board, tuple(model or ()), production=production, earlier=earlier, config=config)
    if html is not None:
        from palaestra.judge.forecast_report import write_forecast_report

        write_forecast_report(html, found, board, title=f"Forecast from {Path(results).name}")
        console.note(f"The report is in {html}")
    console.give(found.to_dict(), json, _table(found))
    for warning in (*found.warnings, *(f"{line.model}: {text}" for line in found.models for text in line.warnings)):
        console.warn(warning)
    held_back = [line for line in found.models if gate is not None and (line.chance or 0) < gate]
    for line in held_back:
        console.note(f"{line.model} stays out: its chance to beat {production} is {line.chance:.3f}, below {gate:g}")
    return _FAILED if held_back else 0


def backtest(
    results: str,
    history: str,
    *,
    config: PastConfig | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
) -> None:
    """How good forecasts would have been: each model foretold from the boards before it came, by every method.

    Parameters
    ----------
    results
        As for `judge forecast`.
    history
        Boards over time, a table: date, model, rating and, if known, se, or lower and upper.
    """
    from palaestra.judge.backtest import backtest as test

    with Progress(console=console.err, transient=True, disable=not console.err.is_terminal) as progress:
        task = progress.add_task("forecasting the past", total=None)
        found = test(results, history, config, advance=lambda: progress.advance(task))
    if html is not None:
        from palaestra.judge.forecast_report import write_backtest_report

        write_backtest_report(html, found, title=f"Forecasts of the past from {Path(results).name}")
        console.note(f"The report is in {html}")
    console.give(found.to_dict(), json, _past_table(found))


def _table(found: Forecast) -> Table:
    rival = found.production
    headings = ["model", "rating", "interval", "rank", "ranks", *([f"P(beats {rival})"] if rival else []), "moved by"]
    table = Table(*headings, caption=_caption(found))
    for column in table.columns:
        column.justify = "left" if column.header in {"model", "moved by"} else "right"
    for line in found.models:
        ranks = f"{line.rank_lower}-{line.rank_upper}"
        chance = [] if line.chance is None else [f"{line.chance:.3f}"]
        interval = f"{line.lower:.0f} to {line.upper:.0f}"
        table.add_row(line.model, f"{line.rating:.0f}", interval, f"{line.rank}", ranks, *chance, _moved(line))
    return table


def _moved(line: ForecastLine) -> str:
    """The benchmarks that moved the forecast most."""
    return ", ".join(f"{name} {points:+.0f}" for name, points in list(line.points.items())[:_SHOWN])


def _caption(found: Forecast) -> str:
    rival = ""
    if found.production_rating is not None:
        rival = f"; {found.production} has {found.production_rating:.0f} ± {found.production_se:.0f}"
    return (
        f"by {found.method} from {found.rated} rated models with results, of {found.board} on the board, and "
        f"{len(found.benchmarks)} benchmarks; {100 * found.settings.confidence:g}% intervals{rival}"
    )


def _past_table(found: Backtest) -> Table:
    models = found.scores[found.reference].models
    caption = (
        f"{models} models, each foretold from the board before it came; 95% intervals over models; "
        f"last column: CRPS less that of {found.reference}, above zero it is worse"
    )
    covered = [f"in {100 * level:g}%" for level in (0.5, 0.8, 0.95)]
    table = Table("method", "MAE", "RMSE", "CRPS", "log score", *covered, "Brier", "CRPS, paired", caption=caption)
    for column in table.columns[1:]:
        column.justify = "right"
    for method, own in sorted(found.scores.items(), key=lambda one: one[1].crps.value):
        gain = found.gains.get(method)
        table.add_row(
            method,
            *(_measured(one, ".1f") for one in (own.mae, own.rmse, own.crps)),
            _measured(own.log_score, ".2f"),
            *(f"{100 * one.value:.0f}%" for one in own.coverage.values()),
            _measured(own.brier, ".3f"),
            "" if gain is None else _measured(gain.crps, "+.1f"),
        )
    return table


def _measured(one: Measured, form: str) -> str:
    return f"{one.value:{form}} [{one.lower:{form}}, {one.upper:{form}}]"
