"""Results added up: for each model, right answers and questions on each benchmark, and queries with their time or cost.

Rows of one model on one benchmark are shards of one run, and add up. Two dates or two concurrencies would be two runs
over the same questions; adding them would count the same evidence twice, so they are refused.
Axes: `_M` models, `_K` benchmarks, `_D` domains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.schema import Result

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of M models on K benchmarks; benchmarks are in the order of the domains, names sorted.

    A model without a result on a benchmark has a total of 0 there; a benchmark without a guess rate has 0.
    """

    models: tuple[str, ...]
    domains: dict[str, tuple[str, ...]]
    correct_MK: Floats
    total_MK: Floats
    guess_K: Floats

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of all benchmarks, shape (K,)."""
        return tuple(name for names in self.domains.values() for name in names)

    @property
    def weight_DK(self) -> Floats:
        """What each benchmark counts in each domain: an equal share."""
        weight_DK = np.zeros((len(self.domains), len(self.benchmarks)))
        start = 0
        for row, names in enumerate(self.domains.values()):
            weight_DK[row, start : start + len(names)] = 1 / len(names)
            start += len(names)
        return weight_DK

    def missing(self, model: int) -> tuple[str, ...]:
        """Benchmarks on which a model has no result."""
        return tuple(name for name, total in zip(self.benchmarks, self.total_MK[model], strict=True) if total == 0)


@dataclass(frozen=True, slots=True)
class Spent:
    """Answered queries of each model, and the seconds or the cost that they took; NaN where nothing was measured.

    `on` holds the benchmarks that were measured, for each model.
    """

    queries_M: Floats
    amount_M: Floats
    on: tuple[frozenset[str], ...]


def tally(results: Sequence[Result]) -> Tally:
    """Add up results.

    Raises:
        InputError: there are none, a benchmark has two domains or two guess rates, or a model two runs on a benchmark.
    """
    if not results:
        raise InputError("found no results, expected at least one")
    runs, of_benchmark = defaultdict(list), defaultdict(list)
    for result in results:
        runs[result.model, result.benchmark].append(result)
        of_benchmark[result.benchmark].append(result)
    domain_of = {name: _the_one(rows, "domain", name) for name, rows in of_benchmark.items()}
    domains = {
        domain: tuple(sorted(name for name, its in domain_of.items() if its == domain))
        for domain in sorted(set(domain_of.values()))
    }
    models = tuple(sorted({result.model for result in results}))
    benchmarks = [name for names in domains.values() for name in names]
    for (model, benchmark), rows in runs.items():
        for field in ("date", "concurrency"):
            _the_one([row for row in rows if getattr(row, field) is not None], field, f"{model} on {benchmark}")
    return Tally(
        models,
        domains,
        _table(models, benchmarks, runs, "correct"),
        _table(models, benchmarks, runs, "total"),
        np.array([_the_one(of_benchmark[name], "guess_rate", name) or 0.0 for name in benchmarks]),
    )


def timed(results: Iterable[Result], models: Sequence[str], concurrency: int | None) -> tuple[Spent, int | None]:
    """Queries and seconds of the results that have seconds, and the one concurrency at which they were answered.

    Args:
        results: all of them.
        models: in the order wanted.
        concurrency: only times at this one; if None, all times must be at one.

    Raises:
        InputError: there are times at several concurrencies and none was asked for, or none at the one asked for.
    """
    rows = [result for result in results if result.seconds is not None]
    found = sorted({result.concurrency for result in rows if result.concurrency is not None})
    if concurrency is None and len(found) > 1:
        listed = ", ".join(map(str, found))
        raise InputError(f"found times at concurrencies {listed}, which cannot be compared; choose one of them")
    if concurrency is not None and concurrency not in found:
        raise InputError(f"found no times at concurrency {concurrency}, expected one of {', '.join(map(str, found))}")
    at = concurrency if concurrency is not None else (found[0] if found else None)
    return _spent([row for row in rows if row.concurrency == at], models, "seconds"), at


def paid(results: Iterable[Result], models: Sequence[str]) -> Spent:
    """Queries and cost of the results that have a cost.

    Raises:
        InputError: a model has a cost, and not one answered query.
    """
    spent = _spent([result for result in results if result.cost is not None], models, "cost")
    for model, queries in zip(models, spent.queries_M, strict=True):
        if queries == 0:
            raise InputError(f"{model}: found a cost for 0 queries, expected answered queries to divide it by")
    return spent


def _the_one(rows: Sequence[Result], field: str, whose: str) -> Any:  # noqa: ANN401 - a field's value
    values = list(dict.fromkeys(getattr(row, field) for row in rows))
    if len(values) > 1:
        what = "shards of one run; keep one run" if field in {"date", "concurrency"} else "one for all its results"
        raise InputError(f"{whose}: found {field} {values[0]} and {values[1]}, expected {what}")
    return values[0] if values else None


def _table(models: Sequence[str], benchmarks: Sequence[str], runs: dict, field: str) -> Floats:
    """Sums of a field over the shards of each run, shape (M, K); 0 where there is none."""
    sums = [
        [sum(getattr(row, field) for row in runs.get((model, name), ())) for name in benchmarks] for model in models
    ]
    return np.array(sums, dtype=float)


def _spent(rows: Sequence[Result], models: Sequence[str], field: str) -> Spent:
    mine = [[row for row in rows if row.model == model] for model in models]
    queries = [sum(row.queries or 0 for row in part) if part else np.nan for part in mine]
    amount = [sum(getattr(row, field) for row in part) if part else np.nan for part in mine]
    on = tuple(frozenset(row.benchmark for row in part) for part in mine)
    return Spent(np.array(queries, dtype=float), np.array(amount, dtype=float), on)
