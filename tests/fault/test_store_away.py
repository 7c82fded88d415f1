"""The disk is full, or the store can't be written to, or is damaged, while streams run."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.fake_engine import begin_stream, create_fake, raw, tell, to_end
from support.full_disk import fill, small_disk, unchangeable
from support.served import Served, data_folder, serve, spawn

BASE = "/api/v1/instances"
NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 and "LLAMACTL_CI" not in os.environ,
    reason="needs root, for a disk that is full",
)


def health(server: Served) -> object:
    return server.request("GET", "/health").json()


@NEEDS_ROOT
@pytest.mark.parametrize("fault", ["full", "read_only"])
def test_streams_finish_and_it_recovers_by_itself(tmp_path: Path, fault: str) -> None:
    with ExitStack() as stack:
        folder = tmp_path
        if fault == "full":
            folder = stack.enter_context(small_disk(tmp_path / "disk", "4m"))
        data = data_folder(folder, "")
        server = stack.enter_context(serve(data))
        made = create_fake(server, tmp_path, "streams")
        dies = create_fake(server, tmp_path, "dies", restart_delay=0.01)
        client = stack.enter_context(raw(server))
        begin_stream(server, client, "streams")
        with ExitStack() as broken:
            if fault == "full":
                filler = fill(folder)
                broken.callback(filler.unlink)
            else:
                store = data / "llamactl.db"
                broken.enter_context(unchangeable(store, store.with_name("llamactl.db-wal")))
            refused = server.request("POST", f"{BASE}/new?start=false", {"model": "/m.gguf"})
            assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
            assert health(server) == {"status": "degraded", "degraded": ["store"]}
            os.kill(dies["pid"], signal.SIGKILL)  # what is not written down is not started
            server.until_row("dies", "its failure", lambda row: row["failure"])

            tell(made, "go")
            assert b"[DONE]" in to_end(client)
            answer = server.request("POST", "/v1/completions", {"model": "streams"})
            assert answer.status_code == 200

        server.until_well()
        assert server.until("dies", "ready")["pid"] != dies["pid"]
        again = server.request("POST", f"{BASE}/new?start=false", {"model": "/m.gguf"})
        assert again.status_code == 201
        server.until_event("dies", "Exited")  # written later, not lost
        server.until_answer(
            f"{BASE}/dies/events", "BecameReady", lambda rows: rows[-1]["event"] == "BecameReady"
        )


@NEEDS_ROOT
def test_requests_spawn_nothing_while_the_store_is_away(tmp_path: Path) -> None:
    """What can't be written down is not let go, so each would be a process for nothing."""
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create_fake(server, tmp_path, "off", start=False)
        store = data / "llamactl.db"
        with unchangeable(store, store.with_name("llamactl.db-wal")):
            server.request("POST", f"{BASE}/new?start=false", {"model": "/m.gguf"})  # it is seen
            for _ in range(10):
                answer = server.request("POST", "/v1/completions", {"model": "off"})
                assert (answer.status_code, answer.json()["code"]) == (503, "start_failed")
                assert answer.json()["details"]["class"] == "store_unavailable"
                assert int(answer.headers["retry-after"]) > 0
            assert server.instance("off")["generation"] == 0
        server.until_well()
        assert server.request("POST", "/v1/completions", {"model": "off"}).status_code == 200


def test_a_damaged_store_is_refused_with_what_to_do(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        for number in range(30):
            create_fake(server, tmp_path, f"i{number}", start=False)
    store = data / "llamactl.db"
    whole = store.read_bytes()
    store.write_bytes(whole[:8192] + b"\xff" * 4096 * 4 + whole[8192 + 4096 * 4 :])
    process = spawn(data, args=("--port", "0"))
    assert process.wait(20) == 1
    assert process.stdout is not None
    process.stdout.close()

    said = (tmp_path / "data.err").read_text()
    assert "llamactl cannot start: the store is damaged" in said
    assert "llamactl restore" in said and "Traceback" not in said
    store.write_bytes(whole)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    from support.ledger import store

    data = data_folder(tmp_path, "")
    with serve(data):
        pass
    with store(data) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    process = spawn(data, args=("--port", "0"))
    assert process.wait(20) == 1
    assert process.stdout is not None
    process.stdout.close()

    assert "by a newer llamactl" in (tmp_path / "data.err").read_text()
