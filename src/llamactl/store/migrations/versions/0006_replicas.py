"""Processes belong to replicas: an instance may have several, on several nodes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
expanding = False  # does the version before work on with it?
_KEPT = "generation, pid, start_time, boot_id, port, key, engine, command, options, log_start"


def upgrade() -> None:
    op.create_table(
        "replica_processes",
        sa.Column("replica_id", sa.String(32), primary_key=True),
        sa.Column("node_id", sa.String(64), nullable=False),
        sa.Column(
            "instance_id",
            sa.String(32),
            sa.ForeignKey("instances.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("start_time", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("key", sa.String(64), nullable=False, server_default=""),
        sa.Column("engine", sa.Text, nullable=False, server_default=""),
        sa.Column("command", sa.Text, nullable=False, server_default="[]"),
        sa.Column("options", sa.Text, nullable=False, server_default="{}"),
        sa.Column("spec_hash", sa.String(64), nullable=False, server_default=""),
        sa.Column("log_start", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.execute(
        f"INSERT INTO replica_processes (replica_id, node_id, instance_id, spec_hash, {_KEPT})"
        f" SELECT instance_id, 'local', instance_id, given_digest, {_KEPT} FROM processes"
    )
    op.drop_table("processes")
    op.rename_table("replica_processes", "processes")
