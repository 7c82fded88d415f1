"""Whatever is killed around containers, in any order: one serves in the end, nothing is left."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

from support.containers import ContainerEngine, Daemon
from support.in_containers import chat, clients, container_ids, create, llama
from support.served import BASE, Served, data_folder, is_alive, serve
from support.waits import until

KILLS = 8


def kill_engine(server: Served, engine: ContainerEngine) -> None:
    with suppress(ProcessLookupError, TypeError):
        server.kill_pid(server.instance("boxed").get("pid"))


def kill_clients(server: Served, engine: ContainerEngine) -> None:
    for container in container_ids(engine):
        for pid in clients(container):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_kills_in_any_order(
    tmp_path: Path, docker_daemon: Daemon, tiny_model: Path, scale: int
) -> None:
    data, engine, chance = data_folder(tmp_path, ""), docker_daemon.engine, random.Random(7)
    given = {**llama(engine, tiny_model), "restart_delay": 0.01, "max_restarts": 1000}
    pids, done, first = set(), 0, True
    while done < KILLS * scale:
        with serve(data, engine.environment) as server:
            if first:
                create(server, "boxed", given)
                first = False
            for _ in range(chance.randint(1, 4)):
                done += 1
                match chance.choice(("engine", "clients", "daemon")):
                    case "engine":
                        kill_engine(server, engine)
                    case "clients":
                        kill_clients(server, engine)
                    case _:
                        docker_daemon.stop(signal.SIGKILL)
                        docker_daemon.start()
                pids.add(server.until("boxed", "ready")["pid"])
            server.kill()
    with serve(data, engine.environment) as server:
        row = server.until("boxed", "ready")
        answer = chat(server, "boxed")
        there = until("one container", lambda: container_ids(engine), lambda ids: len(ids) == 1)
        followers = clients(there[0])
        server.request("DELETE", f"{BASE}/boxed?force=true")

    assert answer.status_code == 200, answer.text
    assert [pid for pid in pids | {row["pid"]} if is_alive(pid)] == []
    assert len(followers) == 2
    assert container_ids(engine) == [] and clients(there[0]) == []
