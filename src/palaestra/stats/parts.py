"""Work cut into parts, on all cores; into how many depends on the data alone: the same bytes on any machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_ROWS_OF_A_PART = 65_536
_MOST_PARTS = 8


def parts_of(rows: int) -> int:
    """In how many parts so many rows are gone through."""
    return min(_MOST_PARTS, 1 + rows // _ROWS_OF_A_PART)


def ranges(rows: int) -> list[tuple[int, int]]:
    """The parts of so many rows, from and to."""
    count = parts_of(rows)
    return list(pairwise(rows * part // count for part in range(count + 1)))


def on_threads(work: Callable[[S], T], tasks: Sequence[S]) -> list[T]:
    """The work on each of the tasks; one alone is done here. Work must not wait for other work."""
    if len(tasks) == 1:
        return [work(tasks[0])]
    return list(_threads(os.getpid()).map(work, tasks))


@lru_cache(maxsize=1)
def _threads(_process: int) -> ThreadPoolExecutor:
    """One pool for each process: threads do not survive a fork."""
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="palaestra-stats")
