"""Other tools' votes, recognised by their columns and given ours.

    fastchat, lmarena-33k, -100k, -140k, -expert-5k     have our columns already
    mt-bench      has them too; "tie (inconsistent)", a judge that contradicts itself when the answers are swapped, is a
                  tie, as its authors count it
    lmarena-55k   winner_model_a, winner_model_b, winner_tie, one of them 1
    evalica       left, right, winner = left | right | tie | draw
    rakuda        model1, model2, score = 1 | 2 | 3 for a tie
    alpaca-eval   generator_1, generator_2, preference: 1 or 2, 1.5 (in older files 0) a tie; what lies between is
                  (2 - p) of a vote for 1 and (p - 1) of one for 2; a row without a preference is left out and counted,
                  as its authors do
    arena-hard    model, judge, games: two verdicts; in the first the baseline is A, in the second B
    verdicts      model, game1, game2: the same as a table

Verdicts are A>>B, A>B, A=B, B>A, B>>A, also written A<B and so on. A row of which one is missing is left out whole and
counted, as its authors do. Each of the others gives two votes, with `game` (1, 2) and `strength` (strong, weak, tie).

In the last three a model also meets itself; such rows are left out and counted. An outcome that none of these knows is
a malformed row, never a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from palaestra.errors import VoteFileError
from palaestra.store.checking import Complaint, Rows
from palaestra.store.coding import Mask
from palaestra.store.columns import REQUIRED, Wanted, kept_columns

NAMES = (
    "left",
    "right",
    "generator_1",
    "generator_2",
    "model1",
    "model2",
    "model",
    "baseline",
    "annotator",
    "reviewer",
)
"""Columns that hold names."""

STRENGTHS = {"A>>B": "strong", "A>B": "weak", "A=B": "tie", "B>A": "weak", "B>>A": "strong"}
"""The five labels of Arena-Hard, and how strong each is."""
WINNERS = {"A>>B": "model_a", "A>B": "model_a", "A=B": "tie", "B>A": "model_b", "B>>A": "model_b"}
MIRRORED = {"B<<A": "A>>B", "B<A": "A>B", "B=A": "A=B", "A<B": "B>A", "A<<B": "B>>A"}
"""Other spellings."""
_ORDERS = {1: ("baseline", "model"), 2: ("model", "baseline")}
"""Who is A and who is B in each game."""
_TIE = 1.5


@dataclass(frozen=True, slots=True)
class Translation:
    """Votes in our columns, what is malformed in the source, from which row (from 0) a vote is, what is left out."""

    frame: pl.DataFrame
    complaints: tuple[Complaint, ...] = ()
    row_B: Rows | None = None
    left_out: tuple[str, ...] = ()

    def of(self, kept_B: Mask | None) -> tuple[pl.DataFrame, Rows | None]:
        """The votes that come from some rows of the source (None: from all), and which rows these are."""
        if kept_B is None:
            return self.frame, self.row_B
        row_B = np.arange(len(kept_B)) if self.row_B is None else self.row_B
        return self.frame.filter(pl.Series(kept_B[row_B])), row_B[kept_B[row_B]]


class _Read(NamedTuple):
    """A file's columns under our names, what messages call the file, and the baseline that the caller knows."""

    frame: pl.DataFrame
    source: str
    baseline: str | None


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: the columns that it is known by, those that are renamed, vanish or appear, and how it is read."""

    name: str
    marks: frozenset[str]
    renamed: dict[str, str] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    given: tuple[str, ...] = ()
    read: Callable[[_Read], Translation] | None = None

    def needs(self, source: str, there: Sequence[str], wanted: Wanted | None) -> list[str]:
        """The columns of a file that have to be read for some of ours.

        Raises:
            VoteFileError: one that is wanted is not there.
        """
        ours = {name: self._ours(name, there) for name in there}
        offered = [*dict.fromkeys([*(new for new in ours.values() if new not in self.taken), *self.given])]
        kept = {*kept_columns(source, offered, wanted), *self.taken}
        marks = self.marks if self.read else ()
        return [name for name, new in ours.items() if new in kept or name in marks]

    def translate(self, frame: pl.DataFrame, source: str, baseline: str | None) -> Translation:
        """The votes in our columns.

        Args:
            frame: as it was read.
            source: what messages call it.
            baseline: the model against which verdicts were given, where the file does not name it.

        Raises:
            VoteFileError: a column is of another type, or the baseline is not known.
        """
        if self.read is None:
            return Translation(frame)
        ours = {name: self._ours(name, frame.columns) for name in frame.columns}
        return self.read(_Read(frame.rename(ours), source, baseline))

    def _ours(self, name: str, there: Sequence[str]) -> str:
        new = self.renamed.get(name, name)
        return name if new in there else new


def recognise(there: Sequence[str]) -> Format:
    """Whose file has these columns; ours, if it is nobody else's."""
    return next((known for known in _FORMATS if known.marks <= set(there)), _PLAIN)


def _by_word(column: str, words: dict[str, str]) -> Callable[[_Read], Translation]:
    said = f"found {{!r}}, expected {', '.join(words)}"

    def read(read: _Read) -> Translation:
        found = read.frame[column].cast(pl.String)
        winner = found.replace_strict(words, default=None, return_dtype=pl.String).alias("winner")
        return Translation(read.frame.with_columns(winner), (Complaint(column, said, winner.is_null().to_numpy()),))

    return read


def _mt_bench(read: _Read) -> Translation:
    if read.frame.schema["winner"] != pl.String:
        return Translation(read.frame)
    return Translation(read.frame.with_columns(pl.col("winner").replace("tie (inconsistent)", "tie")))


def _one_hot(read: _Read) -> Translation:
    names = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
    hot = read.frame.select(pl.col(*names).cast(pl.Float64, strict=False) == 1).fill_null(value=False)
    said = f"found {{!r}}, expected a 1 in just one of {', '.join(names)}"
    bad = Complaint("winner_model_a", said, (hot.sum_horizontal() != 1).to_numpy())
    outcome = pl.coalesce(pl.when(pl.col(name)).then(pl.lit(winner)) for name, winner in names.items())
    winner = hot.select(winner=outcome).to_series()
    return Translation(read.frame.drop(*names).with_columns(winner), (bad,))


def _preferences(read: _Read) -> Translation:
    given, p = pl.col("preference"), pl.col("p")
    number = given.cast(pl.Float64, strict=False)
    votes = read.frame.with_row_index("row of the source").with_columns(p=number.fill_nan(None).replace(0.0, _TIE))
    no_number, outside = number.is_null() & given.is_not_null(), ~p.is_between(1, 2)
    bad_B = votes.select((no_number | outside).fill_null(value=False)).to_series()
    shares = [
        ("model_a", 2 - p, (p < 2) & (p != _TIE)),  # noqa: PLR2004 - all of a vote for 2
        ("model_b", p - 1, (p > 1) & (p != _TIE)),
        ("tie", pl.lit(1.0), p == _TIE),
    ]
    parts = [votes.filter(which).with_columns(winner=pl.lit(winner), weight=share) for winner, share, which in shares]
    whole = pl.concat(parts)
    bad = Complaint("preference", "found {!r}, expected a number from 1 to 2", bad_B.to_numpy())
    lost = int((votes["p"].is_null() & ~bad_B).sum())
    row_B = whole["row of the source"].to_numpy().astype(np.int64)
    return _of_two(read.source, whole.drop("row of the source", "p"), (bad,), row_B, {"without a preference": lost})


def _games(read: _Read) -> Translation:
    games = read.frame["games"]
    inner = games.dtype.inner if isinstance(games.dtype, pl.List) else None
    if not isinstance(inner, pl.Struct) or "score" not in {part.name for part in inner.fields}:
        raise VoteFileError(
            f"{read.source}: column games: found values of type {games.dtype}, expected lists of two games with a score"
        )
    number = games.list.len()
    other_B = (number != len(_ORDERS)).fill_null(value=True).to_numpy()
    scores = [
        games.list.get(game, null_on_oob=True).struct.field("score").alias(f"game{game + 1}")
        for game in range(len(_ORDERS))
    ]
    verdicts = _verdicts(read._replace(frame=read.frame.drop("games").with_columns(scores)))
    many = Complaint("games", "found {} games, expected two", other_B, number)
    bad = (
        Complaint("games", one.said, one.bad_B, score) for one, score in zip(verdicts.complaints, scores, strict=True)
    )
    return Translation(verdicts.frame, (many, *bad), verdicts.row_B, verdicts.left_out)


def _verdicts(read: _Read) -> Translation:
    frame = read.frame
    if "baseline" not in frame.columns:
        if read.baseline is None:
            raise VoteFileError(f"{read.source}: these verdicts do not name their baseline; give it: --baseline NAME")
        frame = frame.with_columns(baseline=pl.lit(read.baseline))
    spelled = pl.col("game1", "game2").cast(pl.String).str.to_uppercase().str.strip_chars(" \n[]").replace(MIRRORED)
    labels = frame.select(spelled)
    known = labels.select(pl.all().is_in(list(STRENGTHS)).fill_null(value=False))
    absent = labels.select((pl.all() == "").fill_null(value=True))
    said = f"found {{!r}}, expected {', '.join(STRENGTHS)}, or nothing"
    complaints = tuple(Complaint(game, said, ~(known[game] | absent[game]).to_numpy()) for game in labels.columns)
    whole = known["game1"] & known["game2"]
    rest = frame.filter(whole).drop("game1", "game2", "model", "baseline")
    parts = []
    for game, (a, b) in _ORDERS.items():
        label = labels[f"game{game}"].filter(whole)
        columns = [
            frame[a].filter(whole).alias("model_a"),
            frame[b].filter(whole).alias("model_b"),
            label.replace_strict(WINNERS, return_dtype=pl.String).alias("winner"),
            label.replace_strict(STRENGTHS, return_dtype=pl.String).alias("strength"),
        ]
        parts.append(rest.with_columns(*columns, pl.lit(game).alias("game")))
    lost = int((absent["game1"] | absent["game2"]).sum())
    row_B = np.tile(np.flatnonzero(whole), len(_ORDERS))
    return _of_two(read.source, pl.concat(parts), complaints, row_B, {"without two verdicts": lost})


def _of_two(
    source: str, votes: pl.DataFrame, complaints: tuple[Complaint, ...], row_B: Rows, lost: dict[str, int]
) -> Translation:
    """Votes between two models, in the order of the file: here the baseline also meets itself, which says nothing."""
    same_B = votes.select((pl.col("model_a") == pl.col("model_b")).fill_null(value=False)).to_series().to_numpy()
    lost = lost | {"of a model against itself": len(np.unique(row_B[same_B]))}
    left_out = tuple(f"{source}: {number} rows {which}" for which, number in lost.items() if number)
    order_B = np.argsort(row_B, kind="stable")
    order_B = order_B[~same_B[order_B]]
    return Translation(votes[order_B], complaints, row_B[order_B], left_out)


_OURS = frozenset(REQUIRED)
_JUDGED = {"judge": "voter", "uid": "question_id"}
_PLAIN = Format("palaestra", frozenset())
_FORMATS = (
    Format("lmarena-33k", _OURS | {"question_id", "judge", "anony", "toxic_chat_tag"}),
    Format("lmarena-100k", _OURS | {"judge_hash", "dedup_tag", "conv_metadata"}),
    Format("lmarena-140k", _OURS | {"evaluation_order", "full_conversation", "conv_metadata"}),
    Format("lmarena-expert-5k", _OURS | {"evaluation_order", "occupational_tags"}),
    Format("fastchat", _OURS | {"question_id", "judge", "anony"}),
    Format("mt-bench", _OURS | {"question_id", "judge", "turn"}, read=_mt_bench),
    Format(
        "lmarena-55k",
        frozenset({"model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"}),
        taken=frozenset({"winner_model_a", "winner_model_b", "winner_tie"}),
        given=("winner",),
        read=_one_hot,
    ),
    Format(
        "evalica",
        frozenset({"left", "right", "winner"}),
        renamed={"left": "model_a", "right": "model_b", "worker": "voter"},
        read=_by_word("winner", {"left": "model_a", "right": "model_b", "tie": "tie", "draw": "tie"}),
    ),
    Format(
        "rakuda",
        frozenset({"model1", "model2", "score"}),
        renamed={"model1": "model_a", "model2": "model_b", "reviewer": "voter"},
        given=("winner",),
        read=_by_word("score", {"1": "model_a", "2": "model_b", "3": "tie"}),
    ),
    Format(
        "alpaca-eval",
        frozenset({"generator_1", "generator_2", "preference"}),
        renamed={
            "generator_1": "model_a",
            "generator_2": "model_b",
            "annotator": "voter",
            "instruction_id": "question_id",
        },
        given=("winner", "weight"),
        read=_preferences,
    ),
    Format(
        "arena-hard",
        frozenset({"model", "games"}),
        renamed=_JUDGED,
        taken=frozenset({"model", "games", "baseline"}),
        given=("model_a", "model_b", "winner", "game", "strength"),
        read=_games,
    ),
    Format(
        "verdicts",
        frozenset({"model", "game1", "game2"}),
        renamed=_JUDGED,
        taken=frozenset({"model", "game1", "game2", "baseline"}),
        given=("model_a", "model_b", "winner", "game", "strength"),
        read=_verdicts,
    ),
)
