"""Votes as codes: model names become numbers once, and travel as strings no further.

`code_votes` takes a frame as `store.formats.check_votes` leaves it, so that coding is a look at what is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.ranking.labels import truth
from palaestra.schema import Winner
from palaestra.store.checking import VoteFile, as_frame, rows_of
from palaestra.store.coding import Mask, in_use
from palaestra.store.columns import REQUIRED

Floats = NDArray[np.float64]
Codes = NDArray[np.unsignedinteger]

OUTCOMES = tuple(winner.value for winner in Winner)
"""The outcomes in the order of their codes: model_a 0, model_b 1, tie 2, both_bad 3."""

A_WINS, B_WINS, TIE, BOTH_BAD = range(4)


@dataclass(frozen=True)
class Votes:
    """B rows of votes among M models.

    `first_B` and `second_B` are the codes of `model_a` and `model_b` in `names`, which is sorted and holds exactly the
    models that occur; `outcome_B` is a code as in `OUTCOMES`; `count_B` says for how many votes a row stands. Codes are
    unsigned integers of the least size. `others` are the other columns; `not_blind` rows were left out before.
    """

    names: tuple[str, ...]
    first_B: Codes
    second_B: Codes
    outcome_B: Codes
    count_B: Floats
    others: pl.DataFrame
    not_blind: int = 0

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.outcome_B)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The votes as a table, made when it is first asked for."""
        return as_frame(self.names, self._codes, self.others)

    def of(self, rows_B: Mask) -> Votes:
        """Some of the rows, with the models that occur in them."""
        codes = {name: code_B[rows_B] for name, code_B in self._codes.items()}
        return _coded(self.names, codes, rows_of(self.others, rows_B), self.not_blind)

    @property
    def _codes(self) -> dict[str, Codes]:
        return {"model_a": self.first_B, "model_b": self.second_B, "winner": self.outcome_B}


def code_votes(votes: VoteFile | pl.DataFrame) -> Votes:
    """The codes of checked votes.

    Args:
        votes: as `store.formats.check_votes` leaves them, or its frame: `model_a`, `model_b` as Enums over the same
            sorted names, `winner` as Enum over `OUTCOMES`, and `weight` if rows stand for more or less than one vote.
            Rows of weight zero are left out, and those of battles that were not blind (`anony` is false), as on the
            public boards.

    Raises:
        InputError: `anony` holds something else than truths.
    """
    if isinstance(votes, pl.DataFrame):
        names = votes.schema["model_a"].categories.to_list()  # ty: ignore[missing-attribute] - an Enum
        codes, others = {name: votes[name].to_physical().to_numpy() for name in REQUIRED}, votes.drop(REQUIRED)
    else:
        names, codes, others = votes.names, votes.codes, votes.others
    not_blind, keep_B = 0, None
    if "anony" in others.columns:
        keep_B = truth(others["anony"].fill_null(value=True))
        not_blind = int((~keep_B).sum())
    if "weight" in others.columns:
        heavy_B = (others["weight"] > 0).to_numpy()
        keep_B = heavy_B if keep_B is None else keep_B & heavy_B
    if keep_B is not None and not keep_B.all():
        codes, others = {name: code_B[keep_B] for name, code_B in codes.items()}, rows_of(others, keep_B)
    return _coded(names, codes, others, not_blind)


def _coded(names: Sequence[str], codes: dict[str, Codes], others: pl.DataFrame, not_blind: int) -> Votes:
    """The votes with those of the names that occur."""
    kept, (first_B, second_B) = in_use(list(names), codes["model_a"], codes["model_b"])
    rows = len(codes["winner"])
    weighted = "weight" in others.columns
    return Votes(
        names=tuple(kept),
        first_B=first_B,
        second_B=second_B,
        outcome_B=codes["winner"],
        count_B=others["weight"].to_numpy() if weighted else np.broadcast_to(np.ones(1), rows),
        others=others,
        not_blind=not_blind,
    )
