"""Which example when: domains by their weights, no example more often than its domain's cap, the same for one seed.

    domain      the one that is furthest behind its share: the least (used + half of a use) / weight, which is Webster's
                rule of apportioning seats; after n draws no domain's count is a whole draw or two from its share
    example     by passes: each has a place in each pass that a hash of seed, id and pass gives, and its next use is at
                (pass + place) / weight of the example; with equal weights every one is used once before any is again

A use is one example, or its tokens. A domain that has reached its cap drops out, and the others share what is left.
Neither the order of the examples nor chance beyond the seed plays a part; a shorter plan is the beginning of a longer.

Not here: how examples share a row (`packing.py`); which weights are good (`mixture.py`).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from palaestra.errors import InputError

By = Literal["examples", "tokens"]


@dataclass(frozen=True, slots=True)
class Source:
    """What the mixture knows of an example."""

    id: str
    domain: str
    tokens: int = 1
    """That are learnt."""
    weight: float = 1.0
    """How often it is used beside others of its domain; 0 is never."""


@dataclass(frozen=True, slots=True)
class DomainShare:
    """What became of a domain."""

    domain: str
    examples: int
    """Different ones that there are."""
    weight: float
    """The share that was asked for."""
    drawn: int
    tokens: int
    """Learnt, every use counted."""
    share: float
    """Of the draws."""
    token_share: float
    most: int
    """How often the most used example was."""
    ended: bool
    """Whether its cap was reached, so that others took its place."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which examples, by their place in what was given, draw by draw; and each domain's share of that."""

    order: tuple[int, ...]
    shares: tuple[DomainShare, ...]


def checked_weights(domains: Mapping[str, int], weights: Mapping[str, float] | None) -> dict[str, float]:
    """The share of each domain, summing to one; by the number of examples where nothing was said.

    Raises:
        InputError: a weight is not above nought or not finite, or names no domain.
    """
    if weights is None:
        weights = domains
    if unknown := [name for name in weights if name not in domains]:
        raise InputError(f"found the domain {unknown[0]!r} in the mixture, expected one of {', '.join(domains)}")
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise InputError(f"found the weight {weight} of {name}, expected a number of at least nought")
    total = sum(weights.values())
    if not total:
        raise InputError("found a mixture without weight, expected a domain above nought")
    return {name: weight / total for name, weight in weights.items() if weight}


class Mixture:
    """Draws examples.

    Args:
        sources: the examples, with distinct ids.
        weights: of domains; those that are not named are left out. By the number of examples if left out.
        cap: how often an example may be used, for all domains or by domain; as often as asked for if left out.
        by: whether shares are of examples or of tokens.
        seed: of places.

    Raises:
        InputError: as `checked_weights`; a cap names no domain or is below one; two examples have one id.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        weights: Mapping[str, float] | None = None,
        cap: int | Mapping[str, int] | None = None,
        by: By = "examples",
        seed: int = 0,
    ) -> None:
        self._sources, self._by, self._seed = sources, by, seed
        usable = [place for place, source in enumerate(sources) if source.weight > 0]
        self._members: dict[str, list[int]] = {}
        for place in sorted(usable, key=lambda place: sources[place].id):
            self._members.setdefault(sources[place].domain, []).append(place)
        if len({source.id for source in sources}) < len(sources):
            raise InputError("found two examples with one id, expected an id of its own for each")
        counts = {name: len(members) for name, members in sorted(self._members.items())}
        self.weights = checked_weights(counts, weights)
        self.caps = _caps(counts, cap)

    def draws(self) -> Iterator[int]:
        """Places of examples, until every domain has reached its cap."""
        streams = {name: self._domain(name) for name in self.weights}
        halves = {name: self._typical(name) / 2 for name in self.weights}
        used = dict.fromkeys(self.weights, 0.0)
        behind = [(halves[name] / weight, name) for name, weight in self.weights.items()]
        heapq.heapify(behind)
        while behind:
            _, name = heapq.heappop(behind)
            place = next(streams[name], None)
            if place is None:
                continue
            yield place
            used[name] += self._cost(place)
            heapq.heappush(behind, ((used[name] + halves[name]) / self.weights[name], name))

    def plan(self, count: int | None = None) -> Plan:
        """The first so many draws; up to where the first domain has reached its cap if left out.

        Raises:
            InputError: there are fewer draws than that before every cap is reached; or no cap ends them.
        """
        if count is None:
            order = self._until_one_ends()
        else:
            draws = self.draws()
            order = [place for place, _ in zip(draws, range(count), strict=False)]
            if len(order) < count:
                raise InputError(
                    f"found {count} examples to draw, expected at most {len(order)}: then every domain has reached its "
                    "epoch cap; raise the cap, or train for fewer steps"
                )
        return Plan(tuple(order), self.shares(order))

    def shares(self, order: Sequence[int]) -> tuple[DomainShare, ...]:
        """What each domain got of these draws."""
        uses: dict[str, dict[int, int]] = {name: {} for name in self.weights}
        for place in order:
            own = uses[self._sources[place].domain]
            own[place] = own.get(place, 0) + 1
        tokens = {
            name: sum(self._sources[place].tokens * times for place, times in own.items()) for name, own in uses.items()
        }
        every = max(sum(tokens.values()), 1)
        return tuple(self._share(name, uses[name], tokens[name], len(order), every) for name in self.weights)

    def _share(self, name: str, uses: Mapping[int, int], tokens: int, draws: int, every: int) -> DomainShare:
        drawn, cap = sum(uses.values()), self.caps[name]
        return DomainShare(
            name, len(self._members[name]), self.weights[name], drawn, tokens, drawn / max(draws, 1), tokens / every,
            max(uses.values(), default=0), cap is not None and drawn == cap * len(self._members[name]),
        )  # fmt: skip

    def _until_one_ends(self) -> list[int]:
        left = {name: cap * len(self._members[name]) for name, cap in self.caps.items() if cap is not None}
        if not left.keys() & self.weights.keys():
            raise InputError("found neither a number of draws nor an epoch cap, expected one of them")
        order = []
        for place in self.draws():
            order.append(place)
            name = self._sources[place].domain
            if name in left:
                left[name] -= 1
                if not left[name]:
                    break
        return order

    def _domain(self, name: str) -> Iterator[int]:
        """A domain's examples, pass by pass."""
        cap = self.caps[name]
        due = [(self._due(place, 0), place) for place in self._members[name]]
        heapq.heapify(due)
        passes = dict.fromkeys(self._members[name], 0)
        while due:
            _, place = heapq.heappop(due)
            yield place
            passes[place] += 1
            if cap is None or passes[place] < cap:
                heapq.heappush(due, (self._due(place, passes[place]), place))

    def _due(self, place: int, number: int) -> float:
        source = self._sources[place]
        digest = hashlib.blake2b(f"{self._seed} {number} {source.id}".encode(), digest_size=7).digest()
        return (number + int.from_bytes(digest) / 2**56) / source.weight

    def _cost(self, place: int) -> float:
        return 1.0 if self._by == "examples" else float(max(self._sources[place].tokens, 1))

    def _typical(self, name: str) -> float:
        return sum(map(self._cost, self._members[name])) / len(self._members[name])


def _caps(counts: Mapping[str, int], cap: int | Mapping[str, int] | None) -> dict[str, int | None]:
    named = cap if isinstance(cap, Mapping) else dict.fromkeys(counts, cap)
    if unknown := [name for name in named if name not in counts]:
        raise InputError(f"found an epoch cap for the domain {unknown[0]!r}, expected one of {', '.join(counts)}")
    for name, most in named.items():
        if most is not None and most < 1:
            raise InputError(f"found the epoch cap {most} of {name}, expected at least 1; leave the domain out instead")
    return {name: named.get(name) for name in counts}
