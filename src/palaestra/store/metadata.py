"""The tables of the ledger.

    battles 1 ── n turns 1 ── 2 answers
       1 ── 0..1 votes, of one turn, preferring one answer or none

A vote names the answer that it prefers, never a side: which side the answer stood on is a fact of the answer. Rows of
`votes` can be neither changed nor deleted (triggers, see `migrations/`). Times are seconds since the epoch, UTC.
A turn that was regenerated stays, with `replaced` set.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

ANSWER_STATES = ("waiting", "streaming", "complete", "stopped", "failed", "interrupted")
VERDICTS = ("preferred", "tie", "both_bad")

battles = sa.Table(
    "battles",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("voter", sa.String(64), nullable=False),
    sa.Column("model_a", sa.String(200), nullable=False),
    sa.Column("model_b", sa.String(200), nullable=False),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("propensity", sa.Double, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.CheckConstraint("model_a <> model_b", name="two_models"),
    sa.CheckConstraint("propensity > 0 AND propensity <= 1", name="propensity"),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("battle", sa.ForeignKey("battles.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("replaced", sa.Boolean, nullable=False, default=False),
    sa.UniqueConstraint("battle", "position", "attempt"),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("turn", sa.ForeignKey("turns.id"), nullable=False),
    sa.Column("side", sa.String(1), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=False, default=""),
    sa.Column("first_token_s", sa.Double),
    sa.Column("total_s", sa.Double),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("cost", sa.Double),
    sa.Column("finish_reason", sa.String(32)),
    sa.Column("error_kind", sa.String(32)),
    sa.Column("error_detail", sa.Text),
    sa.UniqueConstraint("turn", "side"),
    sa.CheckConstraint("side IN ('a', 'b')", name="side"),
    sa.CheckConstraint(f"state IN {ANSWER_STATES}", name="state"),
    sa.Index(None, "state"),
)

votes = sa.Table(
    "votes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("battle", sa.ForeignKey("battles.id"), nullable=False, unique=True),
    sa.Column("turn", sa.ForeignKey("turns.id"), nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("preferred", sa.ForeignKey("answers.id")),
    sa.Column("voter", sa.String(64), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.CheckConstraint(f"verdict IN {VERDICTS}", name="verdict"),
    sa.CheckConstraint("(verdict = 'preferred') = (preferred IS NOT NULL)", name="preferred"),
)
