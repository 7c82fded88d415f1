"""llamactl is killed, or replaced, while its engines run in containers: they are adopted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.containers import IMAGE, ContainerEngine
from support.in_containers import chat, clients, container_ids, create, llama, log_of, shell
from support.served import BASE, data_folder, serve
from support.waits import until

COUNTING = "i=0; while :; do i=$((i+1)); echo line $i.; sleep 0.1; done"


def counting(engine: ContainerEngine) -> dict[str, object]:
    """It counts in its log, and serves nothing; what listens at its port counts as it."""
    return {**shell(engine, COUNTING), "restart_delay": 0.01}


def test_a_container_is_adopted_after_a_kill(
    tmp_path: Path, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    data, engine = data_folder(tmp_path, ""), container_engine
    with serve(data, engine.environment) as server:
        made = create(server, "boxed", llama(engine, tiny_model))
        before = container_ids(engine)
        server.kill()
    assert container_ids(engine) == before
    with serve(data, engine.environment) as server:
        row = server.until("boxed", "ready")
        answer, after = chat(server, "boxed"), container_ids(engine)
        server.request("POST", f"{BASE}/boxed/stop?wait=true")
        log = log_of(server, "boxed")

    assert (row["pid"], after) == (made["pid"], before)
    assert answer.status_code == 200
    assert log.count("model loaded") == 1  # not again, and not said twice
    assert log.count("stop processing") == 1
    assert container_ids(engine) == [] and clients(before[0]) == []


def test_a_container_is_handed_over_at_an_upgrade(
    tmp_path: Path, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    data, engine = data_folder(tmp_path, ""), container_engine
    with serve(data, engine.environment) as server:
        made = create(server, "boxed", llama(engine, tiny_model))
        before = container_ids(engine)
        server.upgrade()
        row = server.until("boxed", "ready")
        answer, after = chat(server, "boxed"), container_ids(engine)
        stopped = server.request("POST", f"{BASE}/boxed/stop?wait=true").json()
        log = log_of(server, "boxed")

    assert (row["pid"], after) == (made["pid"], before)
    assert (answer.status_code, stopped["state"]) == (200, "stopped")
    assert log.count("model loaded") == 1 and log.count("stop processing") == 1
    assert container_ids(engine) == []


def test_a_container_that_ended_meanwhile_is_removed_and_its_end_is_known(
    tmp_path: Path, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    data, engine = data_folder(tmp_path, ""), container_engine
    with serve(data, engine.environment) as server:
        made = create(server, "boxed", llama(engine, tiny_model))
        before = container_ids(engine)
        server.kill()
    os.kill(made["pid"], signal.SIGKILL)
    until("the end of its container", lambda: engine.run("ps", "-q"), lambda said: said == "")
    with serve(data, engine.environment) as server:
        row = server.until("boxed", "ready")
        events = server.request("GET", f"{BASE}/boxed/events").json()

    assert row["pid"] != made["pid"]
    assert "NodeFound" in [event["event"] for event in events]
    assert before[0] not in container_ids(engine) and container_ids(engine) == []


def test_what_nobody_knows_is_removed_but_not_what_is_anothers(
    tmp_path: Path, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    """One that was created, and then llamactl was killed before it could write that down."""
    engine, data = container_engine, data_folder(tmp_path, "")
    (tmp_path / "other").mkdir()
    with serve(data, engine.environment) as server:
        create(server, "boxed", llama(engine, tiny_model))
        labels = engine.run(
            "inspect", container_ids(engine)[0], "--format", "{{json .Config.Labels}}"
        )
        server.request("POST", f"{BASE}/boxed/stop?wait=true")
    owner = labels.split('"llamactl.node":"')[1].split('"')[0]
    make = ("create", "--pull", "never", "--network", "host", "--label", "llamactl.replica=gone")
    lost = engine.run(*make, "--label", f"llamactl.node={owner}", IMAGE).split()[-1]
    theirs = engine.run(*make, "--label", "llamactl.node=another", IMAGE).split()[-1]
    with serve(tmp_path / "other", engine.environment):
        assert lost in container_ids(engine)
    with serve(data, engine.environment) as server:
        until("what is left over to be gone", lambda: lost not in container_ids(engine))
    left = container_ids(engine)
    engine.run("rm", "-f", theirs)

    assert left == [theirs]


def test_clients_that_are_killed_are_replaced_and_no_line_is_lost(
    tmp_path: Path, container_engine: ContainerEngine
) -> None:
    engine = container_engine
    with serve(data_folder(tmp_path, ""), engine.environment) as server:
        given = counting(engine)
        made = server.request("POST", f"{BASE}/counts?wait=false", given).json()
        until("lines of its log", lambda: "line 3." in log_of(server, "counts"))
        [container] = container_ids(engine)
        killed = clients(container)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(
            "other clients", lambda: set(clients(container)),
            lambda now: len(now) >= 2 and now.isdisjoint(killed),
        )  # fmt: skip
        row = server.instance("counts")
        here = int(log_of(server, "counts").rsplit("line ", 1)[1].split(".")[0])
        until("more of its log", lambda: f"line {here + 20}." in log_of(server, "counts"))
        log = log_of(server, "counts")
        there = container_ids(engine)
        server.request("DELETE", f"{BASE}/counts?force=true")

    assert len(killed) >= 2
    assert row["generation"] == made["generation"] and there == [container]
    said = [int(line[5:-1]) for line in log.splitlines() if line.startswith("line ")]
    assert sorted(set(said)) == list(range(1, max(said) + 1))
    assert len(said) - len(set(said)) <= 30


@pytest.mark.parametrize("when", ["ready", "loading"])
def test_a_stop_is_not_disturbed_by_clients_that_are_killed(
    tmp_path: Path, container_engine: ContainerEngine, tiny_model: Path, when: str
) -> None:
    engine = container_engine
    with serve(data_folder(tmp_path, ""), engine.environment) as server:
        if when == "ready":
            create(server, "boxed", llama(engine, tiny_model))
        else:
            server.request("POST", f"{BASE}/boxed?wait=false", counting(engine))
            until("its container", lambda: engine.run("ps", "-q"))
        for container in container_ids(engine):
            for pid in clients(container):
                os.kill(pid, signal.SIGKILL)
        stopped = server.request("POST", f"{BASE}/boxed/stop?wait=true&force=true").json()
        there = container_ids(engine)

    assert (stopped["state"], there) == ("stopped", [])
