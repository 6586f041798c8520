"""What a call of each model costs on a prompt, before it is made: prices x expected tokens.

Input tokens are estimated from the prompt's length (`CHARACTERS_PER_TOKEN`), with the model's system prompt. Output
tokens are the mean of what the model has written so far (a file of usage, or an arena's ledger), or what somebody says;
of a model of which neither is known, its `max_tokens`, which is more than it will write, and is said.

Money is in the unit of the prices of models.toml. Not here: what a call has cost (the gateway counts that).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.schema import CHARACTERS_PER_TOKEN, ModelSpec
from palaestra.store.records import read_rows
from palaestra.store.sources import is_database

_LENGTHS = ("output_tokens", "completion_tokens", "tokens")


@dataclass(frozen=True, slots=True)
class Costs:
    """Prices and expected answers of M models. `notes` say what had to be supposed."""

    specs: tuple[ModelSpec, ...]
    output_M: NDArray[np.float64]
    """Expected tokens of an answer."""
    notes: tuple[str, ...] = ()

    def of(self, length_P: Sequence[int]) -> NDArray[np.float64]:
        """Expected cost of a call, P by M, from the characters that are sent."""
        system_M = np.array([len(spec.system or "") for spec in self.specs], dtype=float)
        in_M, out_M = (
            np.array([getattr(spec, side) for spec in self.specs]) for side in ("input_price", "output_price")
        )
        input_PM = (np.asarray(length_P, dtype=float)[:, None] + system_M) / CHARACTERS_PER_TOKEN
        return (input_PM * in_M + self.output_M * out_M) / 1e6


def expect_costs(specs: Sequence[ModelSpec], lengths: Mapping[str, float] | None = None) -> Costs:
    """Costs of these models.

    Args:
        specs: the models, with their prices.
        lengths: mean tokens of their answers, as far as they are known.

    Raises:
        InputError: an answer is paid for, and nobody knows how long it is.
    """
    known, notes, output_M = lengths or {}, [], []
    for spec in specs:
        if spec.name in known:
            output_M.append(known[spec.name])
        elif spec.output_price == 0:
            output_M.append(0.0)
        elif spec.max_tokens is not None:
            output_M.append(float(spec.max_tokens))
            notes.append(
                f"nobody has said how long answers of {spec.name!r} are: each counts with its max_tokens, "
                f"{spec.max_tokens}"
            )
        else:
            raise InputError(
                f"found no length of answers of {spec.name!r}, which costs {spec.output_price:g} a million output "
                "tokens; expected --usage with its output_tokens, or max_tokens in models.toml"
            )
    return Costs(tuple(specs), np.array(output_M), tuple(notes))


def read_usage(source: str | Path) -> dict[str, float]:
    """Mean tokens of each model's answers.

    Args:
        source: a table with the columns model and output_tokens (or completion_tokens, tokens), one row an answer or
            one a model; or the URL of an arena's ledger.

    Raises:
        InputError: a row without these, or with a length that is no number; the row is named.
        DatabaseError: there is no such ledger.
    """
    if is_database(source):
        from palaestra.store.ballots import answer_lengths

        return answer_lengths(str(source))
    lengths: dict[str, list[float]] = defaultdict(list)
    for number, row in enumerate(read_rows(source, "usage"), start=1):
        lengths[_model(source, number, row)].append(_length(source, number, row))
    return {model: fmean(found) for model, found in lengths.items()}


def _model(source: str | Path, number: int, row: Mapping[str, Any]) -> str:
    name = row.get("model")
    if not isinstance(name, str) or not name:
        raise InputError(f"{source}: row {number}: found no model, expected the columns model and output_tokens")
    return name


def _length(source: str | Path, number: int, row: Mapping[str, Any]) -> float:
    given = next((row[name] for name in _LENGTHS if row.get(name) is not None), None)
    try:
        length = float(given)  # ty: ignore[invalid-argument-type] - None is refused below
    except (TypeError, ValueError):
        length = -1.0
    if not 0 <= length < float("inf"):
        raise InputError(
            f"{source}: row {number}: found {given!r} as the length of an answer, expected a number from 0 up in one "
            f"of the columns {', '.join(_LENGTHS)}"
        )
    return length
