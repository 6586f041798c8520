"""The ledger of an arena: what was asked, what was answered, who was preferred.

Every function is one short transaction. Writers are synchronous and may be called from any thread. A vote is an
insert and nothing else: it names the answer preferred, it is acknowledged after its commit, the same vote sent twice is
one vote, and a different one is refused. Reading votes out again, as a frame or as records, is `ballots.py`.

Not here: who meets whom (`arena/pairing.py`), and what a vote means (`ranking/`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from palaestra.errors import ConflictError, NotFoundError
from palaestra.store import database
from palaestra.store.entries import SIDES, Answer, BattleState, Choice, Pairing, Turn, answer_of, outcome_of
from palaestra.store.metadata import answers, battles, turns, votes

_VOTE_LOCK = 0x766F7465  # PostgreSQL: votes commit in the order of their ids, so "after id n" never misses one


class Ledger:
    """The ledger in one database.

    Args:
        url: `sqlite:///FILE` or `postgresql://...`.

    Raises:
        DatabaseError: the database cannot be opened, written or migrated.
    """

    def __init__(self, url: str) -> None:
        self.engine = database.open_engine(url, create=True)
        database.migrate(self.engine)
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def start_battle(self, voter: str, pairing: Pairing, prompt: str) -> BattleState:
        """Record a battle and its first turn, before a model has been asked."""
        battle_id = _new_id()
        with self._write() as connection:
            connection.execute(
                battles.insert().values(
                    id=battle_id,
                    voter=voter,
                    model_a=pairing.model_a,
                    model_b=pairing.model_b,
                    method=pairing.method,
                    propensity=pairing.propensity,
                    created=time.time(),
                )
            )
            _insert_turn(connection, battle_id, pairing, position=1, attempt=1, prompt=prompt)
            return _load_battle(connection, battle_id, voter)

    def add_turn(self, turn_id: str, voter: str, prompt: str, *, most: int) -> BattleState:
        """Record the turn that follows the last one of an open battle.

        Raises:
            NotFoundError: no such turn of this voter.
            ConflictError: voted already, not the last turn, unfinished or failed, or `most` turns have been made.
        """
        with self._write() as connection:
            battle, last = _load_open_turn(connection, turn_id, voter)
            if not last.finished:
                raise ConflictError(
                    "The models are still answering. Stop them, or wait, before you send the next message."
                )
            if not last.votable:
                raise ConflictError("The last answers are incomplete. Try that turn again before you go on.")
            if last.position >= most:
                raise ConflictError(f"This battle has {most} turns, the most allowed. Vote, or begin a new round.")
            _insert_turn(connection, battle.id, battle.pairing, position=last.position + 1, attempt=1, prompt=prompt)
            return _load_battle(connection, battle.id, voter)

    def regenerate(self, turn_id: str, voter: str) -> BattleState:
        """Record a new attempt at the last turn of an open battle; the old attempt stays in the ledger as replaced.

        Raises:
            NotFoundError: no such turn of this voter.
            ConflictError: voted already, unfinished, or not the last turn.
        """
        with self._write() as connection:
            battle, last = _load_open_turn(connection, turn_id, voter)
            if not last.finished:
                raise ConflictError("The models are still answering. Stop them before you ask again.")
            connection.execute(turns.update().where(turns.c.id == turn_id).values(replaced=True))
            _insert_turn(
                connection,
                battle.id,
                battle.pairing,
                position=last.position,
                attempt=last.attempt + 1,
                prompt=last.prompt,
            )
            return _load_battle(connection, battle.id, voter)

    def save_progress(self, texts: Sequence[tuple[str, str]]) -> None:
        """Record what answers (id, text so far) have brought, so that an unfinished one is known as such."""
        with self._write() as connection:
            for answer_id, text in texts:
                connection.execute(
                    answers.update()
                    .where(answers.c.id == answer_id, answers.c.state.in_(("waiting", "streaming")))
                    .values(text=text, state="streaming")
                )

    def finish(self, finished: Sequence[Answer]) -> None:
        """Record how answers ended; their state must be a final one."""
        with self._write() as connection:
            for answer in finished:
                connection.execute(answers.update().where(answers.c.id == answer.id).values(outcome_of(answer)))

    def mark_interrupted(self, turn_ids: Collection[str] | None = None) -> int:
        """Mark the unfinished answers of these turns, or of all; returns how many there were."""
        unfinished = answers.c.state.in_(("waiting", "streaming"))
        which = sa.true() if turn_ids is None else answers.c.turn.in_(turn_ids)
        with self._write() as connection:
            return connection.execute(answers.update().where(unfinished, which).values(state="interrupted")).rowcount

    def vote(self, turn_id: str, voter: str, choice: Choice) -> BattleState:
        """Record a vote on the last turn of a battle. When this returns, the vote is on disk.

        The turn says which answers the voter saw: should the battle have gone on since, in another tab, the vote is
        refused, and never given to answers that nobody compared.

        Raises:
            NotFoundError: no such turn of this voter.
            ConflictError: another vote was given already, not the last turn, unfinished or failed.
        """
        try:
            with self._write() as connection:
                return _vote(connection, turn_id, voter, choice)
        except IntegrityError:  # another server took the same battle's vote first: judge ours against that one
            with self._write() as connection:
                return _vote(connection, turn_id, voter, choice)

    def battle(self, battle_id: str, voter: str) -> BattleState:
        """A battle of this voter.

        Raises:
            NotFoundError: no such battle, or another voter's.
        """
        with self._read() as connection:
            return _load_battle(connection, battle_id, voter)

    def turn(self, turn_id: str, voter: str) -> Turn:
        """A turn of this voter, replaced or not.

        Raises:
            NotFoundError: no such turn, or another voter's.
        """
        with self._read() as connection:
            battle = _battle_row(connection, _battle_of(connection, turn_id), voter)
            return _load_turns(connection, battle["id"], turns.c.id == turn_id)[0]

    @contextmanager
    def _write(self) -> Generator[sa.Connection]:
        """A write transaction. SQLite has one writer: queue here, instead of polling its lock."""
        turnstile = self._writing if self.engine.dialect.name == "sqlite" else threading.Lock()
        with turnstile, self._connect(write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def _read(self) -> Generator[sa.Connection]:
        with self._connect(write=False) as connection, connection.begin():
            yield connection

    @contextmanager
    def _connect(self, *, write: bool) -> Generator[sa.Connection]:
        try:
            with self.engine.connect().execution_options(write=write) as connection:
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise database.explained(error, self.engine.url) from error


def _new_id() -> str:
    return secrets.token_hex(16)


def _is_id(text: str) -> bool:
    """Whether this can be an id of ours; a database may refuse to look for what cannot be text, such as NUL."""
    return text.isascii() and text.isalnum()


def _insert_turn(
    connection: sa.Connection, battle_id: str, pairing: Pairing, *, position: int, attempt: int, prompt: str
) -> None:
    turn_id = _new_id()
    connection.execute(
        turns.insert().values(
            id=turn_id,
            battle=battle_id,
            position=position,
            attempt=attempt,
            prompt=prompt,
            created=time.time(),
            replaced=False,
        )
    )
    connection.execute(
        answers.insert(),
        [
            {"id": _new_id(), "turn": turn_id, "side": side, "model": model, "state": "waiting", "text": ""}
            for side, model in zip(SIDES, (pairing.model_a, pairing.model_b), strict=True)
        ],
    )


def _vote(connection: sa.Connection, turn_id: str, voter: str, choice: Choice) -> BattleState:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_VOTE_LOCK})")
    battle = _load_battle(connection, _battle_of(connection, turn_id), voter)
    if battle.choice == choice:
        return battle
    if battle.choice is not None:
        raise ConflictError(
            "You have voted on this battle already; a vote cannot be changed after the reveal. "
            "Reload the page to see it."
        )
    last = _last_turn(battle, turn_id)
    if not last.finished:
        raise ConflictError("The models are still answering. Stop them, or wait, before you vote.")
    if not last.votable:
        raise ConflictError(
            "One of the answers is missing or incomplete, so there is nothing to compare. Try that turn again."
        )
    preferred = {"a": last.a.id, "b": last.b.id}.get(choice)
    connection.execute(
        votes.insert().values(
            battle=battle.id,
            turn=last.id,
            verdict="preferred" if preferred else choice,
            preferred=preferred,
            voter=voter,
            created=time.time(),
        )
    )
    return _load_battle(connection, battle.id, voter)


def _battle_of(connection: sa.Connection, turn_id: str) -> str:
    found = _is_id(turn_id) and connection.execute(sa.select(turns.c.battle).where(turns.c.id == turn_id)).scalar()
    if not found:
        raise NotFoundError("There is no such turn here.")
    return found


def _battle_row(connection: sa.Connection, battle_id: str, voter: str) -> sa.RowMapping:
    """The battle. Who writes holds its row (PostgreSQL) until the end, so that two changes of one battle queue."""
    query = sa.select(battles).where(battles.c.id == battle_id)
    if connection.get_execution_options().get("write"):
        query = query.with_for_update()
    row = connection.execute(query).mappings().one_or_none() if _is_id(battle_id) else None
    if row is None or row["voter"] != voter:
        raise NotFoundError("There is no such battle here. It may belong to another browser.")
    return row


def _load_open_turn(connection: sa.Connection, turn_id: str, voter: str) -> tuple[BattleState, Turn]:
    battle = _load_battle(connection, _battle_of(connection, turn_id), voter)
    if battle.choice is not None:
        raise ConflictError("You have voted on this battle already. Begin a new round.")
    return battle, _last_turn(battle, turn_id)


def _last_turn(battle: BattleState, turn_id: str) -> Turn:
    """The battle's last turn, which must be the one that the voter has before them."""
    last = battle.turns[-1]
    if last.id != turn_id:
        raise ConflictError("This battle has gone on since, perhaps in another tab. Reload the page to see it.")
    return last


def _load_battle(connection: sa.Connection, battle_id: str, voter: str) -> BattleState:
    row = _battle_row(connection, battle_id, voter)
    current = _load_turns(connection, battle_id, turns.c.battle == battle_id, sa.not_(turns.c.replaced))
    pairing = Pairing(row["model_a"], row["model_b"], row["propensity"], row["method"])
    return BattleState(row["id"], row["voter"], pairing, current, _choice(connection, battle_id))


def _choice(connection: sa.Connection, battle_id: str) -> Choice | None:
    chosen = sa.func.coalesce(answers.c.side, votes.c.verdict)
    query = sa.select(chosen).select_from(votes.outerjoin(answers, votes.c.preferred == answers.c.id))
    return connection.execute(query.where(votes.c.battle == battle_id)).scalar()


def _load_turns(connection: sa.Connection, battle_id: str, *conditions: sa.ColumnElement[bool]) -> tuple[Turn, ...]:
    turn_rows = connection.execute(sa.select(turns).where(*conditions).order_by(turns.c.position)).mappings().all()
    found: dict[str, dict[str, Answer]] = {row["id"]: {} for row in turn_rows}
    for row in connection.execute(sa.select(answers).where(answers.c.turn.in_(found))).mappings():
        found[row["turn"]][row["side"]] = answer_of(row)
    return tuple(
        Turn(row["id"], battle_id, row["position"], row["attempt"], row["prompt"], **found[row["id"]])
        for row in turn_rows
    )
