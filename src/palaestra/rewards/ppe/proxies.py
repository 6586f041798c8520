"""Whoever stands in for people: a reward, a judge, a function, a file of scores, all asked in one way.

    scored    gives each reply a number, higher is better
    pairwise  gives the chance that the first of two replies is better; it may depend on their order, so it is asked in
              both, and the mean of p(first, second) and 1 - p(second, first) counts

Not here: a judge's run as a proxy (`recipes/proxy_board.py`), and what comes of the answers.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.rewards.seen import seen_line
from palaestra.schema import Message
from palaestra.store.records import read_rows

Floats = NDArray[np.float64]
Talk = Sequence[Message]


class Reply(NamedTuple):
    """One reply to be scored."""

    id: str
    """Of the preference or the samples that it belongs to."""
    place: int
    """Which of their replies it is, from 1."""
    prompt: tuple[Message, ...]
    text: str
    model: str | None = None


class Pair(NamedTuple):
    """Two replies to one prompt, in an order."""

    first: Reply
    second: Reply


@runtime_checkable
class Scored(Protocol):
    """A proxy that scores replies one by one."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """A finite number for each reply, shape (N,)."""
        ...


@runtime_checkable
class Pairwise(Protocol):
    """A proxy that compares two replies."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def chances(self, pairs: Sequence[Pair]) -> Floats:
        """The chance that the first reply is better, shape (N,), from 0 to 1."""
        ...


Proxy = Scored | Pairwise


@runtime_checkable
class KnowsById(Protocol):
    """A proxy that was asked beforehand, and has its answers by ids and not by texts."""

    def key(self, reply: Reply) -> Hashable:
        """What it knows this reply by; two replies of one key are the same to it."""
        ...


@runtime_checkable
class OrderKnown(Protocol):
    """A proxy that compares, and may have been asked in one order alone."""

    def in_both_orders(self, pairs: Sequence[Pair]) -> bool:
        """Whether it has an answer of its own in both orders to each pair."""
        ...


def refuse_confused(proxies: Sequence[Proxy], replies: Sequence[Reply]) -> None:
    """Refuse replies that a proxy which goes by ids cannot tell apart.

    Raises:
        InputError: two different replies have one id.
    """
    for proxy in proxies:
        if isinstance(proxy, KnowsById):
            seen: dict[Hashable, tuple[object, str]] = {}
            for one in replies:
                if seen.setdefault(proxy.key(one), (one.prompt, one.text)) != (one.prompt, one.text):
                    raise InputError(
                        f"{proxy.name}: found two different replies of the id {one.id!r}, which it cannot tell apart; "
                        "expected ids that occur once: give the rows other ids, or evaluate their files one by one"
                    )


class RewardLike(Protocol):
    """What `rewards/model.py` loads."""

    def score(self, prompts: Sequence[Talk], replies: Sequence[str]) -> Floats:
        """A number for each reply, shape (N,)."""
        ...


class RewardProxy:
    """A reward as a proxy.

    Args:
        name: what tables call it.
        reward: whose scores they are.
    """

    def __init__(self, name: str, reward: RewardLike) -> None:
        self.name = name
        self._reward = reward

    def seen(self, prompts: Iterable[Talk]) -> str | None:
        """A warning, where it was trained on some of these prompts."""
        return seen_line(self._reward, self.name, prompts)

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """The reward's scores."""
        return self._reward.score([one.prompt for one in replies], [one.text for one in replies])


class ScoringFunction:
    """A function of prompts and replies that gives a number for each."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self._function = function

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """What the function returns."""
        return _numbers(self.name, self._function([one.prompt for one in replies], [one.text for one in replies]))


class ComparingFunction:
    """A function of prompts, first and second replies that gives the chance that the first is better."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self._function = function

    def chances(self, pairs: Sequence[Pair]) -> Floats:
        """What the function returns."""
        prompts = [pair.first.prompt for pair in pairs]
        first, second = ([pair[side].text for pair in pairs] for side in (0, 1))
        return _numbers(self.name, self._function(prompts, first, second))


def _numbers(name: str, found: Any) -> Floats:  # noqa: ANN401 - whatever a user's function returns
    try:
        return np.asarray(found, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} gave {found!r:.60}, expected a list of numbers: {error}") from error


def function_proxy(name: str, spec: str) -> Proxy:
    """The proxy of a function, written `module:function`: of two arguments it scores, of three it compares.

    Raises:
        InputError: there is no such function, or it takes another number of arguments.
    """
    module, _, attribute = spec.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise InputError(f"found no function {spec!r} ({error}), expected module:function") from error
    takes = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty and one.kind in _PLACED
    ]
    kinds: dict[int, Callable[[str, Callable[..., Any]], Proxy]] = {2: ScoringFunction, 3: ComparingFunction}
    if len(takes) not in kinds:
        raise InputError(
            f"{spec} takes {len(takes)} arguments, expected (prompts, replies) for scores or (prompts, first, second) "
            "for the chance that the first is better"
        )
    return kinds[len(takes)](name, function)


_PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ScoreFile:
    """Scores that were computed elsewhere: rows of id (or question_id) with `scores`, a list, or `reply` and `score`.

    Args:
        name: what tables call it.
        path: the file; `reply` counts from 1.

    Raises:
        InputError: a row has no id or no number.
    """

    def __init__(self, name: str, path: str | Path) -> None:
        self.name = name
        self._path = Path(path)
        self._scores: dict[tuple[str, int], float] = {}
        for number, row in enumerate(read_rows(path, "scores"), start=1):
            try:
                own = row["id"] if row.get("id") is not None else row["question_id"]
                given = row["scores"] if "scores" in row else [row["score"]]
                start = 1 if "scores" in row else int(row["reply"])
                found = {(str(own), start + place): float(score) for place, score in enumerate(given)}
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{path}: row {number}: {error}; expected id with scores (a list), or id, reply and score"
                ) from error
            if again := found.keys() & self._scores.keys():
                raise InputError(f"{path}: row {number}: found {min(again)} again, which an earlier row has scored")
            self._scores |= found

    def key(self, reply: Reply) -> Hashable:
        """Id and place."""
        return reply.id, reply.place

    def scores(self, replies: Sequence[Reply]) -> Floats:
        """The scores of these replies.

        Raises:
            InputError: one has none.
        """
        missing = [one for one in replies if (one.id, one.place) not in self._scores]
        if missing:
            raise InputError(
                f"{self._path}: found no score of reply {missing[0].place} to {missing[0].id!r} (and of "
                f"{len(missing) - 1} more), expected one for each reply"
            )
        return np.array([self._scores[one.id, one.place] for one in replies])


def scores_of(proxy: Scored, replies: Sequence[Reply]) -> Floats:
    """A proxy's scores, looked over.

    Raises:
        InputError: another number of scores, or one that is not finite.
    """
    scores_N = np.asarray(proxy.scores(replies), dtype=float)
    _refuse_others(proxy.name, scores_N, len(replies), np.isfinite(scores_N), "a finite score")
    return scores_N


def chances_of(proxy: Pairwise, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """The chance that the first reply is better, asked in the order given and in the other, both shape (N,).

    Raises:
        InputError: another number of chances, or one that is none.
    """
    swapped = [Pair(pair.second, pair.first) for pair in pairs]
    found = [np.asarray(proxy.chances(asked), dtype=float) for asked in (pairs, swapped)]
    for chance_N in found:
        _refuse_others(proxy.name, chance_N, len(pairs), (chance_N >= 0) & (chance_N <= 1), "a chance from 0 to 1")
    return found[0], 1 - found[1]


def _refuse_others(name: str, found_N: Floats, count: int, good_N: NDArray[np.bool_], what: str) -> None:
    if found_N.shape != (count,):
        raise InputError(f"{name} gave {found_N.shape} values for {count} questions, expected {what} for each")
    if not good_N.all():
        place = int((~good_N).argmax())
        raise InputError(f"{name}: number {place + 1} is {found_N[place]}, expected {what}")
