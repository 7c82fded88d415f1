"""SQLAlchemy Core tables and queries, Alembic migrations. SQLite by default."""

from llamactl.store.database import Database
from llamactl.store.instances import SqlInstanceStore
from llamactl.store.keys import SqlKeyStore
from llamactl.store.memory import SqlMemoryStore

__all__ = ["Database", "SqlInstanceStore", "SqlKeyStore", "SqlMemoryStore"]
