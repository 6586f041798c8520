"""Which models the votes connect, and what is done where a maximum does not exist.

The maximum likelihood is finite if and only if every model can be reached from every other through wins (a tie links
both ways): the graph of wins must be strongly connected (Ford, 1957). A model that has only won has an infinite rating.
Known tools print a huge number there, or hide it behind a penalty on all models. Here:

- Models that votes do not connect at all fall into *parts*, which are not compared.
- The largest strongly connected set of at least two models in a part is its *core*; of two as large, the one with more
  votes. If neither decides, there is no core: names and their order must not. Between core models nothing is added.
- Each model outside the core is given one virtual tie, half a win and half a loss spread over those that it has met, as
  its votes are; two such models share theirs. This is the smallest addition with a plain meaning that makes its rating
  finite: n wins and nothing else become the rating of n wins and one tie. It is no vote about anybody whom the model
  has not met: where all meet one baseline, it moves nobody else. Under the grounded model it is spread over the core.

The grounded model has one more node, the ground: "both bad" is its win over both models, a win or a tie is a win over
it. So all models are one part, and the core is the set that holds the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from palaestra.errors import InputError
from palaestra.ranking.counts import Counts

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Connections:
    """The part of each model, the largest part being 0; who is outside a core; and the virtual ties, (4, M, M)."""

    part_M: Labels
    outside_M: NDArray[np.bool_]
    virtual_OMM: Array

    @property
    def whole(self) -> bool:
        """Whether all models are connected both ways, which more votes cannot undo."""
        return not (self.part_M.any() or self.outside_M.any())

    @property
    def parts(self) -> list[Labels]:
        """The models of each part, the largest part first."""
        return [np.flatnonzero(self.part_M == part) for part in range(int(self.part_M.max(initial=-1)) + 1)]


def connect(counts: Counts, *, grounded: bool = False) -> Connections:
    """How these votes connect their models.

    Args:
        counts: the votes.
        grounded: whether "both bad" is an outcome of its own.

    Raises:
        InputError: grounded, and the votes do not fix where usable answers begin.
    """
    wins_MM = counts.halved_MM
    size = len(wins_MM)
    outside_M = np.ones(size, dtype=bool)
    if grounded:
        part_M = np.zeros(size, dtype=np.int64)
        outside_M[_grounded_core(counts)] = False
    else:
        part_M = np.zeros(size, dtype=np.int64)
        for label, part in enumerate(_sets(wins_MM, "weak")):
            part_M[part] = label
            outside_M[part[_core(wins_MM[np.ix_(part, part)])]] = False
    return Connections(part_M, outside_M, _virtual_ties(counts, outside_M, grounded=grounded))


def _sets(wins_MM: Array, connection: str) -> list[Labels]:
    """The connected sets, the largest first."""
    if not len(wins_MM):
        return []
    beaten_MM = wins_MM > 0
    if _all_from_first(beaten_MM) and _all_from_first(beaten_MM.T):
        return [np.arange(len(wins_MM))]
    count, label_M = connected_components(csr_matrix(beaten_MM), directed=True, connection=connection)
    parts = [np.flatnonzero(label_M == label) for label in range(count)]
    return sorted(parts, key=lambda part: (-len(part), part[0]))


def _all_from_first(beaten_MM: NDArray[np.bool_]) -> bool:
    """Whether every model can be reached from the first; in a dense graph two or three looks tell."""
    reached_M = np.zeros(len(beaten_MM), dtype=bool)
    reached_M[0], new_M = True, np.array([0])
    while len(new_M) and not reached_M.all():
        found_M = beaten_MM[new_M].any(axis=0) & ~reached_M
        reached_M |= found_M
        new_M = np.flatnonzero(found_M)
    return bool(reached_M.all())


def _core(wins_MM: Array) -> Labels:
    """The models of the core; empty where there is none."""
    parts = _sets(wins_MM, "strong")
    sizes = [(len(part), round(float(wins_MM[np.ix_(part, part)].sum()), 6)) for part in parts]
    largest = max(sizes)
    if largest[0] < 2 or sizes.count(largest) > 1:  # noqa: PLR2004 - one model alone is connected with nobody
        return np.array([], dtype=np.int64)
    return parts[sizes.index(largest)]


def _grounded_core(counts: Counts) -> Labels:
    """The models connected both ways with each other and with the ground."""
    size = len(counts.names)
    beaten_MM = np.zeros((size + 1, size + 1))
    beaten_MM[:size, :size] = counts.wins_MM + counts.ties_MM
    beaten_MM[:size, size] = beaten_MM[:size, :size].sum(axis=1)
    beaten_MM[size, :size] = counts.both_bad_MM.sum(axis=1)
    core = next(part for part in _sets(beaten_MM, "strong") if size in part)
    if len(core) < 3:  # noqa: PLR2004 - two models and the ground
        raise InputError(
            "these votes do not tell where usable answers begin: found too few models with usable and bad answers, "
            "expected at least two; use another model of ties, e.g. davidson"
        )
    return core[core < size]


def _virtual_ties(counts: Counts, outside_M: NDArray[np.bool_], *, grounded: bool) -> Array:
    met_MM = np.broadcast_to(~outside_M, counts.met_MM.shape) if grounded else counts.met_MM
    met_MM = np.where(outside_M[:, None], met_MM, 0.0)
    votes_M1 = met_MM.sum(axis=1, keepdims=True)
    share_MM = 0.5 * np.divide(met_MM, votes_M1, out=np.zeros_like(met_MM), where=votes_M1 > 0)
    virtual_OMM = np.zeros((4, *share_MM.shape))
    virtual_OMM[0] = virtual_OMM[1] = np.triu(np.maximum(share_MM, share_MM.T), 1)
    return virtual_OMM
