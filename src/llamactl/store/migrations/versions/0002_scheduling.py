"""Events outlive their instances and tell details; keys have a priority; memory is learnt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
expanding = False  # does the version before work on with it?
_row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COPY = """
    INSERT INTO instance_events
        (id, at, instance_id, name, generation, epoch, event, from_state, to_state, cause, details)
    SELECT e.id, e.at, e.instance_id, i.name, e.generation, e.epoch, e.event, e.from_state,
        e.to_state, e.cause, '{}'
    FROM old_events e JOIN instances i ON i.id = e.instance_id ORDER BY e.id
"""
_GO_ON = """
    SELECT setval(pg_get_serial_sequence('instance_events', 'id'), max(id))
    FROM instance_events HAVING max(id) IS NOT NULL
"""


def upgrade() -> None:
    op.drop_index("instance_events_by_instance", "instance_events")
    op.rename_table("instance_events", "old_events")
    op.create_table(
        "instance_events",
        sa.Column("id", _row_id, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("instance_id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("from_state", sa.String(16), nullable=False),
        sa.Column("to_state", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.execute(_COPY)
    if op.get_bind().dialect.name == "postgresql":  # ids continue from those that were given
        op.execute(_GO_ON)
    op.drop_table("old_events")
    op.create_index("instance_events_by_instance", "instance_events", ["instance_id", "id"])
    op.add_column("api_keys", sa.Column("priority", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "memory",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("measured", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
