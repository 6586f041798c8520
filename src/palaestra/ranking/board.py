"""A leaderboard that one can ask: the record that everybody reads, with its counts and what a researcher types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import PrivateAttr

from palaestra.ranking.compare import Comparison, compare
from palaestra.ranking.counts import Counts
from palaestra.schema import Leaderboard

if TYPE_CHECKING:
    from altair import TopLevelMixin

_NO_COUNTS = Counts((), *np.zeros((3, 0, 0)))


class Board(Leaderboard):
    """A leaderboard from `fit`."""

    _counts: Counts = PrivateAttr(default=_NO_COUNTS)

    @property
    def counts(self) -> Counts:
        """The votes behind the board, by pair and outcome; models in the order of their names."""
        return self._counts

    def with_counts(self, counts: Counts) -> Board:
        """The same board, which knows the votes it was made from."""
        self._counts = counts
        return self

    def table(self) -> pl.DataFrame:
        """One row a model, best first, with the fields of `ModelRating`."""
        return pl.DataFrame([line.model_dump() for line in self.models], infer_schema_length=None)

    def compare(self, model_a: str, model_b: str) -> Comparison:
        """The difference of two models, its interval, P(a better), and the votes until they are told apart.

        Raises:
            InputError: a model is not on the board, or votes never connected them.
        """
        return compare(self, model_a, model_b)

    def plot(self, kind: str = "ratings", path: str | Path | None = None) -> TopLevelMixin:
        """A chart: ratings, ranks, wins, observed, battles, effects or calibration; written too if a path is given.

        Raises:
            InputError: there is no such chart, or the path's suffix is none of a picture.
            MissingPartError: the extra `plots` is not installed.
        """
        from palaestra.ranking.charts import draw, save_chart

        chart = draw(self, kind)
        if path is not None:
            save_chart(chart, path)
        return chart

    def to_json(self, path: str | Path | None = None) -> str:
        """The JSON object of the interface; written too if a path is given."""
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        from palaestra.ranking.report import board_table

        return board_table(self)

    def __eq__(self, other: object) -> bool:
        """The same record; whether both still know their votes does not matter."""
        return isinstance(other, Leaderboard) and self.to_dict() == other.to_dict()

    __hash__ = None
