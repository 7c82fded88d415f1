"""The story, as it goes on: every row once, in order, across reconnections and deletions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import llamactl.store
from llamactl.client import Client
from llamactl.store import Database, SqlInstanceStore
from support.fake_engine import create_fake
from support.served import Served, serve

pytestmark = pytest.mark.representative

BASE = "/api/v1/instances"
Rows = Iterator[dict[str, Any]]


@contextmanager
def following(server: Served, after: int | None = None) -> Iterator[Rows]:
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with (
        server.client() as client,
        client.stream("GET", "/api/v1/events", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == ": following"
        yield rows_of(lines)


def rows_of(lines: Iterator[str]) -> Rows:
    number = 0
    for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: "):
            row = json.loads(line[6:])
            assert row["id"] == number
            yield row


def until(rows: Rows, event: str) -> list[dict[str, Any]]:
    seen = []
    for row in rows:
        seen.append(row)
        if row["event"] == event:
            return seen
    raise AssertionError(f"no {event} among {seen}")


def test_events_are_told_as_they_happen_and_after_a_break(served: Served, tmp_path: Path) -> None:
    with following(served) as rows:
        create_fake(served, tmp_path, "told")
        first = until(rows, "BecameReady")
    served.request("POST", f"{BASE}/told/stop?wait=true")  # nobody follows
    with following(served, first[-1]["id"]) as rows:
        missed = until(rows, "Exited")
        served.request("DELETE", f"{BASE}/told")
        last = until(rows, "Deleted")

    story = [*first, *missed, *last]
    assert {row["instance"] for row in story} == {"told"}
    numbers = [row["id"] for row in story]
    assert numbers == sorted(set(numbers))
    moves = [row for row in story if row["from_state"] != row["to_state"]]
    assert [m["from_state"] for m in moves[1:]] == [m["to_state"] for m in moves[:-1]]
    assert [row["event"] for row in story] == [
        "StartRequested", "BecameReady", "StopRequested", "Drained", "Exited", "Deleted",
    ]  # fmt: skip


def test_an_id_that_is_none_is_refused(served: Served) -> None:
    for text in ("x", "-1", "9" * 30):
        answer = served.request("GET", "/api/v1/events", headers={"Last-Event-ID": text})
        assert answer.status_code == 400, text


def test_a_stream_ends_with_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with serve(data) as server:
        create_fake(server, tmp_path, "one")
        with following(server) as rows:
            server.process.terminate()
            seen = [row["event"] for row in rows]
    assert server.process.returncode == 0
    assert len(seen) <= 3


def test_an_older_store_keeps_its_events(tmp_path: Path) -> None:
    """From the first schema to the newest, with rows in it."""
    url = f"sqlite:///{tmp_path}/old.db"
    scripts = Path(llamactl.store.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(scripts))
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO instances (id, name, name_key, created, options, state, desired,"
                " generation, epoch)"
                " VALUES ('i', 'Old', 'old', 1, '{}', 'stopped', 'stopped', 1, 1)"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO instance_events (at, instance_id, generation, epoch, event,"
                " from_state, to_state, cause)"
                " VALUES (1.0, 'i', 1, 1, 'Exited', 'ready', 'stopped', 'why')"
            )
        )
    engine.dispose()

    async def read() -> Any:
        opened = Database(url)
        await opened.open()
        events = await SqlInstanceStore(opened, 10).events("i", 10)
        await opened.close()
        return events

    (event,) = asyncio.run(read())
    assert (event.name, event.cause, event.details, event.id) == ("Old", "why", {}, 1)


def test_the_client_reads_all_pages(tmp_path: Path) -> None:
    with serve(tmp_path) as server, Client(server.url, server.key) as client:
        create_fake(server, tmp_path, "one")
        for _ in range(4):
            client.instances.restart("one", wait=True)
        whole = [row.id for row in client.instances.events("one", limit=1000)]
        paged = [row.id for row in client.instances.all_events("one", page=3)]

    assert len(whole) > 9 and paged == whole[::-1]
