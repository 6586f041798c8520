"""`palaestra rank fit`: a frame or file of votes becomes a Leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from palaestra.errors import InputError
from palaestra.ranking.assembly import Details, assemble, settings_of
from palaestra.ranking.board import Board
from palaestra.ranking.categories import category_masks
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.counts import Counts
from palaestra.ranking.covariates import covariates
from palaestra.ranking.estimate import Estimate, estimate, spread
from palaestra.ranking.held_out import HeldOut, hold_out
from palaestra.ranking.sample import CLUSTERS, Sample, sample_of
from palaestra.ranking.style import StyleDefinition, style_columns
from palaestra.ranking.votes import Votes, code_votes
from palaestra.schema import FitReport, VoteData
from palaestra.stats.likelihoods import VoteModel
from palaestra.stats.newton import one_thread
from palaestra.stats.passes import Parameters
from palaestra.stats.rows import table_rows
from palaestra.store.checking import VoteFile

Progress = Callable[[], None]


def fit(
    votes: Any,  # noqa: ANN401 - a polars, pandas or Arrow frame, or where one is
    config: FitConfig | None = None,
    *,
    category: str = "overall",
    progress: Progress | None = None,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> Board:
    """Rate the models of a set of votes.

    Args:
        votes: a polars, pandas or Arrow frame with the columns of a vote file, or the path or database URL of one.
        config: the settings.
        category: the votes of one category, by name or as NAME=EXPRESSION.
        progress: called after each round of a bootstrap.
        **settings: or the fields of the settings by name, e.g. `fit(votes, style=["length"], cluster="voter")`.

    Raises:
        VoteFileError: the file or frame does not hold votes.
        InputError: a setting does not fit the votes.
        pydantic.ValidationError: a setting is unknown or out of range.
    """
    config, coded = coded_votes(votes, config, settings, category)
    return fit_votes(coded, config, category=category.partition("=")[0].strip(), progress=progress)


def coded_votes(
    votes: Any,  # noqa: ANN401 - as for `fit`
    config: FitConfig | None,
    settings: Mapping[str, Any],
    category: str = "overall",
) -> tuple[FitConfig, Votes]:
    """The settings as one config, and the votes of a category as codes; errors as those of `fit`."""
    config = _with(config, settings)
    read = read_coded(votes, config, [category])
    if category in {"overall", "full"}:
        return config, code_votes(read)
    frame = read.frame
    kept_B = category_masks(frame, [category])[category.partition("=")[0].strip()]
    return config, code_votes(frame.filter(pl.Series(kept_B)))


def fit_categories(
    votes: Any,  # noqa: ANN401 - as for `fit`
    categories: Sequence[str] = ("all",),
    config: FitConfig | None = None,
    *,
    least_votes: float = 100,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> dict[str, Board]:
    """A board for each category, from one reading of the votes; with a style, a second one named NAME_style_control.

    Args:
        votes: as for `fit`.
        categories: names, NAME=EXPRESSION, or `all` for every one that the votes have labels for.
        config: the settings.
        least_votes: categories with fewer votes are left out.
        **settings: or the fields of the settings by name.

    Raises:
        InputError: a category or a setting does not fit the votes, or no category has enough of them.
    """
    config = _with(config, settings)
    coded = code_votes(read_coded(votes, config, categories))
    boards: dict[str, Board] = {}
    plain = config.model_copy(update={"style": (), "style_definition": FitConfig().style_definition})
    if config.style:  # what is wrong with all votes is an error, what is wrong in one category a note
        covariates(coded.frame, style=config.style, definition=StyleDefinition(config.style_definition))
    masks = category_masks(coded.frame, categories)
    for name, rows_B in masks.items():
        part = coded if rows_B.all() else coded.of(rows_B)
        if part.count_B.sum() < least_votes:
            continue
        boards[name] = fit_votes(part, plain, category=name)
        if config.style:
            styled = f"{name}_style_control"
            try:
                boards[styled] = fit_votes(part, config, category=styled)
            except InputError as error:  # e.g. nobody uses headers in this category: the others still have their boards
                boards[name] = _noted(boards[name], f"There is no board {styled}: {error}.")
    if not boards:
        raise InputError(f"found no category with {least_votes:g} votes among {', '.join(masks)}; ask for fewer")
    return boards


def _noted(board: Board, note: str) -> Board:
    """The board with one more line of what to know."""
    return board.model_copy(update={"warnings": (*board.warnings, note)}).with_counts(board.counts)


def fit_counts(
    counts: Counts,
    config: FitConfig | None = None,
    *,
    data: VoteData | None = None,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> Board:
    """Rate models from a table of counts, such as the sum of many shards; for settings that need no single votes.

    Args:
        counts: the votes.
        config: the settings.
        data: what the board says of where its votes came from, if more is known than the counts say.
        **settings: or the fields of the settings by name.

    Raises:
        InputError: a setting needs single votes.
    """
    config = _with(config, settings)
    check_counts_suffice(config)
    sample = Sample(counts, table_rows(counts.by_outcome_OMM))
    data = data or VoteData(votes=counts.votes, sha256=counts.sha256())
    with one_thread():
        return _board(sample, config, data, "overall")


def check_counts_suffice(config: FitConfig) -> None:
    """Refuse settings that counts cannot serve.

    Raises:
        InputError: a setting needs single votes.
    """
    asked = [name for name in _NEEDS_VOTES if getattr(config, name) != FitConfig.model_fields[name].default]
    if asked:
        raise InputError(f"{', '.join(asked)}: a table of counts does not know single votes; give the votes themselves")


_NEEDS_VOTES = (
    "style",
    "covariates",
    "cluster",
    "pair_weights",
    "inverse_propensity",
    "half_life_days",
    "dedup",
    "daily_votes_per_voter",
)


def fit_votes(votes: Votes, config: FitConfig, *, category: str = "overall", progress: Progress | None = None) -> Board:
    """Rate the models of coded votes.

    Raises:
        InputError: a setting does not fit the votes.
    """
    sample = sample_of(votes, config)
    with one_thread():
        return _board(sample, config, _data(votes, sample), category, progress)


def read_coded(votes: Any, config: FitConfig, categories: Sequence[str] = ("overall",)) -> VoteFile:  # noqa: ANN401 - as for `fit`
    """The checked votes, wherever they are, with what a fit by these settings looks at."""
    from palaestra.store.formats import check_votes, read_votes

    def wanted(names: Sequence[str]) -> list[str]:
        if config.covariates or set(categories) - {"overall", "full"}:
            return list(names)
        known = {*_BASICS, *CLUSTERS.get(config.cluster or "", (config.cluster,))}
        return [*(name for name in names if name in known), *(style_columns(names) if config.style else ())]

    if isinstance(votes, str | Path):
        return read_votes(votes, wanted=wanted)
    return check_votes(votes, wanted=wanted)


_BASICS = ("voter", "judge", "judge_hash", "user", "tstamp", "timestamp", "weight", "propensity", "dedup_tag", "anony")


def _with(config: FitConfig | None, settings: Mapping[str, Any]) -> FitConfig:
    return FitConfig(**((config or FitConfig()).model_dump() | dict(settings)))


def _board(sample: Sample, config: FitConfig, data: VoteData, category: str, progress: Progress | None = None) -> Board:
    if not sample.counts.names:
        report = FitReport(iterations=0, log_likelihood=0.0, converged=True)
        return Board(category=category, models=(), settings=settings_of(config, config.ties), data=data, fit=report)
    ties, losses, notes = _choose_ties(sample, config)
    found = _estimate(sample, ties.model, config)
    details = Details(config, ties, losses, data, category, notes)
    with ThreadPoolExecutor(1) as beside:
        held = beside.submit(_held_out, sample, found, config)
        return assemble(sample, found, spread(sample, found, config, progress), held.result, details)


def _estimate(sample: Sample, model: VoteModel, config: FitConfig) -> Estimate:
    """The maximum; with rows of single votes, from where the counts alone have theirs."""
    start = None
    if len(sample.rows.source_B):
        counted = estimate(table_rows(sample.counts.by_outcome_OMM), sample.counts, model).maximum.at
        start = Parameters(counted.theta_M, np.zeros(len(sample.effects)), counted.shape)
    return estimate(sample.rows, sample.counts, model, penalty=config.penalty, start=start, effects=sample.effects)


def _held_out(sample: Sample, found: Estimate, config: FitConfig) -> HeldOut | None:
    try:
        return hold_out(sample, found.maximum, penalty=config.penalty, seed=config.seed)
    except InputError:  # a part of the votes does not determine what all of them do
        return None


def _choose_ties(sample: Sample, config: FitConfig) -> tuple[Ties, dict[str, float], tuple[str, ...]]:
    """The model of ties: as asked for, or the one whose forecasts of held-out votes are best."""
    if config.ties is not Ties.AUTO:
        return config.ties, {}, ()
    losses: dict[str, float] = {}
    for ties in Ties:
        if ties is Ties.AUTO:
            continue
        try:
            held = _held_out(sample, _estimate(sample, ties.model, config), config)
        except InputError:  # these votes have no ties, or nothing that is both bad
            continue
        if held is not None:
            losses[ties.value] = held.four_outcomes
    if not losses:
        return Ties.HALF, {}, ("There are too few votes to choose a model of ties by; ties count half.",)
    best = min(losses, key=lambda name: losses[name])
    listed = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    return (
        Ties(best),
        losses,
        (f"ties=auto: {best} foretells held-out votes best (log loss over four outcomes: {listed}).",),
    )


def _data(votes: Votes, sample: Sample) -> VoteData:
    frame = votes.others
    times = frame["tstamp"].drop_nulls() if "tstamp" in frame.columns else pl.Series([], dtype=pl.Datetime("us", "UTC"))
    voters = frame["voter"].drop_nulls().n_unique() if "voter" in frame.columns else None
    first, last = (times.min(), times.max()) if len(times) else (None, None)
    return VoteData.model_validate(
        {"votes": sample.counts.votes, "voters": voters, "sha256": sample.sha256(), "first": first, "last": last}
    )
