"""SQLAlchemy Core tables and queries, Alembic migrations. SQLite by default."""

from llamactl.store.database import Database
from llamactl.store.downloads import SqlJobStore
from llamactl.store.history import SqlHistoryStore
from llamactl.store.instances import SqlInstanceStore
from llamactl.store.keys import SqlKeyStore
from llamactl.store.memory import SqlMemoryStore
from llamactl.store.schema import HEAD
from llamactl.store.sessions import SqlSessionStore

__all__ = [
    "HEAD",
    "Database",
    "SqlHistoryStore",
    "SqlInstanceStore",
    "SqlJobStore",
    "SqlKeyStore",
    "SqlMemoryStore",
    "SqlSessionStore",
]
