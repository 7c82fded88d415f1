"""What instances served, for charts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
expanding = True


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column(
            "instance_id",
            sa.String(32),
            sa.ForeignKey("instances.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("span_s", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("generated_tokens", sa.BigInteger, nullable=False),
        sa.Column("queue_count", sa.BigInteger, nullable=False),
        sa.Column("queue_s", sa.Float, nullable=False),
        sa.Column("first_count", sa.BigInteger, nullable=False),
        sa.Column("first_s", sa.Float, nullable=False),
    )
