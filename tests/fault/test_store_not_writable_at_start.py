"""llamactl starts while its store can't be written: it adopts, serves, and mends itself later."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from llamactl.store import HEAD
from support.fake_engine import create_fake
from support.full_disk import fill, small_disk, unchangeable
from support.ledger import store
from support.postgres import programs
from support.postgres import stoppable as postgres
from support.served import Served, data_folder, serve, spawn

BASE, KEYS = "/api/v1/instances", "/api/v1/auth/keys"
NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 and "LLAMACTL_CI" not in os.environ,
    reason="needs root, for a disk that is full",
)


@contextmanager
def full(data: Path) -> Iterator[None]:
    filler = fill(data)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(data: Path) -> Iterator[None]:
    mount = ["mount", "-o", "remount,ro", str(data)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run([*mount[:2], "remount,rw", mount[3]], check=True)


@contextmanager
def unchangeable_files(data: Path) -> Iterator[None]:
    with unchangeable(*(path for path in data.iterdir() if path.is_file())):
        yield


@contextmanager
def locked(data: Path) -> Iterator[None]:
    other = sqlite3.connect(data / "llamactl.db")
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


FAULTS = {"full": full, "read_only": read_only, "unchangeable": unchangeable_files,
          "locked": locked}  # fmt: skip


def health(server: Served) -> object:
    return server.request("GET", "/health").json()


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ("full", "killed"),
        ("full", "stopped"),
        ("read_only", "killed"),
        ("read_only", "stopped"),
        ("unchangeable", "killed"),
        ("locked", "stopped"),
    ],
)
def test_it_adopts_and_serves_and_then_is_whole(tmp_path: Path, fault: str, left: str) -> None:
    with small_disk(tmp_path / "data", "6m") as data:
        logs = tmp_path / "logs"  # who writes to a file system keeps it from being read-only
        settings = f"instances: {{on_exit: keep, logs_dir: '{logs}'}}"
        (data / "llamactl.yaml").write_text(settings)
        with ExitStack() as stack:
            with serve(data) as server:
                runs = create_fake(server, tmp_path, "runs")
                create_fake(server, tmp_path, "off", start=False)
                made = server.request("POST", KEYS, {"name": "one"}).json()
                if left == "killed":
                    server.kill()
            broken = stack.enter_context(ExitStack())
            broken.enter_context(FAULTS[fault](data))
            server = stack.enter_context(serve(data))
            assert health(server) == {"status": "degraded", "degraded": ["store"]}
            assert server.until("runs", "ready")["pid"] == runs["pid"]
            names = [row["name"] for row in server.request("GET", BASE).json()]
            assert sorted(names) == ["off", "runs"]
            answer = server.request("POST", "/v1/completions", {"model": "runs"}, key=made["key"])
            assert answer.status_code == 200
            refused = server.request("POST", f"{BASE}/new?start=false", {"model": "/m.gguf"})
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert int(refused.headers["retry-after"]) > 0
            started = server.request("POST", f"{BASE}/off/start?wait=true")
            assert (started.status_code, started.json()["code"]) == (503, "start_failed")
            assert int(started.headers["retry-after"]) > 0

            broken.close()
            server.until_well()
            asked = server.request("POST", "/v1/completions", {"model": "off"}, key=made["key"])
            assert asked.status_code == 200, asked.text  # no cool-down
            again = server.request("POST", f"{BASE}/new?start=false", {"model": "/m.gguf"})
            assert again.status_code == 201
            server.until_event("runs", "NodeFound")  # what waited was written
            for name in ("runs", "off"):  # which are kept otherwise
                stopped = server.request("POST", f"{BASE}/{name}/stop?wait=true&force=true")
                assert stopped.json()["status"] == "stopped"
        with store(data) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM instances")]
        assert sorted(names) == ["new", "off", "runs"]


PROCESSES_OF_0004 = """
    CREATE TABLE processes (
        instance_id VARCHAR(32) PRIMARY KEY REFERENCES instances (id) ON DELETE CASCADE,
        generation INTEGER NOT NULL, pid INTEGER NOT NULL, start_time BIGINT NOT NULL,
        boot_id VARCHAR(64) NOT NULL, port INTEGER NOT NULL, argv_digest VARCHAR(64) NOT NULL,
        key VARCHAR(64) NOT NULL DEFAULT '', engine TEXT NOT NULL DEFAULT '',
        command TEXT NOT NULL DEFAULT '[]', options TEXT NOT NULL DEFAULT '{}',
        given_digest VARCHAR(64) NOT NULL DEFAULT '', log_start BIGINT NOT NULL DEFAULT '0'
    )
"""


@NEEDS_ROOT
def test_an_older_schema_is_read_where_it_can_not_be_migrated(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create_fake(server, tmp_path, "off", start=False)
    with store(data) as connection:
        connection.execute("DROP TABLE sessions")
        connection.execute("DROP TABLE history")
        connection.execute("DROP TABLE processes")
        connection.execute(PROCESSES_OF_0004)
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
    with ExitStack() as broken:
        broken.enter_context(unchangeable(data / "llamactl.db"))
        with serve(data) as server:
            assert server.instance("off")["status"] == "stopped"
            broken.close()
            server.until_well()
    with store(data) as connection:
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert [*found] == [HEAD]


@NEEDS_ROOT
def test_a_store_that_is_no_store_is_refused_though_it_can_not_be_written(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data):
        pass
    file = data / "llamactl.db"
    file.write_bytes(b"no database, whatever " * 1000)
    with unchangeable(file):
        process = spawn(data, args=("--port", "0"))
        assert process.wait(20) == 1
        assert process.stdout is not None
        process.stdout.close()
    assert "the store is damaged" in (tmp_path / "data.err").read_text()


@NEEDS_ROOT
def test_a_key_file_that_a_full_disk_left_empty_is_no_key(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    (data / "management_key").touch()
    with serve(data) as server:
        assert server.request("POST", "/api/v1/session", {"key": ""}).status_code == 401
        assert len(server.key) > 20
        assert server.request("GET", BASE).status_code == 200


@pytest.mark.skipif(
    programs() is None and "LLAMACTL_CI" not in os.environ, reason="PostgreSQL is not installed"
)
def test_postgres_comes_back_after_llamactl_did(tmp_path: Path) -> None:
    with postgres() as database:
        url = database.url % "postgres"
        data = data_folder(tmp_path, f"database: {{url: '{url}'}}")
        with serve(data) as server:
            runs = create_fake(server, tmp_path, "runs")
            create_fake(server, tmp_path, "off", start=False)
            made = server.request("POST", KEYS, {"name": "one"}).json()
            gone = server.request("POST", KEYS, {"name": "gone"}).json()
            database.stop()
            assert server.request("DELETE", f"{KEYS}/{gone['id']}").status_code == 202
            refused = server.request("POST", "/v1/completions", {"model": "off"}, key=made["key"])
            assert refused.status_code == 503
            folder = url.partition("host=")[2]
            told = [refused.text, server.request("GET", "/health", key="").text]
            assert not any(folder in text or "socket" in text for text in told), told
            assert refused.json()["details"]["class"] == "store_unavailable"
            database.start()
            server.until_well()
            asked = server.request("POST", "/v1/completions", {"model": "off"}, key=made["key"])
            assert asked.status_code == 200, asked.text  # no cool-down
            server.request("POST", f"{BASE}/off/stop?wait=true")
            database.stop()
            server.kill()
        with serve(data) as server:
            assert health(server) == {"status": "degraded", "degraded": ["store"]}
            for path, key in ((BASE, server.key), ("/v1/models", made["key"])):
                away = server.request("GET", path, key=key)
                assert (away.status_code, away.json()["code"]) == (503, "store_unavailable")
                assert int(away.headers["retry-after"]) > 0
                assert folder not in away.text or key == server.key
            asked = server.request("POST", "/v1/completions", {"model": "runs"})
            assert asked.status_code == 503
            database.start()
            server.until_well()
            assert server.until("runs", "ready")["pid"] == runs["pid"]
            asked = server.request("POST", "/v1/completions", {"model": "runs"}, key=made["key"])
            assert asked.status_code == 200
            assert server.request("GET", "/v1/models", key=gone["key"]).status_code == 401
