"""The ledger says enough to adopt a process; the store knows who may write."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
expanding = True  # does the version before work on with it?


def upgrade() -> None:
    for column in (
        sa.Column("after_exit", sa.String(16), nullable=False, server_default="judge"),
        sa.Column("restarts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("source", sa.String(16), nullable=False, server_default=""),
        sa.Column("proven", sa.Boolean, nullable=False, server_default=sa.false()),
    ):
        op.add_column("instances", column)
    for column in (
        sa.Column("key", sa.String(64), nullable=False, server_default=""),
        sa.Column("engine", sa.Text, nullable=False, server_default=""),
        sa.Column("command", sa.Text, nullable=False, server_default="[]"),
        sa.Column("options", sa.Text, nullable=False, server_default="{}"),
        sa.Column("given_digest", sa.String(64), nullable=False, server_default=""),
        sa.Column("log_start", sa.BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("processes", column)
    op.create_table(
        "ownership",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO ownership (id, epoch) VALUES (1, 0)")
