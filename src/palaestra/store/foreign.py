"""Other tools' votes, recognised by their columns and given ours.

    evalica          left, right, winner = left | right | draw
    lmarena-55k      winner_model_a, winner_model_b, winner_tie, one of them 1
    alpaca-eval      generator_1, generator_2, preference: 1 or 2, 1.5 a tie; what lies between, (2 - p) of a vote for 1 and
                     (p - 1) of one for 2
    arena-hard       question_id, model, judge, games: two verdicts; in the first the baseline is A, in the second B
    verdicts         question_id, model, game1, game2: the same as a table

Verdicts are A>>B, A>B, A=B, B>A, B>>A; a question of which a verdict is missing is left out whole, as its authors do, and
counted. Each gives a vote with the columns `question_id`, `game` and `strength` (strong, weak, tie), weight one.

FastChat's battle files and the releases of 33k, 100k and 140k battles have our columns already. An outcome that none of
these knows is an error, never a tie.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from palaestra.errors import VoteFileError

_VERDICTS = {
    "A>>B": ("a", "strong"),
    "A>B": ("a", "weak"),
    "A=B": ("tie", "tie"),
    "B=A": ("tie", "tie"),
    "B>A": ("b", "weak"),
    "B>>A": ("b", "strong"),
}


def in_our_columns(
    frame: pl.DataFrame, *, source: str, baseline: str | None
) -> tuple[pl.DataFrame, str, tuple[str, ...]]:
    """The frame with our columns, the name of its format, and what was left out, in words.

    Args:
        frame: as it was read.
        source: what messages call it.
        baseline: the model against which verdicts were given, where the file does not name it.

    Raises:
        VoteFileError: a row of a foreign format cannot be read, or the baseline is not known.
    """
    columns = set(frame.columns)
    if {"model_a", "model_b", "winner"} <= columns:
        return frame, "palaestra", ()
    readers: list[
        tuple[str, set[str], Callable[[pl.DataFrame, str, str | None], tuple[pl.DataFrame, tuple[str, ...]]]]
    ] = [
        ("evalica", {"left", "right", "winner"}, _evalica),
        ("lmarena-55k", {"model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"}, _one_hot),
        ("alpaca-eval", {"generator_1", "generator_2", "preference"}, _alpaca_eval),
        ("arena-hard", {"question_id", "model", "games"}, _arena_hard),
        ("verdicts", {"question_id", "model", "game1", "game2"}, _verdicts),
    ]
    for name, needed, read in readers:
        if needed <= columns:
            found, notes = read(frame, source, baseline)
            return found, name, notes
    return frame, "palaestra", ()


def _evalica(frame: pl.DataFrame, source: str, _: str | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    outcomes = {"left": "model_a", "right": "model_b", "draw": "tie", "tie": "tie", "x": "model_a", "y": "model_b"}
    said = frame["winner"].cast(pl.String)
    _refuse(source, "winner", said, ~said.str.to_lowercase().is_in(list(outcomes)), "left, right, draw or tie")
    winner = said.str.to_lowercase().replace(outcomes)
    return frame.rename({"left": "model_a", "right": "model_b"}).with_columns(winner.alias("winner")), ()


def _one_hot(frame: pl.DataFrame, source: str, _: str | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    names = {"winner_model_a": "model_a", "winner_model_b": "model_b", "winner_tie": "tie"}
    hot = frame.select(pl.col(*names).cast(pl.Int64, strict=False).fill_null(0))
    _refuse(
        source, "winner_model_a", hot["winner_model_a"], hot.sum_horizontal() != 1, "a 1 in one of " + ", ".join(names)
    )
    winner = pl.coalesce(pl.when(pl.col(name) == 1).then(pl.lit(outcome)) for name, outcome in names.items())
    return frame.drop(*names).with_columns(hot.select(winner=winner)["winner"]), ()


def _alpaca_eval(frame: pl.DataFrame, source: str, _: str | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    preferred = frame["preference"].cast(pl.Float64, strict=False)
    _refuse(source, "preference", frame["preference"], ~preferred.is_between(1, 2), "a number from 1 to 2")
    renames = {
        "generator_1": "model_a",
        "generator_2": "model_b",
        "annotator": "voter",
        "instruction_id": "question_id",
    }
    renames = {old: new for old, new in renames.items() if old in frame.columns and new not in frame.columns}
    frame = frame.rename(renames).with_columns(preference=preferred)
    p = pl.col("preference")
    outcome = (
        pl.when(p == 1).then(pl.lit("model_a")).when(p == 2).then(pl.lit("model_b")).when(p == 1.5).then(pl.lit("tie"))
    )  # noqa: PLR2004
    frame = frame.with_columns(winner=outcome, weight=pl.lit(1.0))
    between = frame.filter(pl.col("winner").is_null())
    if between.is_empty():
        return frame, ()
    shares = [("model_a", 2 - p), ("model_b", p - 1)]
    parts = [between.with_columns(winner=pl.lit(winner), weight=weight) for winner, weight in shares]
    return pl.concat([frame.filter(pl.col("winner").is_not_null()), *parts]), ()


def _arena_hard(frame: pl.DataFrame, source: str, baseline: str | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    games = frame["games"]
    if not isinstance(games.dtype, pl.List) or not isinstance(games.dtype.inner, pl.Struct):
        raise VoteFileError(
            f"{source}: column games: found values of type {games.dtype}, expected lists of games with a score"
        )
    _refuse(source, "games", games.list.len(), games.list.len() != 2, "two games")  # noqa: PLR2004 - both orders
    scores = [games.list.get(game).struct.field("score").alias(f"game{game + 1}") for game in range(2)]
    return _verdicts(frame.drop("games").with_columns(*scores), source, baseline)


def _verdicts(frame: pl.DataFrame, source: str, baseline: str | None) -> tuple[pl.DataFrame, tuple[str, ...]]:
    if "baseline" not in frame.columns:
        if baseline is None:
            raise VoteFileError(
                f"{source}: these verdicts do not name their baseline; give it, e.g. --baseline gpt-4-0314"
            )
        frame = frame.with_columns(baseline=pl.lit(baseline))
    both = frame.select(pl.col("game1", "game2").cast(pl.String).str.to_uppercase().str.strip_chars("[] "))
    for game in ("game1", "game2"):
        wrong = both[game].is_not_null() & ~both[game].is_in(list(_VERDICTS)) & (both[game] != "")
        _refuse(source, game, frame[game], wrong, ", ".join(_VERDICTS) + ", or nothing")
    whole = both.select(pl.all_horizontal(pl.all().is_in(list(_VERDICTS)).fill_null(value=False))).to_series()
    frame, both = frame.filter(whole), both.filter(whole)
    rest = frame.drop("game1", "game2")
    if "judge" in rest.columns:
        rest = rest.rename({"judge": "voter"})
    parts = []
    for game, (a, b) in {1: ("baseline", "model"), 2: ("model", "baseline")}.items():
        label = both[f"game{game}"]
        winner = label.replace_strict(
            {key: {"a": "model_a", "b": "model_b"}.get(side, side) for key, (side, _) in _VERDICTS.items()}
        )
        strength = label.replace_strict({key: strength for key, (_, strength) in _VERDICTS.items()})
        sides = (rest[a].alias("model_a"), rest[b].alias("model_b"), winner.alias("winner"), strength.alias("strength"))
        parts.append(rest.drop("model", "baseline").with_columns(*sides, pl.lit(game).alias("game")))
    lost = int((~whole).sum())
    notes = (f"{source}: {lost} questions without two verdicts are left out",) if lost else ()
    return pl.concat(parts), notes


def _refuse(source: str, column: str, values: pl.Series, wrong: pl.Series, expected: str) -> None:
    """Refuse the first row in which something is wrong."""
    wrong = wrong.fill_null(value=True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        more = f" ({wrong.sum()} rows are malformed)" if wrong.sum() > 1 else ""
        raise VoteFileError(
            f"{source}: row {row + 1}, column {column}: found {values[row]!r}, expected {expected}{more}"
        )
