"""Which model of one board is which of the other: by name, by a file of names, and by name in another case.

Not here: guesses. Names that differ in more than upper and lower case are two models until a file says otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from palaestra.errors import InputError

LEAST = 3
"""Models that two boards must have in common."""


class Common(NamedTuple):
    """Places of the common models on both boards, and what is on one only."""

    board: tuple[int, ...]
    reference: tuple[int, ...]
    only_board: tuple[str, ...]
    only_reference: tuple[str, ...]
    other_case: tuple[tuple[str, str], ...]
    """Pairs whose names differ in upper and lower case."""


def read_names(path: str | Path) -> dict[str, str]:
    """A JSON object of names: the one board's to the other's.

    Raises:
        InputError: unreadable, or something else.
    """
    try:
        names = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the names in {path}: {error}; expected a JSON object of names") from error
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError(f"{path}: found {names!r:.60}, expected a JSON object of names: {{one board's: the other's}}")
    return names


def common_models(
    board: Sequence[str], reference: Sequence[str], names: Mapping[str, str] | None = None, *, only_named: bool = False
) -> Common:
    """The models that two boards share, in the board's order.

    Args:
        board: names on the one.
        reference: names on the other.
        names: some of the board's names to the reference's, or all the other way round: the way in which more of them
            are found is meant.
        only_named: leave out models that `names` does not have.

    Raises:
        InputError: fewer than three are common, or two models of one board are the same of the other.
    """
    here, there = _Names(board), _Names(reference)
    meant = _meant(here, there, names or {})
    places: dict[int, int] = {}
    for place, name in enumerate(board):
        target = there.place(meant[place]) if place in meant else None if only_named else there.place(name)
        if target is not None:
            places[place] = target
    taken = {there.place(name) for name in meant.values()}
    places = {place: target for place, target in places.items() if place in meant or target not in taken}
    twice = sorted(reference[target] for target in set(places.values()) if [*places.values()].count(target) > 1)
    if twice:
        raise InputError(f"found several models for {', '.join(twice)}, expected one each; mend the file of names")
    if len(places) < LEAST:
        raise InputError(
            f"found {len(places)} common models of {len(board)} and {len(reference)}, expected at least {LEAST}; say "
            f"who is who with --names FILE; here are {_some(board)}, there {_some(reference)}"
        )
    used = set(places.values())
    spelled = ((board[place], reference[target]) for place, target in places.items() if place not in meant)
    return Common(
        tuple(places),
        tuple(places.values()),
        tuple(name for place, name in enumerate(board) if place not in places),
        tuple(name for place, name in enumerate(reference) if place not in used),
        tuple(pair for pair in spelled if pair[0] != pair[1]),
    )


class _Names:
    """Names and their places, also by their case-folded form where only one has it."""

    def __init__(self, names: Sequence[str]) -> None:
        self._exact = {name: place for place, name in enumerate(names)}
        folded = [name.casefold() for name in names]
        self._folded = {name: place for place, name in enumerate(folded) if folded.count(name) == 1}

    def place(self, name: str) -> int | None:
        """Where a name stands, if it does."""
        return self._exact.get(name, self._folded.get(name.casefold()))


def _meant(here: _Names, there: _Names, names: Mapping[str, str]) -> dict[int, str]:
    """The reference's name for places of the board."""
    ways = []
    for pairs in (names.items(), [(value, key) for key, value in names.items()]):
        found = {place: b for a, b in pairs if (place := here.place(a)) is not None and there.place(b) is not None}
        ways.append(found)
    return max(ways, key=len)


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
