"""Votes read out of the ledger: as a frame with the columns of a vote file, and as Battle records with their texts.

The side of the preferred answer is looked up here, which is the only place where an answer id becomes `model_a`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from palaestra.errors import DatabaseError
from palaestra.schema import Battle, Message
from palaestra.store import database
from palaestra.store.entries import SIDES
from palaestra.store.metadata import answers, battles, turns, votes

VOTE_COLUMNS: dict[str, pl.DataType] = {
    "id": pl.Int64(),
    "evaluation_session_id": pl.String(),
    "model_a": pl.String(),
    "model_b": pl.String(),
    "winner": pl.String(),
    "voter": pl.String(),
    "tstamp": pl.Datetime("us", "UTC"),
    "turn": pl.Int64(),
    "propensity": pl.Float64(),
}

_WINNER = sa.case((answers.c.side == "a", "model_a"), (answers.c.side == "b", "model_b"), else_=votes.c.verdict).label(
    "winner"
)

_VOTES = sa.select(
    votes.c.id,
    votes.c.battle.label("evaluation_session_id"),
    battles.c.model_a,
    battles.c.model_b,
    _WINNER,
    votes.c.voter,
    votes.c.created.label("tstamp"),
    turns.c.position.label("turn"),
    battles.c.propensity,
).select_from(
    votes.join(battles, votes.c.battle == battles.c.id)
    .join(turns, votes.c.turn == turns.c.id)
    .outerjoin(answers, votes.c.preferred == answers.c.id)
)


def vote_frame(source: str | sa.Engine, *, after: int = 0) -> pl.DataFrame:
    """The votes with an id above `after`, in the order in which they were given; columns as in `VOTE_COLUMNS`.

    Args:
        source: a database URL, or an open engine.
        after: the id of the last vote that the caller has already.

    Raises:
        DatabaseError: there is no such database, or it holds no ledger.
    """
    engine = database.open_engine(source) if isinstance(source, str) else source
    try:
        with engine.connect() as connection:
            rows = connection.execute(_VOTES.where(votes.c.id > after).order_by(votes.c.id)).all()
    except DBAPIError as error:
        raise _not_a_ledger(error, engine) from error
    finally:
        if isinstance(source, str):
            engine.dispose()
    frame = pl.DataFrame(rows, schema=VOTE_COLUMNS | {"tstamp": pl.Float64()}, orient="row")
    microseconds = (pl.col("tstamp") * 1e6).round().cast(pl.Int64)
    return frame.with_columns(microseconds.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("tstamp"))


def battle_records(engine: sa.Engine) -> Iterator[Battle]:
    """Every voted battle with both conversations up to the vote, in the order of the votes.

    Raises:
        DatabaseError: the database holds no ledger.
    """
    texts = (
        sa.select(turns.c.prompt, answers.c.side, answers.c.text)
        .join(answers, answers.c.turn == turns.c.id)
        .order_by(turns.c.position)
    )
    with engine.connect() as connection:
        for vote in vote_frame(engine).iter_rows(named=True):
            seen = (
                turns.c.battle == vote["evaluation_session_id"],
                sa.not_(turns.c.replaced),
                turns.c.position <= vote["turn"],
            )
            said = connection.execute(texts.where(*seen)).all()
            conversations = {f"conversation_{side}": _conversation(said, side) for side in SIDES}
            yield Battle.model_validate(vote | conversations | {"id": vote["evaluation_session_id"]})


def read_battles(source: str) -> list[Battle]:
    """Every voted battle of an arena's database, as `battle_records` gives them.

    Raises:
        DatabaseError: there is no such database, or it holds no ledger.
    """
    engine = database.open_engine(source)
    try:
        return list(battle_records(engine))
    finally:
        engine.dispose()


def _conversation(said: Sequence[sa.Row], side: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    for prompt, answered_side, text in said:
        if answered_side == side:
            messages += [Message.of("user", prompt), Message.of("assistant", text)]
    return tuple(messages)


def _not_a_ledger(error: DBAPIError, engine: sa.Engine) -> DatabaseError:
    return DatabaseError(
        f"cannot read votes from {engine.url}: {str(error.orig).strip()}; expected the database of a palaestra arena"
    )


def asked_prompts(source: str) -> Iterator[tuple[str, list[str]]]:
    """The user's turns of every battle that was begun, with the battle's id, oldest first; voted or not.

    Raises:
        DatabaseError: there is no such database, or it holds no ledger.
    """
    engine = database.open_engine(source)
    asked = (
        sa.select(turns.c.battle, turns.c.prompt)
        .join(battles, battles.c.id == turns.c.battle)
        .where(sa.not_(turns.c.replaced))
        .order_by(battles.c.created, turns.c.battle, turns.c.position)
    )
    try:
        with engine.connect() as connection:
            for battle, rows in groupby(connection.execute(asked), key=lambda row: row.battle):
                yield battle, [row.prompt for row in rows]
    except DBAPIError as error:
        raise _not_a_ledger(error, engine) from error
    finally:
        engine.dispose()


def answer_lengths(source: str) -> dict[str, float]:
    """The mean tokens of each model's complete answers, as far as its endpoint has counted them.

    Raises:
        DatabaseError: there is no such database, or it holds no ledger.
    """
    engine = database.open_engine(source)
    model = sa.case((answers.c.side == "a", battles.c.model_a), else_=battles.c.model_b)
    lengths = (
        sa.select(model, sa.func.avg(answers.c.output_tokens))
        .select_from(answers.join(turns, answers.c.turn == turns.c.id).join(battles, turns.c.battle == battles.c.id))
        .where(answers.c.state == "complete", answers.c.output_tokens.is_not(None))
        .group_by(model)
        .order_by(model)
    )
    try:
        with engine.connect() as connection:
            return {name: float(mean) for name, mean in connection.execute(lengths)}
    except DBAPIError as error:
        raise _not_a_ledger(error, engine) from error
    finally:
        engine.dispose()
