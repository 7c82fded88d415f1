"""What the control path asks of a store holds on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from llamactl.core.downloads import DownloadJob, JobState
from llamactl.core.errors import StoreUnavailable
from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Container, Instance, InstanceOptions
from llamactl.core.keys import ApiKey, PermissionMode, Session
from llamactl.core.lifecycle import AfterExit, Desired, Lifecycle, State
from llamactl.core.ports.history import HistoryRow, Served
from llamactl.policy.history import summed
from llamactl.store import (
    HEAD,
    Database,
    SqlHistoryStore,
    SqlInstanceStore,
    SqlJobStore,
    SqlKeyStore,
    SqlMemoryStore,
    SqlSessionStore,
    schema,
)
from llamactl.store.database import engine_of
from llamactl.store.tables import history, metadata
from support.postgres import postgres, programs

pytestmark = pytest.mark.representative

OPTIONS = InstanceOptions(
    backend_options={"seed": 2**60, "lora": ["a", "b"]}, pinned=True, docker_enabled=True,
    container=Container("engine", args=("--shm-size", "1g"), env={"A": "b"}),
)  # fmt: skip
INSTANCE = Instance("id", "Name", 5, OPTIONS, 8001, source="file")
REPORT = ExitReport(FailureClass.KILLED, None, 9, "why", ("line",), unseen=True)
RECORD = ProcessRecord(
    "id", "local", "id", 3, 4711, 2**40, "boot", 8001, key="secret", engine="e", command=("x", "y"),
    options=OPTIONS, spec_hash="b" * 64, log_start=2**40,
    container=f"docker:{'c' * 64}",
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if programs() is None and "LLAMACTL_CI" not in os.environ:
        pytest.skip("PostgreSQL is not installed")
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/t.db"
    server: str = request.getfixturevalue("server")
    admin = engine_of(server % "postgres").execution_options(isolation_level="AUTOCOMMIT")
    name = f"t{abs(hash(request.node.name))}"
    with admin.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    admin.dispose()
    return server % name


def run(url: str, work: Callable[[Database], Awaitable[None]]) -> None:
    async def opened() -> None:
        database = Database(url)
        await database.open()
        await database.take()
        await work(database)
        await database.close()

    asyncio.run(opened())


def event(epoch: int, **more: object) -> InstanceEvent:
    row = InstanceEvent(1.5, "id", "Name", 3, epoch, "Exited", State.READY, State.FAILED, "why",
                        {"a": [1]})  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


def test_all_that_is_written_is_read_back(url: str) -> None:
    async def work(database: Database) -> None:
        store = SqlInstanceStore(database, event_retention=10)
        await store.add(INSTANCE)
        now = Lifecycle(State.FAILED, Desired.RUNNING, 3, 7, AfterExit.RESTART, restarts=2,
                        proven=True)  # fmt: skip
        assert await store.record(event(7), now, REPORT) == await store.newest_event() == 1
        await store.enter_process(RECORD)
        await store.enter_process(replace(RECORD, pid=4712))
        row = (await store.load())[0]
        assert (row.instance, row.lifecycle, row.last_exit) == (INSTANCE, now, REPORT)
        assert await store.processes() == [replace(RECORD, pid=4712)]
        changed = replace(INSTANCE, options=InstanceOptions())
        await store.replace(changed)
        assert (await store.load())[0].instance == changed
        await store.forget_process("id")
        assert await store.processes() == []
        keys, memory = SqlKeyStore(database), SqlMemoryStore(database)
        key = ApiKey("k", "n", b"\0" * 32, PermissionMode.PER_INSTANCE, frozenset({"id"}), 1, 2**40)
        await keys.add(key)
        await keys.touch({"k": 9})
        assert await keys.load() == [replace(key, last_used_at=9)]
        for size in (1, 2**40):
            await memory.save("m", {"ram": size})
        assert await memory.load() == {"m": {"ram": 2**40}}
        await store.remove("id")
        assert (await keys.load())[0].instance_ids == frozenset()
        await keys.remove("k")
        assert [*await store.load(), *await keys.load()] == []
        assert [row.epoch for row in await store.events("id", 10)] == [7]  # it outlives them

    run(url, work)


def test_history_is_added_up_and_folded_as_policy_says(url: str) -> None:
    at = 1_800_000_000
    one = Served(3, 1, 2, 100, 60, 40, 2, 0.5, 3, 1.5)
    rows = [HistoryRow(i, at + 60 * n, 60, one) for i in ("id", "other") for n in range(25)]

    async def work(database: Database) -> None:
        instances, store = SqlInstanceStore(database, event_retention=10), SqlHistoryStore(database)
        await instances.add(INSTANCE)
        await instances.add(replace(INSTANCE, id="other", name="Other"))
        await store.add([*rows, HistoryRow("unknown", at, 60, one)])
        await store.add(rows[:1])  # to what is there
        written = [*rows, rows[0]]

        async def sums(ids: set[str] | None = None) -> Mapping[int, Served]:
            return await store.sums(at, at + 1200, 600, ids)

        expected = summed([row for row in written if row.at < at + 1200], 600)
        assert await sums() == expected
        mine = [row for row in written if row.instance_id == "id" and row.at < at + 1200]
        assert await sums({"id"}) == summed(mine, 600)
        await store.fold(at + 1200, 600)
        assert await sums() == expected
        count = sa.select(sa.func.count()).select_from(history)
        assert await database.read(lambda c: c.execute(count).scalar()) == 2 * 2 + 2 * 5
        await store.forget(at + 600, 100)
        assert {*await sums()} == {at + 600}
        await store.forget(0, 4)  # the newest are kept, never more than that
        assert await database.read(lambda c: c.execute(count).scalar()) == 4
        await instances.remove("other")
        assert await database.read(lambda c: c.execute(count).scalar()) == 2

    run(url, work)


def test_sessions(url: str) -> None:
    one = Session(b"\1" * 32, "", b"\0" * 32, 2**40)
    other = replace(one, digest=b"\2" * 32, key_id="k", expires_at=9)

    async def work(database: Database) -> None:
        sessions = SqlSessionStore(database)
        await sessions.add(one)
        await sessions.add(other)
        await sessions.forget_expired(9)
        assert sorted(await sessions.load(), key=lambda s: s.digest) == [one, other]
        await sessions.forget_expired(10)
        assert [*await sessions.load()] == [one]
        await sessions.remove(one.digest)
        await sessions.remove(one.digest)
        assert [*await sessions.load()] == []

    run(url, work)


def test_events_are_trimmed_and_followed(url: str) -> None:
    async def work(database: Database) -> None:
        store = SqlInstanceStore(database, event_retention=10)
        await store.add(INSTANCE)
        for epoch in range(1, 101):
            await store.add_event(event(epoch))
        assert [row.epoch for row in await store.events("id", 1000)] == list(range(91, 101))
        assert [row.id for row in await store.events_after(98, 10)] == [99, 100]

    run(url, work)


def test_a_former_owner_can_write_no_more(url: str) -> None:
    async def work(database: Database) -> None:
        store = SqlInstanceStore(database, 10)
        await store.add(INSTANCE)
        other = Database(url)
        await other.open()
        await other.take()
        with pytest.raises(StoreUnavailable, match="taken this store over"):
            await store.remove("id")
        assert "taken this store over" in database.fault  # so that its health says so
        assert len(await SqlInstanceStore(other, 10).load()) == 1
        await other.close()
        assert await store.load()  # reading does no harm

    run(url, work)


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_every_earlier_schema_is_brought_up_with_its_rows(url: str, version: str) -> None:
    engine = engine_of(url)
    config = schema.migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.execute(sa.text(
            "INSERT INTO instances (id, name, name_key, created, options, state, desired, "
            "generation, epoch) VALUES ('id', 'Name', 'name', 5, '{}', 'ready', 'running', 3, 7)"
        ))  # fmt: skip
        more = ", name, details" if version > "0001" else ""
        values = ", 'Name', '{}'" if version > "0001" else ""
        for epoch in range(5):
            connection.execute(sa.text(
                "INSERT INTO instance_events (at, instance_id, generation, epoch, event, "
                f"from_state, to_state, cause{more}) VALUES (1, 'id', 3, {epoch}, 'Exited', "
                f"'ready', 'failed', ''{values})"
            ))  # fmt: skip
        connection.execute(sa.text(
            "INSERT INTO processes (instance_id, generation, pid, start_time, boot_id, port, "
            "argv_digest) VALUES ('id', 3, 4711, 5, 'boot', 8001, 'x')"
        ))  # fmt: skip
    engine.dispose()

    async def work(database: Database) -> None:
        store = SqlInstanceStore(database, 10)
        row = (await store.load())[0]
        assert (row.instance.name, row.lifecycle.state) == ("Name", State.READY)
        assert [e.epoch for e in await store.events("id", 10)] == list(range(5))
        assert (await store.processes())[0].key == ""  # so it is ended, not adopted
        assert await store.add_event(event(9)) > 5, "ids go on after those that are there"

    run(url, work)
    engine = engine_of(url)
    with engine.connect() as connection:
        assert schema.version_of(connection) == HEAD
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_a_migration_that_fails_changes_nothing(url: str) -> None:
    """0003 fails at its last statement, as its table is there already."""
    engine = engine_of(url)
    config = schema.migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("CREATE TABLE ownership (id INTEGER)"))
    before = shape(engine)

    with pytest.raises(sa.exc.SQLAlchemyError):
        schema.prepare(engine)

    assert shape(engine) == before
    engine.dispose()


def shape(engine: sa.Engine) -> dict[str, list[str]]:
    seen = sa.inspect(engine)
    return {t: sorted(c["name"] for c in seen.get_columns(t)) for t in seen.get_table_names()}


def test_downloads_are_kept(url: str) -> None:
    job = DownloadJob(
        "j", "org/x:Q8_0", 1.5, JobState.RUNNING, files=("a", "b"), parts=("/p",), total=2**40
    )

    async def work(database: Database) -> None:
        store = SqlJobStore(database)
        await store.save(replace(job, id="later", created=2.5))
        await store.save(job)
        await store.save(replace(job, done=7))
        assert await store.load() == [replace(job, done=7), replace(job, id="later", created=2.5)]
        await store.remove("j")
        await database.write(
            lambda c: c.execute(
                sa.text("UPDATE downloads SET job = :job"),
                {"job": '{"id": "later", "model": "m", "created": 2.5, "state": "done", "new": 1}'},
            )
        )
        assert await store.load() == [DownloadJob("later", "m", 2.5, JobState.DONE)]

    run(url, work)


def test_a_server_that_hangs_does_not_hold_us_up_for_ever(server: str) -> None:
    engine = engine_of(server % "postgres")
    with engine.connect() as connection:
        limit = connection.execute(sa.text("SHOW statement_timeout")).scalar()
        assert connection.connection.dbapi_connection is not None
        given = connection.connection.dbapi_connection.info.get_parameters()
    engine.dispose()

    assert (limit, given["connect_timeout"], given["tcp_user_timeout"]) == ("10s", "5", "10000")
