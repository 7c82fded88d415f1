"""The tables. Migrations create them; a test proves that both say the same."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData()
_RowId = BigInteger().with_variant(Integer, "sqlite")

instances = Table(
    "instances",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("name_key", String(128), nullable=False, unique=True),
    Column("created", BigInteger, nullable=False),
    Column("options", Text, nullable=False),  # JSON
    Column("port", Integer),
    Column("state", String(16), nullable=False),
    Column("desired", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("last_exit", Text),  # JSON
    Column("after_exit", String(16), nullable=False, server_default="judge"),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("source", String(16), nullable=False, server_default=""),
    Column("proven", Boolean, nullable=False, server_default=false()),
)

instance_events = Table(
    "instance_events",
    metadata,
    Column("id", _RowId, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("instance_id", String(32), nullable=False),  # rows outlive their instance
    Column("name", String(128), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("event", String(32), nullable=False),
    Column("from_state", String(16), nullable=False),
    Column("to_state", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Index("instance_events_by_instance", "instance_id", "id"),
    sqlite_autoincrement=True,  # an id is never given twice: followers come back by it
)

processes = Table(
    "processes",
    metadata,
    Column("replica_id", String(32), primary_key=True),
    Column("node_id", String(64), nullable=False),
    Column("instance_id", ForeignKey("instances.id", ondelete="CASCADE"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("port", Integer, nullable=False),
    Column("key", String(64), nullable=False, server_default=""),
    Column("engine", Text, nullable=False, server_default=""),
    Column("command", Text, nullable=False, server_default="[]"),  # JSON
    Column("options", Text, nullable=False, server_default="{}"),  # JSON
    Column("spec_hash", String(64), nullable=False, server_default=""),
    Column("log_start", BigInteger, nullable=False, server_default="0"),
    Column("container", String(160), nullable=False, server_default=""),
)

# One row: which llamactl may write. Each takes a higher epoch when it opens the store.
ownership = Table(
    "ownership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("permission_mode", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("priority", Integer, nullable=False, server_default="0"),
)

api_key_instances = Table(
    "api_key_instances",
    metadata,
    Column("key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("instance_id", ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True),
)

memory = Table(
    "memory",
    metadata,
    Column("key", String(64), primary_key=True),  # of model file, options and engine
    Column("measured", Text, nullable=False),  # JSON
    Column("at", Float, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("instance_id", ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True),
    Column("span_s", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("generated_tokens", BigInteger, nullable=False),
    Column("queue_count", BigInteger, nullable=False),
    Column("queue_s", Float, nullable=False),
    Column("first_count", BigInteger, nullable=False),
    Column("first_s", Float, nullable=False),
)

downloads = Table(
    "downloads",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", Float, nullable=False),
    Column("job", Text, nullable=False),  # JSON
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("key_id", String(32), nullable=False),
    Column("key_digest", LargeBinary(32), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
