"""Votes as codes: model names become numbers once, and travel as strings no further.

`code_votes` takes a frame as `store.formats.check_votes` leaves it, so that coding is a look at what is there already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from palaestra.ranking.labels import truth
from palaestra.schema import Winner
from palaestra.store.coding import in_use

Floats = NDArray[np.float64]
Codes = NDArray[np.unsignedinteger]

OUTCOMES = tuple(winner.value for winner in Winner)
"""The outcomes in the order of their codes: model_a 0, model_b 1, tie 2, both_bad 3."""

A_WINS, B_WINS, TIE, BOTH_BAD = range(4)


@dataclass(frozen=True, slots=True)
class Votes:
    """B rows of votes among M models.

    `first_B` and `second_B` are the codes of `model_a` and `model_b` in `names`, which is sorted and holds exactly the
    models that occur; `outcome_B` is a code as in `OUTCOMES`; `count_B` says for how many votes a row stands. Codes are
    unsigned integers of the least size, as the frame holds them. `not_blind` rows were left out before.
    """

    names: tuple[str, ...]
    first_B: Codes
    second_B: Codes
    outcome_B: Codes
    count_B: Floats
    frame: pl.DataFrame
    not_blind: int = 0

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.outcome_B)

    def of(self, rows_B: NDArray[np.bool_]) -> Votes:
        """Some of the rows, with the models that occur in them."""
        return replace(code_votes(self.frame.filter(pl.Series(rows_B))), not_blind=self.not_blind)


def code_votes(frame: pl.DataFrame) -> Votes:
    """The codes of a checked frame.

    Args:
        frame: `model_a`, `model_b` as Enums over the same sorted names, `winner` as Enum over `OUTCOMES`, and `weight`
            if rows stand for more or less than one vote. Rows of weight zero are left out, and those of battles that
            were not blind (`anony` is false), as on the public boards.

    Raises:
        InputError: `anony` holds something else than truths.
    """
    rows = frame.height
    if "anony" in frame.columns:
        frame = frame.filter(pl.Series(truth(frame["anony"].fill_null(value=True))))
    not_blind = rows - frame.height
    if "weight" in frame.columns:
        frame = frame.filter(pl.col("weight") > 0)
    first_B, second_B = (frame[side].to_physical().to_numpy() for side in ("model_a", "model_b"))
    categories = frame.schema["model_a"].categories.to_list()  # ty: ignore[missing-attribute] - an Enum
    names, (first_B, second_B) = in_use(categories, first_B, second_B)
    weighted = "weight" in frame.columns
    return Votes(
        names=tuple(names),
        first_B=first_B,
        second_B=second_B,
        outcome_B=frame["winner"].to_physical().to_numpy(),
        count_B=frame["weight"].to_numpy() if weighted else np.broadcast_to(np.ones(1), frame.height),
        frame=frame,
        not_blind=not_blind,
    )
