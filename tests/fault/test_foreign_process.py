"""What the ledger names is not ours any more: it is never signalled."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.ledger import change, entries
from support.served import data_folder, is_alive, serve, until_gone
from support.waits import until

BASE = "/api/v1/instances"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        assert process.poll() is None, "it was signalled"
        process.kill()


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def steal(thief: socket.socket, port: int) -> None:
    """As soon as the last thread of the engine that had it is gone."""
    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def bound() -> bool:
        thief.bind(("127.0.0.1", port))
        return True

    until(f"port {port} free", bound, but=(OSError,))
    thief.listen()


@pytest.mark.parametrize("fault", ["pid", "boot"])
def test_a_number_that_somebody_else_has_now(
    tmp_path: Path, tiny_model: Path, stranger: subprocess.Popen[bytes], fault: str
) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = server.request("POST", f"{BASE}/mine", {"model": str(tiny_model)}).json()
        server.kill()
    os.kill(made["pid"], 9)
    until_gone(made["pid"])
    change(data, pid=stranger.pid)
    if fault == "boot":  # all the same, but before the machine was started again
        change(data, start_time=start_time(stranger.pid), boot_id="another")
    with serve(data) as server:
        again = server.until("mine", "ready")

        assert again["pid"] not in (made["pid"], stranger.pid)


def test_a_port_that_somebody_else_has_now(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = server.request("POST", f"{BASE}/mine", {"model": str(tiny_model)}).json()
        server.kill()
    os.kill(made["pid"], 9)
    until_gone(made["pid"])
    with socket.socket() as thief:
        steal(thief, made["port"])
        thief.setblocking(False)
        with serve(data) as server:
            again = server.until("mine", "ready")

            assert again["port"] != made["port"]
        with pytest.raises(BlockingIOError):
            thief.accept()  # not even asked


@pytest.mark.both_engines
def test_an_engine_whose_port_somebody_else_holds_is_not_adopted(
    tmp_path: Path, tiny_model: Path
) -> None:
    """The process is ours, what answers is not: it gets no request and no key."""
    data = data_folder(tmp_path, "instances: {unhealthy_after: 0.5}")
    with serve(data) as server:
        body = {"model": str(tiny_model), "restart_delay": 0.01}
        made = server.request("POST", f"{BASE}/mine", body).json()
        server.kill()
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        change(data, port=thief.getsockname()[1])
        with serve(data) as server:
            server.until_replaced("mine", made["pid"])
            assert server.until("mine", "ready")["port"] != thief.getsockname()[1]
        thief.setblocking(False)
        told = b""
        with contextlib.suppress(BlockingIOError):
            while True:
                caller, _ = thief.accept()
                with caller:
                    told += caller.recv(1000)

    assert told == b""


def test_an_entry_of_another_generation_is_ended(tmp_path: Path, tiny_model: Path) -> None:
    """Its story was lost, as the store failed; the process is provably ours."""
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = server.request("POST", f"{BASE}/mine", {"model": str(tiny_model)}).json()
        server.kill()
    change(data, generation=7)
    with serve(data) as server:
        assert server.until("mine", "ready")["pid"] != made["pid"]
        assert not is_alive(made["pid"])
        assert [entry["generation"] for entry in entries(data)] != [7]
