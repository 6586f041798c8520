"""The ledger: battles, turns, answers, and the votes that nobody can change.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_REFUSAL = "votes are append-only"


def upgrade() -> None:
    """Create the tables and the triggers that hold votes append-only."""
    op.create_table(
        "battles",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("voter", sa.String(64), nullable=False),
        sa.Column("model_a", sa.String(200), nullable=False),
        sa.Column("model_b", sa.String(200), nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_battles"),
        sa.CheckConstraint("model_a <> model_b", name=op.f("ck_battles_two_models")),
        sa.CheckConstraint("propensity > 0 AND propensity <= 1", name=op.f("ck_battles_propensity")),
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("battle", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("replaced", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(["battle"], ["battles.id"], name="fk_turns_battle"),
        sa.UniqueConstraint("battle", "position", "attempt", name="uq_turns_battle_position_attempt"),
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("turn", sa.String(64), nullable=False),
        sa.Column("side", sa.String(1), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("first_token_s", sa.Double()),
        sa.Column("total_s", sa.Double()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cost", sa.Double()),
        sa.Column("finish_reason", sa.String(32)),
        sa.Column("error_kind", sa.String(32)),
        sa.Column("error_detail", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
        sa.ForeignKeyConstraint(["turn"], ["turns.id"], name="fk_answers_turn"),
        sa.UniqueConstraint("turn", "side", name="uq_answers_turn_side"),
        sa.CheckConstraint("side IN ('a', 'b')", name=op.f("ck_answers_side")),
        sa.CheckConstraint(
            "state IN ('waiting', 'streaming', 'complete', 'stopped', 'failed', 'interrupted')",
            name=op.f("ck_answers_state"),
        ),
    )
    op.create_index("ix_answers_state", "answers", ["state"])
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("battle", sa.String(64), nullable=False),
        sa.Column("turn", sa.String(64), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("preferred", sa.String(64)),
        sa.Column("voter", sa.String(64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_votes"),
        sa.ForeignKeyConstraint(["battle"], ["battles.id"], name="fk_votes_battle"),
        sa.ForeignKeyConstraint(["turn"], ["turns.id"], name="fk_votes_turn"),
        sa.ForeignKeyConstraint(["preferred"], ["answers.id"], name="fk_votes_preferred"),
        sa.UniqueConstraint("battle", name="uq_votes_battle"),
        sa.CheckConstraint("verdict IN ('preferred', 'tie', 'both_bad')", name=op.f("ck_votes_verdict")),
        sa.CheckConstraint("(verdict = 'preferred') = (preferred IS NOT NULL)", name=op.f("ck_votes_preferred")),
    )
    _hold_votes_append_only()


def downgrade() -> None:
    """Refuse: going back would throw votes away."""
    raise RuntimeError("the first migration has no way back: it would delete every vote")


def _hold_votes_append_only() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION refuse_change_of_votes() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER votes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON votes "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_votes()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER votes_refuse_{change.lower()} BEFORE {change} ON votes "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
