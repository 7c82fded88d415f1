"""Several machines behind one server, by the commands of docs/cluster.md, on real Ray."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from llamactl.cluster.certificates import Files
from llamactl.cluster.folder import ClusterFolder
from llamactl.config import Settings
from llamactl.maintenance.membership import begin_cluster
from support.clusters import ClusterMachine, cluster, join
from support.fake_engine import ENGINE, wrapper
from support.installed import PYTHON
from support.waits import until

BASE, CHAT = "/api/v1/instances", "/v1/chat/completions"
_HELLO = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}


@pytest.fixture
def machines() -> Generator[Sequence[ClusterMachine]]:
    with TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder), "one", "two") as there:
        there[0].until_nodes(one="here", two="up")
        yield there


def create(head: ClusterMachine, name: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = head.request("POST", f"{BASE}/{name}?wait=true", {"nodes": ["two"], **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def fake(head: ClusterMachine, folder: Path, name: str, **more: object) -> dict[str, Any]:
    command = wrapper(folder / "engine", PYTHON, ENGINE)
    return create(head, name, {"model": "any", "command_override": str(command), **more})


def ask(head: ClusterMachine, name: str) -> int:
    return head.request("POST", CHAT, {"model": name, **_HELLO}).status_code


def converse(head: ClusterMachine, number: int) -> int:
    body = {"model": "chat", "messages": [{"role": "user", "content": f"Hi {number}"}]}
    return head.request("POST", CHAT, body).status_code


def row(head: ClusterMachine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = head.request("GET", f"{BASE}/{name}").json()
    return found


def until_state(head: ClusterMachine, name: str, state: str) -> Any:
    return head.until_answer(f"{BASE}/{name}", f"{name} {state}", lambda now: now["state"] == state)


def test_a_model_on_another_machine_answers(
    machines: Sequence[ClusterMachine], tiny_model: Path
) -> None:
    head, two = machines

    create(head, "far", {"model": str(tiny_model), "ctx_size": 512})
    answer = head.request("POST", CHAT, {"model": "far", **_HELLO})
    names = head.llamactl("node", "ls").splitlines()
    shown, machine = row(head, "far"), head.llamactl("node", "show", "two").splitlines()
    stopped = head.request("POST", f"{BASE}/far/stop?wait=true").json()

    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["completion_tokens"] > 0
    assert [line.split()[:3] for line in names[1:]] == [
        ["one", "here", head.machine.address], ["two", "up", two.machine.address],
    ]  # fmt: skip
    assert names[2].split()[-1] == "far"
    assert shown["memory"]["ram"] > 0
    assert (shown["node"], shown["memory"]["gpus"]) == ("two", {})
    assert machine[0] == "two: up" and machine[-1].startswith("far ")
    assert "start 1: " in head.llamactl("logs", "far"), "its log is read from there"
    assert stopped["state"] == "stopped"
    assert two.machine.pids("llamactl.engine") == []


def test_requests_outlive_what_they_wait_for(
    machines: Sequence[ClusterMachine], tmp_path: Path
) -> None:
    """The network, the server, the node's process: each goes and comes back."""
    head, two = machines
    made = fake(head, tmp_path, "far")
    head.request("POST", CHAT, {"model": "far", **_HELLO}).raise_for_status()

    two.machine.run("ip", "link", "set", "eth0", "down")
    until_state(head, "far", "lost")
    said: list[int] = []

    def ask() -> None:
        said.append(head.request("POST", CHAT, {"model": "far", **_HELLO}).status_code)

    waits = threading.Thread(target=ask)
    waits.start()
    head.until_answer(f"{BASE}/far", "who waits", lambda now: now["waiting"] == 1)
    two.machine.run("ip", "link", "set", "eth0", "up")
    waits.join(120)
    assert said == [200]
    assert row(head, "far")["pid"] == made["pid"]

    head.kill("llamactl serve")
    head.serve()
    assert until_state(head, "far", "ready")["pid"] == made["pid"]
    assert head.request("POST", CHAT, {"model": "far", **_HELLO}).status_code == 200

    two.kill("node join")
    join(two, head)
    assert head.request("POST", CHAT, {"model": "far", **_HELLO}).status_code == 200
    assert row(head, "far")["pid"] == made["pid"]

    two.stop("node join")
    join(two, head)
    assert head.request("POST", CHAT, {"model": "far", **_HELLO}).status_code == 200
    assert row(head, "far")["pid"] == made["pid"]

    two.machine.run("kill", "-9", str(made["pid"]))
    again = head.until_answer(
        f"{BASE}/far", "another one",
        lambda now: now["state"] == "ready" and now["pid"] != made["pid"],
    )  # fmt: skip
    events = [one["event"] for one in head.request("GET", f"{BASE}/far/events").json()]
    assert {"NodeLost", "NodeFound"} <= {*events}
    assert two.machine.pids(str(ENGINE)) == [again["pid"]]


def test_what_ended_while_its_machine_was_away_starts_again(
    machines: Sequence[ClusterMachine], tmp_path: Path
) -> None:
    head, two = machines
    made = fake(head, tmp_path, "far")

    two.machine.run("ip", "link", "set", "eth0", "down")
    until_state(head, "far", "lost")
    two.machine.run("kill", "-9", str(made["pid"]))
    until("its end", lambda: two.machine.pids(str(ENGINE)), lambda pids: pids == [])
    refused = head.request("POST", f"{BASE}/other", {"model": "any", "nodes": ["two"]})
    moved = head.request("PUT", f"{BASE}/far", {"nodes": ["one"]})
    two.machine.run("ip", "link", "set", "eth0", "up")

    assert until_state(head, "far", "ready")["pid"] != made["pid"]
    assert (refused.status_code, refused.json()["code"]) == (503, "node_away")
    assert moved.status_code == 409, moved.text


def test_a_machine_that_is_given_up_has_no_instances_when_it_is_back(
    machines: Sequence[ClusterMachine], tmp_path: Path
) -> None:
    head, two = machines
    fake(head, tmp_path, "far")
    too_early = head.request("DELETE", "/api/v1/nodes/two")

    two.machine.run("ip", "link", "set", "eth0", "down")
    until_state(head, "far", "lost")
    said = head.llamactl("node", "rm", "two")
    head.until_nodes(one="here")
    stopped = row(head, "far")
    head.request("PUT", f"{BASE}/far", {"nodes": []}).raise_for_status()
    here = head.request("POST", f"{BASE}/far/start?wait=true").json()
    two.machine.run("ip", "link", "set", "eth0", "up")
    head.until_nodes(one="here", two="up")

    until("the end of what ran there", lambda: two.machine.pids(str(ENGINE)), lambda now: not now)
    assert too_early.status_code == 409, too_early.text
    assert said == "two was given up\n"
    assert (stopped["state"], stopped["node"], stopped["pid"]) == ("stopped", "two", None)
    assert (here["state"], here["node"]) == ("ready", "one")
    assert row(head, "far")["pid"] == here["pid"]
    assert head.request("DELETE", f"{BASE}/far").status_code == 204
    head.until_nodes(one="here", two="up")
    assert head.request("DELETE", "/api/v1/nodes/three").json()["code"] == "node_not_found"


def test_instances_find_their_machines_and_leave_those_that_are_gone(tmp_path: Path) -> None:
    with (
        TemporaryDirectory(dir="/tmp") as folder,
        cluster(Path(folder), "one", "two", "three") as (head, two, three),
    ):
        head.until_nodes(one="here", two="up", three="up")
        got = {name: fake(head, tmp_path, name, nodes=[])["node"] for name in "abc"}
        assert sorted(got.values()) == ["one", "three", "two"]
        names = {node: name for name, node in got.items()}

        head.settings.write_text("instances: {placement: pack, node_grace: 3}")
        head.llamactl("reload")
        assert len({fake(head, tmp_path, name, nodes=[])["node"] for name in "de"}) == 1
        for name in "de":
            head.request("DELETE", f"{BASE}/{name}").raise_for_status()
        two.machine.run("ip", "link", "set", "eth0", "down")
        until_state(head, names["two"], "lost")
        assert ask(head, names["two"]) == 200
        moved = row(head, names["two"])
        assert moved["node"] != "two"
        two.machine.run("ip", "link", "set", "eth0", "up")
        until(
            "the end of what ran there", lambda: two.machine.pids(str(ENGINE)), lambda now: not now
        )
        assert row(head, names["two"])["pid"] == moved["pid"]

        head.until_nodes(one="here", two="up", three="up")
        said = head.llamactl("node", "drain", "three", "--wait")
        assert three.machine.pids(str(ENGINE)) == []
        assert said == "three is drained\n"
        seen = head.llamactl("cluster", "status")
        assert f"one is the head of the cluster at {head.machine.address}:" in seen
        assert "3 up: one, three, two" in seen and "drained   three" in seen
        assert "two belongs to the cluster" in two.llamactl("cluster", "status")
        assert "up, drained" in head.llamactl("node", "ls")
        assert ask(head, names["three"]) == 200
        head.request("POST", f"{BASE}/{names['three']}/stop?wait=true").raise_for_status()
        plan = head.llamactl("plan", names["three"], "--start")
        assert "node three: node 'three' is drained" in plan
        assert fake(head, tmp_path, "f", nodes=[])["node"] != "three"

        head.kill("llamactl serve")
        head.serve()
        assert "up, drained" in until(
            "both nodes", lambda: head.llamactl("node", "ls"), lambda now: now.count("up") == 2
        )
        head.llamactl("node", "resume", "three")
        assert fake(head, tmp_path, "g", nodes=["three"])["node"] == "three"


def test_machines_speak_to_nobody_else(machines: Sequence[ClusterMachine]) -> None:
    """What Ray says is encrypted, by the certificates of the cluster."""
    head, two = machines
    where = (head.machine.address, head.cluster_port)
    tls = Files(two.data / "cluster").client()
    tls.set_alpn_protocols(["h2"])

    with two.machine.network():
        with socket.create_connection(where, 10) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            answer = plain.recv(100)
        with (
            socket.create_connection(where, 10) as connection,
            tls.wrap_socket(connection, server_hostname=where[0]) as encrypted,
        ):
            version = encrypted.version()

    assert answer[:1] in (b"", b"\x15"), "nothing, or TLS's alert"
    assert version == "TLSv1.3"


def test_mistakes_are_said(machines: Sequence[ClusterMachine], tmp_path: Path) -> None:
    head, two = machines
    elsewhere, token, other = tmp_path / "data", tmp_path / "token", tmp_path / "other"
    token.write_text("")
    begin_cluster(Settings(data_dir=tmp_path / "c"), "10.20.30.1", 6399, "x")
    ClusterFolder(tmp_path / "c").token.rename(other)
    port = f"{head.machine.address}:{head.cluster_port}"

    for words, why in (
        (["node", "join", port, f"--token-file={head.token}", f"--data-dir={head.data}"], "in use"),
        (["node", "join", port, f"--token-file={other}"], "not that of the cluster at"),
        (["node", "join", port, f"--token-file={Path(__file__)}"], "is not the token of"),
        (["node", "join", "10.20.30.9:1", f"--token-file={token}"], "there is no token in"),
        (["node", "join", "10.20.30.2:1", f"--token-file={head.token}"], "no cluster answers at"),
        (["cluster", "init", "--address=me"], "not an IP address"),
        (["node", "leave"], "belongs to no cluster"),
        (
            ["cluster", "init", "--address=10.20.30.1", f"--data-dir={head.data}"],
            "belongs to the cluster",
        ),
    ):
        assert why in two.refused(*words, data=elsewhere), words
    assert json.loads(head.llamactl("node", "ls", "--json"))[1]["state"] == "up"
    two.kill("node join")
    assert "is that of node 'two'" in two.refused("serve", f"--data-dir={two.data}", data=elsewhere)


def test_replicas_keep_apart_and_the_plug_of_one_costs_nothing(tmp_path: Path) -> None:
    with (
        TemporaryDirectory(dir="/tmp") as folder,
        cluster(Path(folder), "one", "two", "three") as (head, two, three),
    ):
        head.until_nodes(one="here", two="up", three="up")
        fake(head, tmp_path, "chat", nodes=[], replicas=3)
        names = ("chat", "chat@2", "chat@3")
        rows = {name: until_state(head, name, "ready") for name in names}
        assert {now["node"] for now in rows.values()} == {"one", "two", "three"}
        [cut_off] = [name for name, now in rows.items() if now["node"] == "two"]

        two.machine.run("ip", "link", "set", "eth0", "down")
        # of many conversations, some have their home there
        with ThreadPoolExecutor(20) as pool:
            said = [*pool.map(lambda n: converse(head, n), range(20))]
        until_state(head, cut_off, "lost")
        said += [converse(head, n) for n in range(20)]
        assert {*said} == {200}
        assert [row(head, name)["state"] for name in names if name != cut_off] == ["ready"] * 2
        two.machine.run("ip", "link", "set", "eth0", "up")
        assert until_state(head, cut_off, "ready")["pid"] == rows[cut_off]["pid"]

        two.machine.run("kill", "-9", str(rows[cut_off]["pid"]))
        assert {converse(head, n) for n in range(20)} == {200}
        assert len(three.machine.pids(str(ENGINE))) == 1
