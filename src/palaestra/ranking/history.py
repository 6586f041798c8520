"""A board over time: what it said, or would have said, at the end of each period.

`window` None: all votes up to then, as a public board shows it. A number of days: only the votes of the last ones,
which
follows models that change behind one name. Each point is a whole fit, with its interval, of the votes that it covers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from palaestra.errors import InputError
from palaestra.ranking.config import FitConfig
from palaestra.ranking.fit import coded_votes, fit_votes

COLUMNS = ("date", "model", "rating", "lower", "upper", "rank", "votes", "preliminary")


_LONGEST = 100_000.0


def history(
    votes: Any,  # noqa: ANN401 - as for `fit`
    config: FitConfig | None = None,
    *,
    every: str = "1w",
    window: float | None = None,
    least_votes: float = 50,
    **settings: Any,  # noqa: ANN401 - FitConfig's fields
) -> pl.DataFrame:
    """Ratings of all models at the end of each period.

    Args:
        votes: as for `fit`; they need times.
        config: settings of each fit.
        every: the length of a period, in polars' notation: 1d, 1w, 1mo, 1q ...
        window: how many days back each board looks; all the way if None.
        least_votes: periods with fewer votes behind them are left out.
        **settings: or the settings by name.

    Returns:
        Columns date (the end of the period, UTC), model, rating, lower, upper, rank, votes, preliminary; by date and
        rank.

    Raises:
        InputError: there are no times, or `every` is no length of time.
    """
    if window is not None and not 0 < window <= _LONGEST:
        raise InputError(f"found a window of {window:g} days, expected more than 0 and up to {_LONGEST:g}")
    if not least_votes >= 1:
        raise InputError(f"found least_votes = {least_votes:g}, expected at least 1")
    config, coded = coded_votes(votes, config, settings)
    if "tstamp" not in coded.frame.columns or coded.frame["tstamp"].null_count():
        raise InputError("a history needs the time of every vote; found no column tstamp, or gaps in it")
    times_B = coded.frame["tstamp"]
    boards = []
    for end in _ends(times_B, every):
        covered = times_B < end
        if window is not None:
            covered &= times_B >= end - timedelta(days=window)
        part = coded.of(covered.to_numpy())
        if part.count_B.sum() < least_votes:
            continue
        table = fit_votes(part, config).table().with_columns(date=pl.lit(end))
        boards.append(table.select(COLUMNS))
    if not boards:
        raise InputError(f"found no period with {least_votes:g} votes behind it; ask for fewer, or for longer periods")
    return pl.concat(boards)


def _ends(times_B: pl.Series, every: str) -> list[datetime]:
    """The ends of the periods, the last one after the last vote."""
    first, last = times_B.sort().item(0), times_B.sort().item(-1)
    try:
        starts = pl.datetime_range(first, last, every, time_unit="us", time_zone="UTC", eager=True).dt.truncate(every)
        ends = starts.dt.offset_by(every).unique().sort()
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"found the period {every!r}, expected a length of time such as 1d, 1w, 1mo: {error}"
        ) from error
    final = pl.Series([last]).dt.truncate(every).dt.offset_by(every).cast(ends.dtype)
    return np.unique([*ends.to_list(), *final.to_list()]).tolist()
