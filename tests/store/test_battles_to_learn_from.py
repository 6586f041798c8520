"""An arena's database and its export give the same preferences and the same votes with their prompts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from palaestra.errors import InputError
from palaestra.schema import Battle, to_table
from palaestra.store.ballots import battle_records
from palaestra.store.entries import Choice, Pairing
from palaestra.store.ledger import Ledger
from palaestra.store.preferences import read_preferences
from palaestra.store.prompted_votes import read_prompted_votes

CHOICES: tuple[Choice, ...] = ("a", "b", "tie", "both_bad")


def voted(ledger: Ledger) -> None:
    for number, choice in enumerate(CHOICES):
        battle = ledger.start_battle("voter", Pairing("left", "right", 1.0, "uniform"), f"question {number}")
        turn = battle.turns[-1]
        ledger.finish([replace(turn.a, state="complete", text="one"), replace(turn.b, state="complete", text="other")])
        ledger.vote(turn.id, "voter", choice)


def test_the_ledger_and_its_export_say_the_same(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    voted(ledger)
    export = tmp_path / "battles.parquet"
    pq.write_table(to_table(Battle, battle_records(ledger.engine)), export)
    for source in (ledger_url, export):
        found = read_preferences(source).preferences
        assert [(one.text, one.replies) for one in found] == [(f"question {n}", ("one", "other")) for n in range(4)]
        assert [(one.ranks, one.both_bad) for one in found] == [
            ((1, 2), False), ((2, 1), False), ((1, 1), False), ((1, 1), True)
        ]  # fmt: skip
        assert {one.models for one in found} == {("left", "right")}
        votes = read_prompted_votes(source)
        assert votes.prompts == tuple(f"question {number}" for number in range(4))
        assert (votes.models, votes.outcome_B.tolist(), votes.voters) == (("left", "right"), [0, 1, 2, 3], ("voter",))


def test_a_ledger_without_votes_is_told(ledger: Ledger, ledger_url: str) -> None:
    for read in (read_preferences, read_prompted_votes):
        with pytest.raises(InputError, match="the ledger: found no"):
            read(ledger_url)
