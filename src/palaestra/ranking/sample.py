"""What a fit sees: votes, weighed, counted, and laid out in rows with their covariates and clusters.

Where votes of a pair and outcome cannot be told apart (no covariates, no clusters, weights that depend on the pair
alone) rows are sums, and the cost of a fit does not depend on the number of votes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numba import njit
from numpy.typing import NDArray

from palaestra.errors import InputError
from palaestra.ranking.config import FitConfig
from palaestra.ranking.counts import Counts, count_votes, tables_by_outcome
from palaestra.ranking.covariates import Design, covariates
from palaestra.ranking.style import StyleDefinition
from palaestra.ranking.votes import Votes
from palaestra.ranking.weights import weigh
from palaestra.stats.parts import on_threads, ranges
from palaestra.stats.rows import Rows, compact, sorted_rows, table_rows

Floats = NDArray[np.float64]

CLUSTERS = {"voter": ("voter",), "session": ("evaluation_session_id",), "prompt": ("question_id", "prompt")}


@dataclass(frozen=True, slots=True)
class Sample:
    """The votes of one fit.

    `counts` are votes, `rows` what enters the likelihood. Covariates in `rows` are divided by their root mean square,
    `scale_F`. `cluster_B` numbers the clusters of rows, None where votes are independent. `print_2` is a fingerprint of
    the rows.
    """

    counts: Counts
    rows: Rows
    effects: tuple[str, ...] = ()
    scale_F: Floats = field(default_factory=lambda: np.zeros(0))
    cluster_B: NDArray[np.int32] | None = None
    notes: tuple[str, ...] = ()
    kept_B: NDArray[np.bool_] | None = None
    print_2: NDArray[np.uint64] | None = None

    def frame(self, votes: Votes) -> pl.DataFrame:
        """The rows of the votes that the sample has kept, in the order to which `rows.source_B` refers."""
        return votes.frame if self.kept_B is None else votes.of(self.kept_B).frame

    @property
    def clusters_M(self) -> NDArray[np.int64] | None:
        """How many clusters the votes of each model come from."""
        if self.cluster_B is None:
            return None
        pair_B = np.repeat(np.arange(len(self.rows.first_P)), np.diff(self.rows.start_P))
        size = len(self.counts.names)
        key_B = self.cluster_B.astype(np.int64) * size
        both = np.concatenate([key_B + self.rows.first_P[pair_B], key_B + self.rows.second_P[pair_B]])
        return np.bincount(np.unique(both) % size, minlength=size)

    def sha256(self) -> str:
        """A hash of what the fit saw: the same in any order of the votes and of their sides."""
        if self.print_2 is None:
            return self.counts.sha256()
        digest = hashlib.sha256(self.counts.sha256().encode())
        digest.update(self.print_2.astype("<u8").tobytes() + "\n".join(self.effects).encode())
        return digest.hexdigest()


def sample_of(votes: Votes, config: FitConfig, *, single: bool = False) -> Sample:
    """Lay out the votes for a fit with some settings.

    Args:
        votes: the votes.
        config: the settings.
        single: one row a vote, even where votes cannot be told apart.

    Raises:
        InputError: a column is missing or does not serve.
    """
    weighted = weigh(votes, config)
    notes = weighted.notes
    if votes.not_blind:
        notes = (f"{votes.not_blind} rows of battles that were not blind (anony) are left out.", *notes)
    if weighted.keep_B is not None:
        votes = votes.of(weighted.keep_B)
    counts = count_votes(votes)
    plain = not (config.style or config.covariates or config.cluster or single)
    if plain and (weighted.weight_B is None or not (config.inverse_propensity or config.half_life_days)):
        return Sample(counts, _summed(votes, counts, weighted.weight_B), notes=notes, kept_B=weighted.keep_B)
    definition = StyleDefinition(config.style_definition)
    frame = votes.others if votes.others.columns and not config.covariates else votes.frame
    design = covariates(frame, style=config.style, others=config.covariates, definition=definition)
    weight_B = votes.count_B if weighted.weight_B is None else votes.count_B * weighted.weight_B
    square_B = weight_B if weighted.weight_B is None else weight_B * weighted.weight_B
    scale_F, print_2 = _looked_over(votes, weight_B, design)
    rows = sorted_rows(
        len(votes.names),
        votes.first_B,
        votes.second_B,
        votes.outcome_B,
        weight_B=weight_B,
        square_B=square_B,
        x_FB=design.x_FB,
        scale_F=scale_F,
    )
    clusters_B = None if config.cluster is None else cluster_codes(votes.frame, config.cluster)[rows.source_B]
    return Sample(counts, rows, design.names, scale_F, clusters_B, notes, weighted.keep_B, print_2)


def _looked_over(votes: Votes, weight_B: Floats, design: Design) -> tuple[Floats, NDArray[np.uint64]]:
    """The root mean square of each covariate, and a fingerprint of the votes that does not depend on their order."""
    x_BF = np.ascontiguousarray(design.x_FB.T)
    unit_F = np.ldexp(1.0, -np.frexp(design.most_F)[1].clip(-1000, 1000))  # or doubles might not hold the squares
    axes, sides = tuple(range(len(unit_F))), (votes.first_B, votes.second_B, votes.outcome_B)
    coded = (axes, *sides, compact(weight_B), x_BF, unit_F, len(votes.names))

    def part(both: tuple[int, int]) -> tuple[Floats, NDArray[np.uint64]]:
        square_F, print_2 = np.zeros(len(unit_F)), np.zeros(2, dtype=np.uint64)
        _look_over(*coded, *both, square_F, print_2)
        return square_F, print_2

    done = on_threads(part, ranges(len(votes)))
    square_F, print_2 = (np.sum(parts, axis=0) for parts in zip(*done, strict=True))
    return np.sqrt(square_F / weight_B.sum()) / unit_F, print_2


def _summed(votes: Votes, counts: Counts, weight_B: Floats | None) -> Rows:
    if weight_B is None:
        return table_rows(counts.by_outcome_OMM)
    weighed_B = votes.count_B * weight_B
    return table_rows(tables_by_outcome(votes, weighed_B), tables_by_outcome(votes, weighed_B * weight_B))


def cluster_codes(frame: pl.DataFrame, cluster: str) -> NDArray[np.int32]:
    """The number of the cluster of each vote, from zero; a vote without one is a cluster of its own.

    Raises:
        InputError: there is no such column, or all votes are of one cluster.
    """
    known = CLUSTERS.get(cluster, (cluster,))
    found = [name for name in known if name in frame.columns]
    if not found:
        raise InputError(f"cluster {cluster} needs the column {' or '.join(known)}; found {', '.join(frame.columns)}")
    labels = frame[found[0]]
    labels = labels if labels.dtype.is_integer() or labels.dtype == pl.Enum else labels.cast(pl.String)
    own = -1 - pl.int_range(pl.len())
    hashed = (pl.col("label").hash() & 0x7FFF_FFFF_FFFF_FFFF).cast(pl.Int64)
    codes = pl.DataFrame({"label": labels}).select(code=pl.when(pl.col("label").is_null()).then(own).otherwise(hashed))
    codes = codes["code"]
    if codes.n_unique() < 2:  # noqa: PLR2004 - the sandwich needs more than one
        raise InputError(f"cluster {cluster}: all votes have one {found[0]}, expected at least two")
    return codes.rank("dense").cast(pl.Int32).to_numpy() - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _look_over(
    axes: Any, first_B: Any, second_B: Any, outcome_B: Any, weight_B: Any, x_BF: Any, unit_F: Any, models: int,
    low: int, high: int, square_F: Any, print_2: Any,
) -> None:  # fmt: skip
    """Sums of squares, and of two hashes of each vote, turned so that the first model comes first; -0.0 is 0.0."""
    for r in range(low, high):
        i, j, outcome = np.int64(first_B[r]), np.int64(second_B[r]), np.int64(outcome_B[r])
        turned, w = i > j, weight_B[r] if len(weight_B) > 1 else weight_B[0]
        if turned:
            i, j, outcome = j, i, outcome if outcome > 1 else 1 - outcome
        z = np.uint64((i * models + j) * 8 + outcome) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ np.float64(w).view(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
        for f in range(len(axes)):
            x = x_BF[r, f]
            square_F[f] += w * (x * unit_F[f]) * (x * unit_F[f])
            x = (-x if turned else x) + 0.0
            z = (z ^ (z >> np.uint64(29)) ^ np.float64(x).view(np.uint64)) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        print_2[0] += z
        print_2[1] += z * z
