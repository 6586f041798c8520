"""A board that follows votes as they come: counts grow, and the next fit begins where the last one ended.

Adding a vote costs what a fit of counts costs from a start next to its maximum, whatever the number of votes before.
Models that are all connected stay so, and are not looked at again. What needs several fits or a simulation (held-out
loss, calibration, simultaneous ranks) is made anew when the votes have grown by one in a hundred, or models have
changed; in between the board shows the last of it.

For settings that need no single votes; with others, use `fit`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from palaestra.ranking.assembly import Details, assemble
from palaestra.ranking.board import Board
from palaestra.ranking.config import FitConfig, Ties
from palaestra.ranking.counts import Counts, count_votes
from palaestra.ranking.estimate import Estimate, estimate, spread
from palaestra.ranking.fit import check_counts_suffice, fit_counts
from palaestra.ranking.sample import Sample
from palaestra.ranking.votes import code_votes
from palaestra.schema import VoteData
from palaestra.stats.newton import one_thread
from palaestra.stats.rows import table_rows

_GROWTH = 1.01


def warm_up() -> None:
    """Load and compile what the first vote would wait for: some seconds after an installation, little later."""
    votes = pl.DataFrame({"model_a": ["A", "B"], "model_b": ["B", "C"], "winner": ["tie", "tie"]})
    live = LiveFit()
    for some in (votes[:1], votes, votes[:1]):  # one row is another kind of array than several
        live(some)


class LiveFit:
    """Called with new votes, gives the board of all votes so far.

    Args:
        config: settings of the fit.
        **settings: or its fields by name.

    Raises:
        InputError: a setting needs single votes.
    """

    def __init__(self, config: FitConfig | None = None, **settings: Any) -> None:  # noqa: ANN401 - FitConfig's fields
        self.config = FitConfig(**((config or FitConfig()).model_dump() | settings))
        check_counts_suffice(self.config)
        self._counts: Counts | None = None
        self._voters: set[str] = set()
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._found: Estimate | None = None
        self._board: Board | None = None
        self._whole_at = 0.0

    def __call__(self, votes: pl.DataFrame) -> Board:
        """The board with these votes added.

        Raises:
            VoteFileError: the frame does not hold votes; nothing is added then.
        """
        from palaestra.store.formats import check_votes

        checked = check_votes(votes)
        frame, added = checked.others, count_votes(code_votes(checked))
        counts = added if self._counts is None else self._counts.plus(added)
        known = self._counts is not None and self._counts.names == counts.names
        data = self._data(counts, frame)
        if not counts.names or not known or counts.votes > _GROWTH * self._whole_at or self.config.ties is Ties.AUTO:
            board, found = fit_counts(counts, self.config, data=data), None
            self._whole_at = counts.votes
        else:
            board, found = self._quick(counts, data)
        self._counts, self._board, self._found = (
            counts,
            board,
            found,
        )  # all or nothing: a fit that fails has added no votes
        self._voters, self._first, self._last = self._seen(frame)
        return board

    def _seen(self, frame: pl.DataFrame) -> tuple[set[str], datetime | None, datetime | None]:
        """The voters, and the first and the last time, once these votes are added."""
        voters, first, last = self._voters, self._first, self._last
        if "voter" in frame.columns:
            voters = voters | set(frame["voter"].cast(pl.String).drop_nulls().unique())
        times = frame["tstamp"].drop_nulls() if "tstamp" in frame.columns else pl.Series([], dtype=pl.Datetime)
        if len(times):
            ordered = times.sort()
            first = min(first or ordered.item(0), ordered.item(0))
            last = max(last or ordered.item(-1), ordered.item(-1))
        return voters, first, last

    def _data(self, counts: Counts, frame: pl.DataFrame) -> VoteData:
        voters, first, last = self._seen(frame)
        told = len(voters) if "voter" in frame.columns else None
        return VoteData(votes=counts.votes, voters=told, sha256=counts.sha256(), first=first, last=last)

    def _quick(self, counts: Counts, data: VoteData) -> tuple[Board, Estimate]:
        last = self._found
        connections = last.connections if last and last.connections.whole else None
        with one_thread():
            sample = Sample(counts, table_rows(counts.by_outcome_OMM))
            found = estimate(
                sample.rows,
                counts,
                self.config.ties.model,
                start=last.maximum.at if last else None,
                connections=connections,
            )
            details = Details(self.config, self.config.ties, {}, data, "overall")
            board = assemble(
                sample, found, spread(sample, found, self.config), lambda: None, details, before=self._board
            )
        return board, found
