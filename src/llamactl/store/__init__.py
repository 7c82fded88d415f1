"""SQLAlchemy Core tables and queries, Alembic migrations. SQLite by default."""

from llamactl.store.database import Database
from llamactl.store.instances import SqlInstanceStore
from llamactl.store.keys import SqlKeyStore
from llamactl.store.memory import SqlMemoryStore
from llamactl.store.schema import HEAD

__all__ = ["HEAD", "Database", "SqlInstanceStore", "SqlKeyStore", "SqlMemoryStore"]
