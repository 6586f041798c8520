"""The ledger, on SQLite and on a real PostgreSQL: what is recorded, what is refused, what cannot be undone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from palaestra.errors import ConflictError, DatabaseError, NotFoundError
from palaestra.schema import Battle, ErrorRecord, Usage, from_table, to_table
from palaestra.store.ballots import VOTE_COLUMNS, battle_records, vote_frame
from palaestra.store.entries import AnswerState, BattleState, Choice, Pairing
from palaestra.store.ledger import Ledger

PAIRING = Pairing("left model", "right model", 1 / 6, "uniform")


def finish(ledger: Ledger, battle: BattleState, state: AnswerState = "complete") -> None:
    last = battle.turns[-1]
    ledger.finish([replace(last.a, state=state, text="an answer"), replace(last.b, state=state, text="another answer")])


def last(battle: BattleState) -> str:
    return battle.turns[-1].id


def finished_battle(ledger: Ledger, voter: str = "voter") -> BattleState:
    battle = ledger.start_battle(voter, PAIRING, "a question")
    finish(ledger, battle)
    return battle


def test_a_battle_is_known_before_its_first_token(ledger: Ledger) -> None:
    started = ledger.start_battle("voter", PAIRING, "a question")
    found = ledger.battle(started.id, "voter")
    assert found == started
    assert found.pairing == PAIRING
    assert [found.turns[0].a.state, found.turns[0].b.state] == ["waiting", "waiting"]
    assert not found.turns[0].finished


def test_progress_and_interruption(ledger: Ledger) -> None:
    battle = ledger.start_battle("voter", PAIRING, "a question")
    ledger.save_progress([(battle.turns[0].a.id, "half an ans")])
    assert ledger.battle(battle.id, "voter").turns[0].a.state == "streaming"
    assert ledger.mark_interrupted(["another turn"]) == 0
    assert ledger.mark_interrupted([last(battle)]) == 2
    assert ledger.mark_interrupted() == 0
    turn = ledger.battle(battle.id, "voter").turns[0]
    assert (turn.a.state, turn.a.text, turn.finished, turn.votable) == (
        "interrupted",
        "half an ans",
        True,
        False,
    )
    with pytest.raises(ConflictError, match="missing or incomplete"):
        ledger.vote(last(battle), "voter", "a")


def test_progress_never_overwrites_a_finished_answer(ledger: Ledger) -> None:
    battle = finished_battle(ledger)
    ledger.save_progress([(battle.turns[0].a.id, "late and shorter")])
    assert ledger.battle(battle.id, "voter").turns[0].a.text == "an answer"


def test_an_answer_keeps_its_figures_and_its_failure(ledger: Ledger) -> None:
    turn = ledger.start_battle("voter", PAIRING, "a question").turns[0]
    usage = Usage(input_tokens=12, output_tokens=34, cost=0.5)
    good = replace(
        turn.a,
        state="complete",
        text="é∑🙂",
        first_token_s=0.25,
        total_s=2.0,
        usage=usage,
        finish_reason="stop",
    )
    bad = replace(turn.b, state="failed", error=ErrorRecord(kind="timeout", detail="no token in 60 s"), usage=Usage())
    ledger.finish([good, bad])
    found = ledger.turn(turn.id, "voter")
    assert (found.a, found.b) == (good, bad)


@pytest.mark.parametrize("choice", ["a", "b", "tie", "both_bad"])
def test_a_vote_names_the_answer_and_is_idempotent(ledger: Ledger, choice: Choice) -> None:
    battle = finished_battle(ledger)
    assert ledger.vote(last(battle), "voter", choice).choice == choice
    assert ledger.vote(last(battle), "voter", choice).choice == choice
    frame = vote_frame(ledger.engine)
    assert frame.schema == VOTE_COLUMNS
    assert frame["winner"].to_list() == [{"a": "model_a", "b": "model_b"}.get(choice, choice)]
    assert frame["propensity"].to_list() == [pytest.approx(1 / 6)]
    with ledger.engine.connect() as connection:
        stored = connection.execute(sa.text("SELECT preferred FROM votes")).scalar()
    assert stored == {"a": battle.turns[0].a.id, "b": battle.turns[0].b.id}.get(choice)


def test_a_second_opinion_is_refused(ledger: Ledger) -> None:
    battle = finished_battle(ledger)
    ledger.vote(last(battle), "voter", "a")
    with pytest.raises(ConflictError, match="already"):
        ledger.vote(last(battle), "voter", "b")
    with pytest.raises(ConflictError, match="already"):
        ledger.add_turn(last(battle), "voter", "more", most=9)
    with pytest.raises(ConflictError, match="already"):
        ledger.regenerate(battle.turns[0].id, "voter")
    assert vote_frame(ledger.engine).height == 1


def test_what_is_not_mine_does_not_exist(ledger: Ledger) -> None:
    battle = finished_battle(ledger)
    refused: list[Callable[[], object]] = [
        lambda: ledger.battle(battle.id, "somebody else"),
        lambda: ledger.turn(battle.turns[0].id, "somebody else"),
        lambda: ledger.vote(last(battle), "somebody else", "a"),
        lambda: ledger.add_turn(last(battle), "", "more", most=9),
        lambda: ledger.regenerate(battle.turns[0].id, "somebody else"),
        lambda: ledger.vote("no such battle", "voter", "a"),
        lambda: ledger.vote("f" * 32, "voter", "a"),
        lambda: ledger.turn("no such turn", "voter"),
        lambda: ledger.battle("not\0text", "voter"),
        lambda: ledger.turn("not\0text", "voter"),
    ]
    for act in refused:
        with pytest.raises(NotFoundError, match="no such"):
            act()
    assert vote_frame(ledger.engine).is_empty()


def test_an_unfinished_or_failed_turn_takes_no_vote(ledger: Ledger) -> None:
    battle = ledger.start_battle("voter", PAIRING, "a question")
    with pytest.raises(ConflictError, match="still answering"):
        ledger.vote(last(battle), "voter", "tie")
    finish(ledger, battle, "failed")
    with pytest.raises(ConflictError, match="incomplete"):
        ledger.vote(last(battle), "voter", "tie")


def test_turns_and_attempts(ledger: Ledger) -> None:
    first = finished_battle(ledger)
    again = ledger.regenerate(first.turns[0].id, "voter")
    assert [(turn.position, turn.attempt) for turn in again.turns] == [(1, 2)]
    stale: list[Callable[[], object]] = [
        lambda: ledger.regenerate(last(first), "voter"),
        lambda: ledger.add_turn(last(first), "voter", "more", most=9),
        lambda: ledger.vote(last(first), "voter", "a"),
    ]
    for act in stale:  # the answers before this voter, in an old tab, are not the battle's last any more
        with pytest.raises(ConflictError, match="gone on since"):
            act()
    with pytest.raises(ConflictError, match="still answering"):
        ledger.add_turn(last(again), "voter", "more", most=2)
    finish(ledger, again)
    second = ledger.add_turn(last(again), "voter", "more", most=2)
    finish(ledger, second)
    with pytest.raises(ConflictError, match="2 turns, the most"):
        ledger.add_turn(last(second), "voter", "more still", most=2)
    ledger.vote(last(second), "voter", "b")
    record = next(battle_records(ledger.engine))
    assert [message.text for message in record.conversation_b] == [
        "a question",
        "another answer",
        "more",
        "another answer",
    ]
    assert record.turn == 2
    assert from_table(Battle, to_table(Battle, [record])) == [record]


@pytest.mark.parametrize("statement", ["UPDATE votes SET voter = 'x'", "DELETE FROM votes"])
def test_votes_cannot_be_changed_or_deleted(ledger: Ledger, statement: str) -> None:
    ledger.vote(last(finished_battle(ledger)), "voter", "a")
    with pytest.raises(DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(sa.text(statement))
    assert vote_frame(ledger.engine).height == 1


def test_votes_are_read_from_where_one_left_off(ledger: Ledger) -> None:
    for _ in range(5):
        ledger.vote(last(finished_battle(ledger)), "voter", "tie")
    everything = vote_frame(ledger.engine)
    third = everything["id"][2]
    assert vote_frame(ledger.engine, after=third).equals(everything[3:])
    assert vote_frame(ledger.engine.url.render_as_string(hide_password=False)).equals(everything)


def test_boards_and_exports_know_the_same_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times that two ways of rounding to the microsecond tell apart."""
    for seconds in (1795567117.5440295, 1795565371.8203945, 1795564259.4271545):
        monkeypatch.setattr("palaestra.store.ledger.time.time", lambda seconds=seconds: seconds)
        ledger.vote(last(finished_battle(ledger)), "voter", "a")
    exported = [record.tstamp for record in battle_records(ledger.engine)]
    assert exported == vote_frame(ledger.engine)["tstamp"].to_list()


def test_one_vote_a_battle_under_a_race(ledger: Ledger) -> None:
    battle = finished_battle(ledger)
    start = threading.Barrier(8)
    choices: list[Choice] = ["a", "b", "tie", "both_bad"] * 2

    def vote(choice: Choice) -> str:
        start.wait()
        try:
            return ledger.vote(last(battle), "voter", choice).choice or ""
        except ConflictError:
            return "refused"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(vote, choices))
    assert vote_frame(ledger.engine).height == 1
    assert outcomes.count("refused") == 6
    assert len(set(outcomes) - {"refused"}) == 1


def test_a_vote_and_another_attempt_at_the_same_moment(ledger: Ledger) -> None:
    """Either the vote comes first and nothing is asked again, or an attempt does and there is nothing to vote on."""
    for _ in range(15):
        battle = finished_battle(ledger)
        start = threading.Barrier(3)

        def attempt(action: Callable[[], object], start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                action()
            except ConflictError:
                return False
            return True

        actions: list[Callable[[], object]] = [
            lambda battle=battle: ledger.vote(last(battle), "voter", "a"),
            lambda battle=battle: ledger.regenerate(battle.turns[-1].id, "voter"),
            lambda battle=battle: ledger.add_turn(last(battle), "voter", "and then?", most=9),
        ]
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(attempt, actions))
        assert sum(done) == 1, done
        after = ledger.battle(battle.id, "voter")
        assert (after.choice is not None) == done[0]
        assert len(after.turns) == (2 if done[2] else 1)


def test_a_later_reader_misses_no_vote_of_concurrent_writers(ledger: Ledger) -> None:
    battles = [finished_battle(ledger, f"voter {number}") for number in range(40)]
    seen: list[int] = []
    with ThreadPoolExecutor(8) as pool:
        voting = [pool.submit(ledger.vote, last(battle), battle.voter, "a") for battle in battles]
        while len(seen) < len(battles):
            seen += vote_frame(ledger.engine, after=seen[-1] if seen else 0)["id"].to_list()
            if all(done.done() for done in voting):
                seen += vote_frame(ledger.engine, after=seen[-1] if seen else 0)["id"].to_list()
                break
    assert len(seen) == len(set(seen)) == len(battles)


def test_the_migrations_make_the_tables_of_the_code(ledger: Ledger) -> None:
    from palaestra.store.metadata import metadata

    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_keeps_everything(ledger: Ledger) -> None:
    battle = finished_battle(ledger)
    url = ledger.engine.url.render_as_string(hide_password=False)
    ledger.close()
    reopened = Ledger(url)
    assert reopened.battle(battle.id, "voter").turns[0].a.text == "an answer"
    reopened.close()


def test_durability_is_set_on_every_connection(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        if ledger.engine.dialect.name == "sqlite":
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "expected sqlite:///FILE"),
        ("mysql://localhost/x", "kind 'mysql'.*expected sqlite"),
        ("sqlite://", "in memory.*lose every vote"),
        ("sqlite:////no/such/folder/x.db", "folder.*does not exist"),
        ("postgresql://127.0.0.1:1/x?connect_timeout=2", "cannot use database.*--database"),
    ],
)
def test_a_database_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message):
        Ledger(url)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("this is not a database, it is a text that is long enough to be looked at as a header " * 20)
    with pytest.raises(DatabaseError, match="not a database"):
        Ledger(f"sqlite:///{path}")
    assert path.read_text().startswith("this is not")


def test_reading_votes_creates_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database at"):
        vote_frame(f"sqlite:///{tmp_path / 'absent.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_a_newer_version_is_refused(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="upgrade palaestra"):
        Ledger(ledger.engine.url.render_as_string(hide_password=False))
