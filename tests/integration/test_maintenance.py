"""backup, restore, doctor, upgrade: from the command line, beside a server that serves."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from support.fake_engine import create_fake
from support.installed import PYTHON
from support.ledger import change, entries
from support.served import data_folder, end, serve

BASE = "/api/v1/instances"


def command(data: Path, *words: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    said = subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(data)],
        capture_output=True, text=True, check=False, cwd=data,
        env={**os.environ, "HOME": str(data), **(env or {})},
    )  # fmt: skip
    assert "Traceback" not in said.stderr, said.stderr
    return said.returncode, said.stdout + said.stderr


def test_a_backup_made_while_it_serves_is_restored(tmp_path: Path) -> None:
    data, copy = data_folder(tmp_path, ""), tmp_path / "copy.db"
    with serve(data) as server:
        create_fake(server, tmp_path, "kept", start=False)
        assert command(data, "backup", "../copy.db") == (0, "wrote ../copy.db\n")
        create_fake(server, tmp_path, "later", start=False)
        code, said = command(data, "restore", str(copy))
        assert (code, "in use by another llamactl" in said) == (1, True)
    assert copy.stat().st_mode & 0o777 == 0o600
    (data / "llamactl.db").write_bytes(b"\xff" * 10_000)  # what it is for
    assert command(data, "restore", "../copy.db")[0] == 0
    with serve(data) as server:
        assert [row["name"] for row in server.request("GET", BASE).json()] == ["kept"]


def test_a_backup_leaves_nothing_but_itself(tmp_path: Path) -> None:
    data, there = data_folder(tmp_path, ""), tmp_path / "copies"
    there.mkdir()
    copy = there / "copy.db"
    with serve(data) as server:
        create_fake(server, tmp_path, "kept", start=False)
        for stale in ("copy.db.part", "copy.db.part-wal", "copy.db.part-shm"):
            (there / stale).write_text("of one that was killed")
        for _ in range(2):
            assert command(data, "backup", str(copy))[0] == 0
            assert [path.name for path in there.iterdir()] == ["copy.db"]
        (there / "folder").mkdir()
        assert command(data, "backup", str(there / "folder"))[0] == 1
        assert {path.name for path in there.iterdir()} == {"copy.db", "folder"}
    before = {path.name for path in data.iterdir()}
    assert command(data, "restore", str(copy))[0] == 0
    assert {path.name for path in there.iterdir()} == {"copy.db", "folder"}
    assert not [n for n in {path.name for path in data.iterdir()} - before if "part" in n]


def test_a_restore_forgets_no_engine_that_runs(tmp_path: Path) -> None:
    data, copy = data_folder(tmp_path, ""), tmp_path / "copy.db"
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        command(data, "backup", str(copy))
        server.kill()
    code, said = command(data, "restore", str(copy))
    assert (code, str(made["pid"]) in said) == (1, True)
    (tmp_path / "no.db").write_text("no store")
    assert "is not a llamactl store" in command(data, "restore", str(tmp_path / "no.db"))[1]
    with closing(sqlite3.connect(tmp_path / "bare.db")) as bare, bare:
        bare.execute("CREATE TABLE alembic_version (version_num TEXT)")
        bare.execute("INSERT INTO alembic_version VALUES ('0003')")
    assert "is not a llamactl store" in command(data, "restore", str(tmp_path / "bare.db"))[1]
    for own in ("llamactl.db", "llamactl.db.part"):
        assert "part of the store itself" in command(data, "backup", str(data / own))[1]
    with serve(data) as server:
        server.until("one", "ready")


def test_a_copy_elsewhere_knows_nothing_of_the_engines_here(tmp_path: Path) -> None:
    data, copy = data_folder(tmp_path, ""), tmp_path / "copy.db"
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one")
        command(data, "backup", str(copy))
        (tmp_path / "other").mkdir()
        other = data_folder(tmp_path / "other", "")
        assert command(other, "restore", str(copy))[0] == 0
        assert entries(other) == []
        with serve(other) as second:
            assert second.until("one", "ready")["pid"] != made["pid"]
        assert server.instance("one")["pid"] == made["pid"]


def test_doctor_finds_nothing_where_all_is_well(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    data.chmod(0o700)
    with serve(data) as server:
        create_fake(server, tmp_path, "one")
        code, said = command(data, "doctor", "--json")
        levels = {finding["level"] for finding in json.loads(said)}
        assert (code, levels) == (0, {"ok"}), said


def test_doctor_says_what_to_do(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    env = {"LLAMACTL_LLAMACPP_COMMAND": "/nowhere/engine"}
    with serve(data):
        pass
    (data / "management_key").chmod(0o644)
    code, said = command(data, "doctor", env=env)

    assert code == 1
    assert "FAILURE  engine: the engine's command '/nowhere/engine' was not found" in said
    assert "can be read by others" in said and "chmod 600" in said
    (data / "llamactl.yaml").write_text("instances: {max_instances: many}")
    code, said = command(data, "doctor")
    assert (code, said.startswith("FAILURE  settings: ")) == (1, True)


def test_doctor_names_what_runs_alone_and_who_has_our_ports(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create_fake(server, tmp_path, "one")
        server.kill()
    assert "running without llamactl; the next one will adopt it" in command(data, "doctor")[1]
    with serve(data) as server:
        server.until("one", "ready")
        server.kill()
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.listen()
            pid = server_pid(data)
            change(data, start_time=1, port=stranger.getsockname()[1])
            assert f"pid {os.getpid()} has its port" in command(data, "doctor")[1]
    change(data, start_time=start_time(pid))
    with serve(data):
        pass


def server_pid(data: Path) -> int:
    return int(entries(data)[0]["pid"])


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_upgrade_tells_the_service_manager_who_serves(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with serve(data, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert f"READY=1\nMAINPID={server.process.pid}" in manager.recv(1000).decode()
            code, said = command(data, "upgrade")
            assert (code, "is now serving" in said) == (0, True)
            pid = int(said.split()[1])
            assert f"MAINPID={pid}" in manager.recv(1000).decode()
            assert server.process.wait(30) == 0
            end(pid)
