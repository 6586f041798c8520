"""Votes counted in shards are the votes counted at once: to the last bit, in any cut, one after another or with Ray."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import davidson_votes

from palaestra.errors import InputError, MissingPartError, VoteFileError
from palaestra.ranking import fit, fit_counts
from palaestra.ranking.counts import Counts, count_votes
from palaestra.ranking.shards import count_shards
from palaestra.store.formats import check_votes, write_votes

OUTCOMES = ["model_a", "model_b", "tie", "both_bad"]
rows_of_votes = st.lists(
    st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEF"), st.sampled_from(OUTCOMES), st.integers(0, 10**9))
    .filter(lambda row: row[0] != row[1]),
    min_size=1,
    max_size=40,
)  # fmt: skip


def world(votes: int = 20_000, models: int = 12) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    frame = davidson_votes(rng.normal(0, 0.8, models), votes, rng)
    return frame.with_columns(weight=pl.Series(rng.integers(1, 5, votes)))


def partitioned(frame: pl.DataFrame, folder: Path) -> Path:
    """Parts as writers leave them: in folders, as text and as codes, one of them empty; beside them what is none."""
    for number, part in enumerate(frame.iter_slices(1 + len(frame) // 6)):
        below = folder / f"day={number % 2}"
        below.mkdir(parents=True, exist_ok=True)
        if number % 3:
            part.write_parquet(below / f"part-{number}.parquet")
        else:
            write_votes(check_votes(part).frame, below / f"part-{number}.parquet")
    frame.clear().write_parquet(folder / "day=0" / "part-9.parquet")
    (folder / "_temporary").mkdir()
    for no_part in ("_temporary/part-0.parquet", "day=1/.part-1.parquet"):
        frame.write_parquet(folder / no_part)
    return folder


@settings(max_examples=100, deadline=None)
@given(rows_of_votes, st.lists(st.integers(0, 40), max_size=5), st.randoms(use_true_random=False))
def test_tables_of_any_cut_add_up_in_any_order(rows: list[tuple], cuts: list[int], order: Random) -> None:
    frame = pl.DataFrame(rows, schema=["model_a", "model_b", "winner", "weight"], orient="row")
    edges = sorted({0, len(frame), *(min(cut, len(frame)) for cut in cuts)})
    parts = [count_votes(frame[low:high]) for low, high in pairwise(edges)]
    order.shuffle(parts)
    assert reduce(Counts.plus, parts) == count_votes(frame)


def test_a_folder_of_parts_gives_the_board_of_all_votes(tmp_path: Path) -> None:
    frame = world()
    counts = count_shards(partitioned(frame, tmp_path / "votes"))
    assert counts == count_votes(frame)
    assert fit_counts(counts) == fit(frame)


def test_parts_of_several_formats_with_models_of_their_own(tmp_path: Path) -> None:
    frame = world(models=6)
    parts = [frame.filter(pl.col("model_a") == name) for name in frame["model_a"].unique().sort()]
    paths = [tmp_path / f"{number}{('.csv', '.jsonl', '.parquet')[number % 3]}" for number in range(len(parts))]
    for part, path in zip(parts, paths, strict=True):
        write_votes(part, path)
    assert count_shards(paths) == count_votes(frame)
    assert count_shards([str(path) for path in reversed(paths)]) == count_votes(frame)


def test_what_is_no_set_of_parts_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no paths"):
        count_shards([])
    with pytest.raises(InputError, match=r"found no \.parquet file in"):
        count_shards(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        count_shards(tmp_path / "nowhere")
    world(10).clear().write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(VoteFileError, match="found no votes in 1 parts"):
        count_shards(tmp_path)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(VoteFileError, match=r"torn\.parquet"):
        count_shards(tmp_path)


def test_without_ray_the_command_that_helps_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    world(10).write_parquet(tmp_path / "part.parquet")
    with pytest.raises(MissingPartError, match=r"pip install 'palaestra\[ray\]'"):
        count_shards(tmp_path, ray=True)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at Linux's list of sockets")
def test_ray_counts_the_same_on_loopback_alone_and_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = partitioned(world(), tmp_path / "votes")
    before, during = listening(), set()
    plus = Counts.plus

    def watched(mine: Counts, other: Counts) -> Counts:
        during.update(listening())
        return plus(mine, other)

    monkeypatch.setattr(Counts, "plus", watched)
    assert count_shards(folder, ray=True) == count_shards(folder)
    opened = {address for address, _ in during - before}
    assert opened
    assert all(address.endswith(LOOPBACK) for address in opened)
    import ray

    assert not ray.is_initialized()


LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1, also within an IPv6 address, and ::1, as Linux writes them."""


def listening() -> set[tuple[str, ...]]:
    """Address and port of every socket on this machine that waits for connections."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {tuple(line[1].split(":", 1)) for line in lines if line[3] == "0A"}


@pytest.fixture
def ray_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


def test_a_ray_that_runs_is_used_and_left_running(tmp_path: Path, ray_of_the_caller: None) -> None:
    import ray

    frame = world(300)
    for number, part in enumerate(frame.iter_slices(100)):
        part.write_parquet(tmp_path / f"{number}.parquet")
    assert count_shards(tmp_path, ray=True) == count_votes(frame)
    wrong = frame[:100].with_columns(
        winner=pl.when(pl.int_range(pl.len()) == 76).then(pl.lit("won")).otherwise("winner")
    )
    wrong.write_parquet(tmp_path / "1.parquet")
    with pytest.raises(VoteFileError, match=r"1\.parquet: row 77, column winner: found 'won'") as alone:
        count_shards(tmp_path)
    with pytest.raises(VoteFileError) as in_a_task:
        count_shards(tmp_path, ray=True)
    assert str(in_a_task.value) == str(alone.value)
    assert ray.is_initialized()
