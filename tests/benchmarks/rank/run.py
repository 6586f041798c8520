"""The benchmark of `make bench-rank`: who takes how long, who needs how much memory, who is right.

One machine, one run, one contestant at a time. Goals are ratios; `tables.py` computes whether they are met.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import exact
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tables
from contest import Contest, Result
from votes import simulate

FEW = 40_000
"""So many votes have a dense reference with style."""
CHUNK = 1_000_000
OWN = "Palaestra"
ORDER = [
    (OWN, "bt", 7),
    ("arena-rank", "bt", 4),
    ("evalica", "bt-point", 2),
    ("scikit-learn", "bt-sums", 2),
    ("FastChat's method", "bt-point", 2),
    (OWN, "bt", 7),
    (OWN, "style", 5),
    (OWN, "categories", 2),
    ("arena-rank", "style", 3),
    ("arena-rank", "style-matched", 3),
    ("FastChat's method", "style-point", 1),
    ("scikit-learn", "style-point", 1),
    (OWN, "style", 5),
    (OWN, "categories", 2),
    (OWN, "bootstrap", 3),
    ("FastChat's method", "bootstrap", 2),
    (OWN, "bootstrap", 3),
    (OWN, "bootstrap-style", 2),
    ("FastChat's method", "four-style", 1),
    (OWN, "bootstrap-style", 2),
]


def report(votes: int, contest: Contest, *, large: bool) -> str:
    """The whole run as Markdown."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, few = written(folder / "votes.parquet", votes), written(folder / "few.parquet", FEW, seed=1)
        compiling = contest.run(OWN, "style", data, 1, NUMBA_CACHE_DIR=str(folder / "kernels"))
        for task in ("bt", "style", "bootstrap"):  # the kernels are compiled before anything is measured
            contest.run(OWN, task, few, 1)
        results: dict[tuple[str, str], Result] = {}
        for who, task, repeats in ORDER:
            found = contest.run(who, task, data, repeats)
            results[who, task] = results[who, task].and_again(found) if (who, task) in results else found
        parts = [
            tables.contestants(results, compiling),
            tables.goals(results),
            tables.agreement(compared(results, contest, data, few)),
            tables.linearity(sizes(votes, contest, folder, large=large)),
        ]
    return "\n".join([*tables.head(votes, load), *(line for part in parts for line in part)]).rstrip() + "\n"


def written(path: Path, votes: int, seed: int = 0) -> Path:
    """So many simulated votes in a file, made in chunks."""
    writer = None
    for chunk, start in enumerate(range(0, votes, CHUNK)):
        part = pa.Table.from_pandas(simulate(min(CHUNK, votes - start), seed=1000 * seed + chunk), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()
    return path


def compared(
    results: dict[tuple[str, str], Result], contest: Contest, data: Path, few: Path
) -> list[tuple[str, Result, dict, bool]]:
    """What stands in the table of agreement."""
    print("  references", file=sys.stderr, flush=True)
    plain = {"lines": exact.plain(pd.read_parquet(data))}
    styled = exact.styled(pd.read_parquet(few))
    unpenalised = results[OWN, "style"].said
    return [
        (f"{OWN}, Bradley-Terry, all votes", results[OWN, "bt"], plain, True),
        (f"{OWN}, style, {FEW:,} votes", contest.run(OWN, "style", few, 1), styled, True),
        ("arena-rank, Bradley-Terry", results["arena-rank", "bt"], plain, False),
        ("FastChat's method, Bradley-Terry", results["FastChat's method", "bt-point"], plain, False),
        ("arena-rank, style, from ours", results["arena-rank", "style"], unpenalised, False),
        (
            "arena-rank, style, penalty and pair weights removed, from ours",
            results["arena-rank", "style-matched"],
            unpenalised,
            False,
        ),
        ("FastChat's method, style, from ours", results["FastChat's method", "style-point"], unpenalised, False),
    ]


def sizes(votes: int, contest: Contest, folder: Path, *, large: bool) -> list[tuple[int, Result, Result]]:
    """A tenth of the votes, all, and ten times as many."""
    rows = []
    for size in (votes // 10, votes, *([10 * votes] if large else [])):
        path = written(folder / f"{size}.parquet", size)
        rows.append((size, contest.run(OWN, "bt", path, 3), contest.run(OWN, "style", path, 3)))
        path.unlink()
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=2_000_000)
    parser.add_argument("--peer-python", type=Path, default=Path(".venv-peers/bin/python"), help="where arena-rank is")
    parser.add_argument("--timeout", type=float, default=240, help="seconds that a contestant may take")
    parser.add_argument("--no-20m", action="store_true", help="leave out ten times as many votes")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    text = report(chosen.votes, Contest(str(chosen.peer_python.absolute()), chosen.timeout), large=not chosen.no_20m)
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text)


if __name__ == "__main__":
    main()
