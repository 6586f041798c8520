"""`palaestra rank`: votes become leaderboards, and what can be asked of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.progress import Progress
from rich.table import Table

from palaestra import console
from palaestra.cli.flags import HtmlTarget, JsonTarget
from palaestra.errors import InputError
from palaestra.ranking import Board, FitConfig
from palaestra.schema import Leaderboard
from palaestra.store.formats import VoteFile, read_votes

Config = Annotated[FitConfig, Parameter(name="*")]
Categories = Annotated[
    list[str] | None,
    Parameter(name="--category", help="A category, NAME=EXPRESSION, or all; may be repeated.", negative=()),
]
SkipBad = Annotated[int, Parameter(validator=validators.Number(gte=0))]


def fit(
    votes: str,
    *,
    config: Config | None = None,
    category: Categories = None,
    baseline: str | None = None,
    json: JsonTarget = None,
    html: HtmlTarget = None,
    skip_bad: SkipBad = 0,
) -> None:
    """Rate the models of a vote file or of an arena's database.

    Parameters
    ----------
    votes
        Parquet, CSV, JSON lines or JSON, also .gz or .zst; or sqlite:///FILE, postgresql://...
    baseline
        For files of verdicts: the model against which they were given.
    skip_bad
        Leave out up to so many malformed rows, and report each.
    """
    from palaestra import ranking

    config = config or FitConfig()
    frame = _read(votes, skip_bad=skip_bad, baseline=baseline).frame
    wanted = category or ["overall"]
    if wanted in (["overall"], ["full"]):
        with _rounds(config) as advance:
            boards = {"overall": ranking.fit(frame, config, progress=advance)}
    else:
        boards = ranking.fit_categories(frame, wanted, config)
    if html is not None:
        _write_report(html, boards, votes)
    single = next(iter(boards.values())) if len(boards) == 1 else None
    if json is not None:
        console.write_json(
            single.to_dict() if single else {"boards": {name: board.to_dict() for name, board in boards.items()}}, json
        )
    elif single is not None:
        console.show(_table(single))
        if single.effects:
            console.show(effects_table(single))
    else:
        console.show(_overview(boards))
    for name, board in boards.items():
        for warning in board.warnings:
            console.warn(warning if single else f"{name}: {warning}")


def compare(votes: str, model_a: str, model_b: str, *, config: Config | None = None, json: JsonTarget = None) -> None:
    """Is one model better than another? The difference, its interval, and how many votes are missing.

    Parameters
    ----------
    votes
        As for `rank fit`.
    model_a
        One model.
    model_b
        The other.
    """
    from palaestra import ranking

    found = ranking.fit(_read(votes).frame, config).compare(model_a, model_b)
    if json is not None:
        console.write_json(found.to_dict(), json)
        return
    table = Table("", "value", title=None)
    table.add_row("difference, Elo", f"{found.difference:+.1f}  [{found.lower:+.1f}, {found.upper:+.1f}]")
    table.add_row(f"P({model_a} better)", f"{found.probability_a_better:.4f}")
    table.add_row(f"expected score of {model_a}", f"{found.expected_score:.1%}")
    table.add_row("votes on this pair", f"{found.direct_votes:g}")
    if not found.told_apart:
        table.add_row("votes missing, on this pair alone", _number(found.more_votes_direct))
        table.add_row("votes missing, on all pairs as now", _number(found.more_votes_as_now))
    console.show(table)
    console.note(str(found))


def fraud(
    votes: str,
    *,
    config: Config | None = None,
    rate: float = 0.01,
    least_votes: float = 5,
    show: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 20,
    json: JsonTarget = None,
) -> None:
    """Which voters vote unlike all others, and what the board is without them.

    Parameters
    ----------
    votes
        As for `rank fit`, with voters.
    rate
        The share of honest voters among the flagged that is accepted.
    least_votes
        Voters with fewer votes are not tested.
    show
        How many lines the table has.
    """
    from palaestra.ranking.fraud import fraud as find_fraud

    report = find_fraud(_read(votes).frame, config, rate=rate, least_votes=least_votes)
    if json is not None:
        console.write_json(report.to_dict(), json)
        return
    caption = f"{report.flagged} of {report.tested} voters flagged at a false discovery rate of {rate:g}"
    table = Table("voter", "votes", "p", "q", "flagged", "finding", "model", "agreement", caption=caption)
    for line in report.voters[:show]:
        agreement = "" if line.agreement is None else f"{line.agreement:.0%}"
        cells = (f"{line.votes:g}", f"{line.p:.2g}", f"{line.q:.2g}", "yes" if line.flagged else "", line.finding)
        table.add_row(line.voter, *cells, line.model or "", agreement)
    console.show(table)
    if report.moved:
        most = report.moved[0]
        console.note(
            f"Without the {report.flagged_votes:g} votes of the flagged, {most.model} moves most: "
            f"{most.rating:.1f} becomes {most.rating_without:.1f}, rank {most.rank} becomes {most.rank_without}."
        )


def robustness(
    votes: str,
    *,
    config: Config | None = None,
    what: Literal["votes", "voters"] = "votes",
    rivals: int = 5,
    json: JsonTarget = None,
) -> None:
    """The fewest votes, or voters, whose removal changes the first place; verified by removing them.

    Parameters
    ----------
    votes
        As for `rank fit`.
    what
        Single votes, or all votes of a voter together.
    rivals
        How many models behind the leader are tried in its place.
    """
    from palaestra.ranking.robustness import robustness as search

    found = search(_read(votes).frame, config, what=what, rivals=rivals)
    if json is not None:
        console.write_json(found.to_dict(), json)
        return
    table = Table("row", "model_a", "model_b", "winner", "voter", caption=str(found))
    for line in found.removed:
        table.add_row(f"{line.row}", line.model_a, line.model_b, line.winner, line.voter or "")
    console.show(table)


def history(
    votes: str,
    *,
    config: Config | None = None,
    every: str = "1w",
    window: float | None = None,
    least_votes: float = 50,
    json: JsonTarget = None,
    plot: Path | None = None,
) -> None:
    """The board at the end of each period.

    Parameters
    ----------
    votes
        As for `rank fit`, with times.
    every
        The length of a period: 1d, 1w, 1mo, 1q ...
    window
        How many days back each board looks; all the way if not given.
    least_votes
        Periods with fewer votes behind them are left out.
    plot
        Write a picture: .svg, .png or .html.
    """
    from palaestra.ranking.history import history as over_time

    table = over_time(_read(votes).frame, config, every=every, window=window, least_votes=least_votes)
    if plot is not None:
        from palaestra.ranking.charts import history_chart, save_chart

        save_chart(history_chart(table), plot)
    if json is not None:
        rows = table.with_columns(date=table["date"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dicts()
        console.write_json({"schema": "palaestra.history/1", "every": every, "window": window, "rows": rows}, json)
        return
    dates = table["date"].unique().sort()
    shown = dates.tail(8)
    latest = table.filter(table["date"] == dates[-1])
    grid = Table("model", *(f"{date:%Y-%m-%d}" for date in shown), caption=f"{len(dates)} boards, every {every}")
    cells = {(row["model"], row["date"]): f"{row['rating']:.0f} ({row['rank']})" for row in table.to_dicts()}
    for model in latest["model"]:
        grid.add_row(model, *(cells.get((model, date), "") for date in shown))
    console.show(grid)


def person(
    votes: str, voter: str, *, config: Config | None = None, tau: float | None = None, json: JsonTarget = None
) -> None:
    """One voter's own leaderboard, shrunk towards the crowd's, and the agreement of the two.

    Parameters
    ----------
    votes
        As for `rank fit`, with voters.
    voter
        Whose board.
    tau
        How much people differ, in Elo; estimated from all voters if not given.
    """
    from palaestra.ranking.person import personal_board

    board = personal_board(_read(votes).frame, voter, config, tau=tau)
    if json is not None:
        console.write_json(board.to_dict(), json)
        return
    agreement = "" if board.agreement is None else f"; agrees with the others in {board.agreement:.0%} of decided votes"
    expected = "" if board.expected is None else f" ({board.expected:.0%} expected)"
    caption = f"{board.votes:g} votes by {voter}{agreement}{expected}; people differ by {board.tau:.0f} Elo"
    table = Table("model", "rating", "interval", "crowd", "votes", "P(above crowd)", caption=caption)
    for line in board.models:
        interval = f"{line.lower:.0f} to {line.upper:.0f}"
        cells = (f"{line.rating:.0f}", interval, f"{line.crowd:.0f}", f"{line.votes:g}")
        table.add_row(line.model, *cells, f"{line.probability_above_crowd:.2f}")
    console.show(table)


def elo(votes: str, *, k: float = 4.0, json: JsonTarget = None) -> None:
    """Online Elo, for comparison only: it depends on the order of the votes, and has no interval.

    Parameters
    ----------
    votes
        As for `rank fit`.
    k
        The points that a vote can move.
    """
    from palaestra.ranking.online_elo import online_elo

    table = online_elo(_read(votes).frame, k=k)
    if json is not None:
        console.write_json({"schema": "palaestra.online-elo/1", "k": k, "models": table.to_dicts()}, json)
        return
    shown = Table("model", "rating", "votes", caption=f"online Elo, K = {k:g}")
    for row in table.to_dicts():
        shown.add_row(row["model"], f"{row['rating']:.1f}", f"{row['votes']:g}")
    console.show(shown)


def _read(votes: str, *, skip_bad: int = 0, baseline: str | None = None) -> VoteFile:
    read = read_votes(votes, skip_bad=skip_bad, baseline=baseline)
    for line in read.skipped:
        console.warn(f"left out {line}")
    return read


class _rounds:  # noqa: N801 - used as a function
    """A bar for the rounds of a bootstrap; nothing in a pipe, and nothing where there are no rounds."""

    def __init__(self, config: FitConfig) -> None:
        shown = config.intervals == "bootstrap" and console.err.is_terminal
        self._progress = Progress(console=console.err, transient=True) if shown else None
        self._total = config.rounds

    def __enter__(self):  # noqa: ANN204 - a callable, or None
        progress = self._progress
        if progress is None:
            return None
        progress.start()
        task = progress.add_task("bootstrap", total=self._total)
        return lambda: progress.advance(task)

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def _write_report(html: Path, boards: dict[str, Board], votes: str) -> None:
    from palaestra.ranking.report import write_report

    if html.suffix not in {".html", ".htm"}:
        raise InputError(f"found {str(html)!r}, expected a path that ends in .html")
    write_report(html, boards, title=f"Leaderboard of {Path(votes).name}")
    console.note(f"The report is in {html}")


def _table(board: Leaderboard) -> Table:
    headings = ("rank", "surely", "model", "rating", "interval", "votes", "won", "lost", "tied", "both bad", "")
    table = Table(*headings, caption=_caption(board))
    for column in table.columns:
        column.justify = "left" if column.header in {"model", ""} else "right"
    for line in board.models:
        interval = f"{line.upper - line.rating:+.0f} / {line.lower - line.rating:.0f}"
        counts = (f"{value:g}" for value in (line.votes, line.wins, line.losses, line.ties, line.both_bad))
        sure = _span(line.rank_simultaneous_lower, line.rank_simultaneous_upper)
        mark = "preliminary" if line.preliminary else ""
        ranks = _span(line.rank_lower, line.rank_upper)
        table.add_row(ranks, sure, line.model, f"{line.rating:.1f}", interval, *counts, mark)
    return table


def _span(low: int | None, high: int | None) -> str:
    return f"{low}" if low == high else f"{low}-{high}"


def _caption(board: Leaderboard) -> str:
    loss, constant = board.fit.held_out_log_loss, board.fit.constant_log_loss
    known = "" if loss is None else f"; held-out log loss {loss:.4f} (without knowing the models {constant:.4f})"
    voters = f" by {_several(board.data.voters, 'voter')}" if board.data.voters is not None else ""
    usable = f"; usable answers begin at {board.usable.rating:.0f}" if board.usable else ""
    return f"{_several(board.data.votes, 'vote')}{voters}, {board.settings['confidence']:.0%} intervals{known}{usable}"


def effects_table(board: Leaderboard) -> Table:
    """The coefficients of covariates."""
    table = Table("effect", "Elo", "coefficient", "interval", "of one unit =", caption="for one root mean square")
    for effect in board.effects:
        interval = f"{effect.lower:+.4f} to {effect.upper:+.4f}"
        table.add_row(effect.name, f"{effect.elo:+.1f}", f"{effect.coefficient:+.4f}", interval, f"{effect.sd:.4g}")
    return table


def _overview(boards: dict[str, Board]) -> Table:
    first = next(iter(boards.values()))
    table = Table("model", *boards, caption="ranks by category; * is preliminary")
    ranks = {
        name: {line.model: f"{line.rank}{'*' if line.preliminary else ''}" for line in board.models}
        for name, board in boards.items()
    }
    for line in first.models:
        table.add_row(line.model, *(ranks[name].get(line.model, "") for name in boards))
    return table


def _number(votes: int | None) -> str:
    return "no number would do" if votes is None else f"{votes:,}"


def _several(count: float, what: str) -> str:
    return f"{count:g} {what}" if count == 1 else f"{count:g} {what}s"
