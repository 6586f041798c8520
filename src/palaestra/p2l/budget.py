"""One budget for many prompts, and one for calls that come one by one.

Money goes where it does most. `spread` buys every prompt its cheapest model, and then steps along the upper edges of
all prompts (`hull.py`), the steepest first, until the money is spent: the optimum of the linear program with one
constraint for all prompts, which is the relaxation of the multiple-choice knapsack problem (Sinha and Zoltners, *The
multiple-choice knapsack problem*, 1979). At most one prompt is left mixed.

A `Purse` guards the money of a server that does not know what will be asked: no call begins unless the most that it can
cost is still there, so that at no moment more is spent than the purse holds. Its state is one SQLite file.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from palaestra.errors import InputError
from palaestra.p2l.hull import Hulls, Mixtures, mixed, slopes

_ROUNDING = 8 * float(np.finfo(float).eps)
_BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """A model or mixture for every prompt under one budget.

    `price` is the value that the last money bought, for a unit of it: what `at_price` takes for prompts to come. It is
    0 where the budget buys every prompt its best model.
    """

    mixtures: Mixtures
    price: float


def spread(hulls: Hulls, total: float) -> Spread:
    """The greatest expected value that a total buys.

    Args:
        hulls: the upper edges of the prompts.
        total: what all calls together may cost. Expected costs keep to it, whatever chance does to the one prompt that
            is mixed; `Mixtures.whole` takes chance out.

    Raises:
        InputError: the total does not pay for the cheapest model everywhere; both are named.
    """
    corner_P, share_P = np.zeros(len(hulls), dtype=np.int64), np.zeros(len(hulls))
    least = math.fsum(hulls.cost_PK[:, 0])
    if not total >= least:
        raise InputError(
            f"found a budget of {total:.6g} for {len(hulls)} prompts, but with the cheapest model on each they cost "
            f"{least:.6g}; expected at least that"
        )
    if total == math.inf:
        return Spread(mixed(hulls, hulls.corners_P - 1, share_P), 0.0)
    left = max(0.0, total - least - _ROUNDING * len(hulls) * total)  # what sums of so many numbers may be off by
    steep_PK = slopes(hulls)
    prompt_S, step_S = np.nonzero(steep_PK > -np.inf)
    order_S = np.lexsort((step_S, -steep_PK[prompt_S, step_S]))
    prompt_S, step_S = prompt_S[order_S], step_S[order_S]
    dearer_S = hulls.cost_PK[prompt_S, step_S + 1] - hulls.cost_PK[prompt_S, step_S]
    paid_S = np.cumsum(dearer_S)
    bought = int(np.searchsorted(paid_S, left, side="right"))
    np.maximum.at(corner_P, prompt_S[:bought], step_S[:bought] + 1)
    if bought == len(paid_S):
        return Spread(mixed(hulls, corner_P, share_P), 0.0)
    last, step = int(prompt_S[bought]), int(step_S[bought])
    before = float(paid_S[bought - 1]) if bought else 0.0
    share_P[last] = (left - before) / float(dearer_S[bought])
    return Spread(mixed(hulls, corner_P, share_P), float(steep_PK[last, step]))


class EmptyPurseError(InputError):
    """What is left does not pay for the call."""


class Purse:
    """Money that is set aside before a call and paid after it. Any number of processes may share one.

    Amounts are kept as whole billionths, rounded up, so that no sum is off. What was set aside by a server that was
    killed counts as spent: the endpoint may have billed it.

    Args:
        path: the SQLite file; made if it is not there.
        total: what may be spent in all, by everybody who ever opened this purse.

    Raises:
        InputError: the file is no purse, or holds one of another total.
    """

    def __init__(self, path: str | Path, total: float) -> None:
        if not (math.isfinite(total) and total > 0):
            raise InputError(f"found a purse of {total!r}, expected a positive amount")
        self.path, self.total = Path(path), total
        try:
            self._rows = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            for order in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "CREATE TABLE IF NOT EXISTS purse (one INTEGER PRIMARY KEY CHECK (one = 1), total REAL, gone INTEGER)",
                "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, model TEXT, ceiling INTEGER, cost INTEGER)",
            ):
                self._rows.execute(order)
            self._rows.execute("INSERT OR IGNORE INTO purse VALUES (1, ?, 0)", (total,))
            held = float(self._rows.execute("SELECT total FROM purse").fetchone()[0])
        except sqlite3.Error as error:
            raise InputError(f"cannot open the purse {path}: {error}; expected a file that can be written") from error
        if held != total:
            raise InputError(f"found a purse of {held:g} in {path}, expected {total:g}; give that, or another file")

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    @property
    def left(self) -> float:
        """What has neither been spent nor set aside."""
        return self._left() / _BILLION

    def set_aside(self, model: str, ceiling: float) -> int:
        """Set aside what a call costs at most; returns its number.

        Raises:
            EmptyPurseError: there is less; nothing has been set aside.
        """
        amount = math.ceil(ceiling * _BILLION)
        with closing(self._rows.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            left = self._left()
            if amount > left:
                cursor.execute("ROLLBACK")
                raise EmptyPurseError(
                    f"a call of {model!r} may cost {ceiling:.6g}, and of the {self.total:g} in the purse "
                    f"{left / _BILLION:.6g} are left"
                )
            cursor.execute("INSERT INTO calls (model, ceiling) VALUES (?, ?)", (model, amount))
            call = int(cursor.lastrowid or 0)
            cursor.execute("UPDATE purse SET gone = gone + ?", (amount,))
            cursor.execute("COMMIT")
            return call

    def pay(self, call: int, cost: float | None) -> None:
        """Say what a call has cost, and have the rest back. None where nobody knows: then all of it stays away."""
        amount = None if cost is None else math.ceil(cost * _BILLION)
        with closing(self._rows.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            row = cursor.execute("SELECT ceiling FROM calls WHERE id = ? AND cost IS NULL", (call,)).fetchone()
            if row is not None:
                paid = row[0] if amount is None else amount
                cursor.execute("UPDATE calls SET cost = ? WHERE id = ?", (paid, call))
                cursor.execute("UPDATE purse SET gone = gone + ?", (paid - row[0],))
            cursor.execute("COMMIT")

    def _left(self) -> int:
        gone = int(self._rows.execute("SELECT gone FROM purse").fetchone()[0])
        return math.floor(self.total * _BILLION) - gone


def ceiling_of(sent_bytes: int, most_tokens: int | None, input_price: float, output_price: float, model: str) -> float:
    """The most that a call can cost.

    Args:
        sent_bytes: the messages in UTF-8, with the system prompt and what a chat template adds: no tokeniser of bytes
            makes more tokens than there are bytes.
        most_tokens: the limit on the answer.
        input_price: for a million tokens.
        output_price: for a million tokens.
        model: for the message.

    Raises:
        InputError: an answer that is paid for has no limit, so that no ceiling is known.
    """
    if most_tokens is None and output_price > 0:
        raise InputError(
            f"model {model!r} has no max_tokens, so nobody knows what a call of it may cost; a purse needs that: set "
            "max_tokens in models.toml, or send it with the request"
        )
    return (sent_bytes * input_price + (most_tokens or 0) * output_price) / 1e6
