"""Teachers on Ray: each actor holds the folders that it can keep, and scores the rows that are sent to it.

For teachers that are too large for the student's machine, or so many that a cluster should share them. Without a
cluster Ray runs on this machine, on the loopback interface. Not here: teachers in this process (`teachers.py`).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from palaestra.learn.backbone import Dtype, libraries
from palaestra.posttrain.teachers import Folders, Row, Teacher, Told
from palaestra.store.ray_session import ray_session


class _Holder:
    """What lives in an actor: some of the teachers."""

    def __init__(self, folders: Mapping[str, str], student: str, top: int | None, dtype: Dtype) -> None:
        self._teachers = Folders(folders, student, top=top, dtype=dtype)

    def told(self, name: str, rows: Sequence[Row]) -> tuple[Any, ...]:
        """Arrays, which travel between processes as they are."""
        said = self._teachers[name](rows)
        return tuple(
            None if part is None else part.cpu().numpy() for part in (said.logprob_NK, said.token_NK, said.rest_N)
        )


class Actors:
    """Teachers by name, each in one of the actors."""

    def __init__(self, ray: Any, holders: Mapping[str, Any]) -> None:  # noqa: ANN401 - a module
        self._ray, self._holders = ray, holders

    def __getitem__(self, name: str) -> Teacher:
        """The teacher of this name."""
        return lambda rows: self._told(name, rows)

    def _told(self, name: str, rows: Sequence[Row]) -> Told:
        torch, _ = libraries()
        parts = self._ray.get(self._holders[name].told.remote(name, list(rows)))
        return Told(*(None if part is None else torch.from_numpy(np.array(part)) for part in parts))


@contextmanager
def teachers_on_ray(
    folders: Mapping[str, str],
    student: str,
    *,
    actors: int,
    top: int | None = None,
    dtype: Dtype = "auto",
    cpus: float = 1,
    gpus: float = 0,
) -> Generator[Actors]:
    """Teachers in actors of Ray, while the block lasts.

    Args:
        folders: of each teacher, which every node can read.
        student: the student's model.
        actors: how many; teachers are dealt among them.
        top: the k likeliest tokens are told; all if left out.
        dtype: of a teacher's weights and passes.
        cpus: processors of one actor.
        gpus: GPUs of one actor.

    Raises:
        InputError: a teacher cannot teach this student.
        MissingPartError: the extra `ray` is not installed.
    """
    Folders(folders, student, top=top, dtype=dtype)  # what is wrong with a folder is said here, and at once
    with ray_session("teachers in actors") as ray:
        names = sorted(folders)
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus)(_Holder)
        holders: dict[str, Any] = {}
        for number in range(min(actors, len(names))):
            dealt = names[number::actors]
            holder = remote.remote({name: folders[name] for name in dealt}, student, top, dtype)
            holders |= dict.fromkeys(dealt, holder)
        yield Actors(ray, holders)
