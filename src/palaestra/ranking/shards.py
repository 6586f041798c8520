"""Votes in many files, counted where they lie: tables add up, so shards merge into what one file would have given.

A part is read once, only the columns that make a vote, and leaves a table of models by models by outcomes, whatever the
number of its votes; one part at a time is in memory. Sums of whole weights are the same in any order, to the last bit;
other weights are added in the order of the parts. With Ray each part is a task.

Not here: the fit (`fit_counts`), and whatever needs single votes, such as style or clusters, which a table has not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from palaestra.errors import InputError, PalaestraError, VoteFileError
from palaestra.ranking.counts import Counts, count_votes
from palaestra.ranking.votes import code_votes
from palaestra.store.ray_session import ray_session


def count_shards(parts: str | Path | Sequence[str | Path], *, ray: bool = False) -> Counts:
    """The counts of votes that lie in several files.

    Args:
        parts: a folder, of which the Parquet files at any depth are taken, except below names that begin with a dot or
            an underscore; or paths of vote files of any format. Parts may differ in their models; one may be empty.
        ray: count in tasks of Ray, as many at once as there are cores. Ray is started for it, on the loopback
            interface, and stopped again. Where `ray.init` has been called before, that Ray is used, a cluster perhaps,
            and left running; the paths must lead to the parts on each of its machines.

    Raises:
        InputError: there are no parts; or Ray would listen on the network.
        VoteFileError: a part does not hold votes, and is named; or there is no vote in any.
        MissingPartError: the extra `ray` is not installed.
    """
    paths = _paths(parts)
    counts = reduce(Counts.plus, _in_tasks(paths) if ray else map(_count, paths))
    if not counts.names:
        raise VoteFileError(f"found no votes in {len(paths)} parts, the first of which is {paths[0]}")
    return counts


def _paths(parts: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(parts, str | Path):
        paths = [Path(part).absolute() for part in parts]
        if not paths:
            raise InputError("found no paths of parts, expected at least one")
        return paths
    folder = Path(parts).absolute()
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected one that holds Parquet files, or a list of paths")
    found = sorted(folder.rglob("*.parquet"))
    paths = [path for path in found if not any(name[0] in "._" for name in path.relative_to(folder).parts)]
    if not paths:
        raise InputError(f"found no .parquet file in {folder}, expected at least one")
    return paths


def _count(path: Path) -> Counts:
    """The counts of one part."""
    from palaestra.store.formats import read_votes

    if _is_empty(path):
        return Counts((), *np.zeros((3, 0, 0)))
    return count_votes(code_votes(read_votes(path, wanted=_blind)))


def _is_empty(path: Path) -> bool:
    """Whether this is a Parquet file without rows, which writers leave where a partition has none."""
    try:
        return path.suffix == ".parquet" and pq.read_metadata(path).num_rows == 0
    except (OSError, pa.ArrowException):
        return False  # whoever reads it will say what is wrong


def _in_tasks(paths: Sequence[Path]) -> Iterator[Counts]:
    """The counts of each part, in the order of the paths."""
    with ray_session("counting in tasks") as ray:
        try:
            count = ray.remote(_count)
            tasks = deque(count.remote(path) for path in paths)
            while tasks:  # a table that has been taken is kept by nobody
                yield ray.get(tasks.popleft())
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, PalaestraError):
                raise error.cause from error
            raise


def _blind(names: Sequence[str]) -> list[str]:
    """The column that says whether a battle was blind, where there is one."""
    return [name for name in names if name == "anony"]
