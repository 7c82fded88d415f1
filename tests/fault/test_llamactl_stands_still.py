"""llamactl itself stands still for a while: nobody else is to pay for that."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.fake_engine import CHUNKED, create_fake, play, post, raw, tell, to_end, until_told
from support.faults import BASE
from support.served import Served, data_folder, serve
from support.waits import let_pass, until

STALL_S = 2.0
STALLING = (str(Path(__file__).parents[1] / "support" / "stalling.py"), str(STALL_S))
# each limit is much shorter than the stall
SETTINGS = (
    "server: {first_byte_timeout: 1, stream_idle_timeout: 1}\n"
    "instances: {health_interval: 0.05, health_timeout: 0.2, unhealthy_after: 0.4,"
    " start_timeout: 1.2, on_demand_start_timeout: 1.5, memory_budget: 'off'}\n"
)


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stopped(server: Served, meanwhile: Callable[[], None]) -> None:
    """The whole process, as in swap or by a debugger."""
    pid = server.process.pid
    os.kill(pid, signal.SIGSTOP)
    until("a stopped process", lambda: is_stopped(pid))
    began = time.monotonic()
    meanwhile()
    let_pass(max(0.0, began + STALL_S - time.monotonic()))
    os.kill(pid, signal.SIGCONT)


def busy(server: Served, meanwhile: Callable[[], None]) -> None:
    """Its event loop alone, as by a computation."""
    os.kill(server.process.pid, signal.SIGUSR1)
    meanwhile()


def talk(server: Served, stack: ExitStack, name: str, *steps: Sequence[object]) -> socket.socket:
    client = stack.enter_context(raw(server))
    body = json.dumps(play(name, *steps)).encode()
    client.sendall(post(server, body, "Connection: close"))
    return client


@pytest.mark.parametrize("stall", [stopped, busy])
def test_engines_and_requests_outlive_it(
    tmp_path: Path, stall: Callable[[Served, Callable[[], None]], None]
) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data, program=STALLING) as server, ExitStack() as stack:
        made = {n: create_fake(server, tmp_path, n) for n in ("idle", "works")}
        loads = create_fake(server, tmp_path, "slow", start=False, model="slow")
        answer = ["send", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"]
        waits = talk(server, stack, "works", ["until", "go"], answer)
        events = [["event", f"data: {n}\n\n"] for n in (1, 2)]
        steps = [["send", CHUNKED], events[0], ["until", "go"], events[1], ["send", "0\r\n\r\n"]]
        streams = talk(server, stack, "works", *steps)
        streams.recv(1)
        starts = talk(server, stack, "slow", answer)
        loads = server.until_row(
            "slow", "a load", lambda row: row["state"] == "starting" and row["pid"]
        )
        made["slow"] = loads

        def meanwhile() -> None:
            tell(made["works"], "go")

        stall(server, meanwhile)

        assert to_end(waits).endswith(b"here")
        assert b"data: 2" in to_end(streams)
        until_told(loads, "loaded")
        assert to_end(starts).endswith(b"here")
        for name, before in made.items():
            now = server.instance(name)
            assert (now["state"], now["pid"]) == ("ready", before["pid"]), now
            seen = [e["event"] for e in server.request("GET", f"{BASE}/{name}/events").json()]
            assert not {"BecameUnhealthy", "StartGivenUp", "Exited"} & {*seen}, seen


@pytest.mark.parametrize("stall", [stopped, busy])
def test_an_engine_that_ends_meanwhile_is_not_killed(
    tmp_path: Path, stall: Callable[[Served, Callable[[], None]], None]
) -> None:
    data = data_folder(tmp_path, "instances: {stop_timeout: 0.5}\n")
    with serve(data, program=STALLING) as server:
        create_fake(server, tmp_path, "polite", environment={"LAST_WORDS": "0.3"})
        asking = threading.Thread(
            target=server.request, args=("POST", f"{BASE}/polite/stop?wait=true")
        )
        asking.start()
        server.until("polite", "stopping")

        stall(server, lambda: None)

        asking.join(30)
        assert server.until("polite", "stopped")["pid"] is None
    assert "instance_killed" not in (tmp_path / "data.err").read_text()
