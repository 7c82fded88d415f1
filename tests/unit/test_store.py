"""Tables in code equal all migrations applied; what is written is read back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from llamactl.core.errors import StoreUnavailable
from llamactl.core.events import InstanceEvent
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.lifecycle import Desired, Lifecycle, State
from llamactl.store import Database, SqlInstanceStore, schema
from llamactl.store.database import engine_of
from llamactl.store.tables import metadata


def test_the_tables_equal_the_migrations(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"

    async def migrate() -> None:
        database = Database(url)
        await database.open()
        await database.close()

    asyncio.run(migrate())
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    folder = Path(schema.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))

    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_instances_survive_and_events_are_trimmed(tmp_path: Path) -> None:
    options = InstanceOptions(backend_options={"seed": 2**60, "lora": ["a", "b"]}, pinned=True)
    instance = Instance("id", "Name", 5, options, 8001)
    report = ExitReport(FailureClass.KILLED, None, 9, "why", ("line",))

    async def run() -> tuple[object, int]:
        database = Database(f"sqlite:///{tmp_path}/t.db")
        await database.open()
        await database.take()
        store = SqlInstanceStore(database, event_retention=10)
        await store.add(instance)
        for epoch in range(1, 101):
            now = Lifecycle(State.FAILED, Desired.RUNNING, generation=3, epoch=epoch)
            event = InstanceEvent(
                1.0, "id", "Name", 3, epoch, "Exited", State.READY, State.FAILED, "", {"a": 1}
            )
            await store.record(event, now, report)
        row = (await store.load())[0]
        events = await store.events("id", 1000)
        await database.close()
        return (row.instance, row.lifecycle.state, row.last_exit), len(events)

    row, count = asyncio.run(run())

    assert row == (instance, State.FAILED, report)
    assert count == 10


def test_a_missing_driver_is_named_and_no_other_projects_program() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        engine_of("oracle://u:s3cret@h/x")  # whose driver nobody has

    assert "psycopg" in refused.value.message
    assert "llamactl[" not in refused.value.message and "s3cret" not in refused.value.message
