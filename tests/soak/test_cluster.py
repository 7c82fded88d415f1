"""A model on three machines is asked all the time, while what keeps it there is killed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from support.clusters import ClusterMachine, cluster, join
from support.fake_engine import ENGINE, wrapper
from support.installed import PYTHON
from support.waits import until

BASE, CHAT = "/api/v1/instances", "/v1/chat/completions"
NAMES = ("chat", "chat@2", "chat@3")
CLIENTS = 16
SETTINGS = "instances: {min_residency: 0, node_grace: 60}\n"
_BACK_S = 120.0  # Ray takes its time


class Clients:
    """They go on whatever happens; each asks on behalf of many conversations."""

    def __init__(self, head: ClusterMachine) -> None:
        self._head = head
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._answers = Counter[str]()
        self._threads = [threading.Thread(target=self._ask, args=[n]) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        rng = random.Random(number)
        with self._head.machine.network(), self._head.client() as client:
            while not self._over.wait(rng.uniform(0.1, 0.6)):
                said = [{"role": "user", "content": f"Hi {rng.randrange(100)}"}]
                try:
                    answer = client.post(CHAT, json={"model": "chat", "messages": said})
                    what = "200" if answer.status_code == 200 else answer.text
                except httpx.TransportError as exc:
                    what = type(exc).__name__
                with self._lock:
                    self._answers[what] += 1

    def since(self) -> Counter[str]:
        """Answers since it was asked last."""
        with self._lock:
            answers, self._answers = self._answers, Counter()
        return answers

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


Machines = Sequence[ClusterMachine]
Fault = Callable[[Machines, random.Random], None]


def kill_engine(machines: Machines, rng: random.Random) -> None:
    rng.choice(machines).kill(str(ENGINE))


def kill_node(machines: Machines, rng: random.Random) -> None:
    """A service manager starts it again."""
    one = rng.choice(machines[1:])
    one.kill("llamactl node join")
    join(one, machines[0])


def kill_and_wait(one: ClusterMachine, words: str) -> None:
    """Returns when another one is there."""
    before = one.machine.pids(words)
    one.kill(words)
    until(
        f"another {words}", lambda: one.machine.pids(words),
        lambda now: now and not {*now} & {*before}, within=_BACK_S,
    )  # fmt: skip


def kill_raylet(machines: Machines, rng: random.Random) -> None:
    kill_and_wait(rng.choice(machines), "raylet/raylet")


def kill_driver(machines: Machines, rng: random.Random) -> None:
    kill_and_wait(machines[0], "ray.driver")


def kill_gcs(machines: Machines, rng: random.Random) -> None:
    kill_and_wait(machines[0], "gcs/gcs_server")


def kill_gcs_and_node(machines: Machines, rng: random.Random) -> None:
    """What moves while nobody can say so."""
    machines[0].kill("gcs/gcs_server")
    kill_node(machines, rng)


def pull_plug(machines: Machines, rng: random.Random) -> None:
    """For as long as it takes to be noticed."""
    head, one = machines[0], rng.choice(machines[1:])
    one.machine.run("ip", "link", "set", "eth0", "down")
    until_states(head, {one.name: "away"})
    one.machine.run("ip", "link", "set", "eth0", "up")


def kill_machine(machines: Machines, rng: random.Random) -> None:
    """All that runs there at once, as when it loses its power."""
    head, one = machines[0], rng.choice(machines[1:])
    pids = [str(pid) for pid in one.machine.pids() if pid != 1]
    one.machine.run("sh", "-c", f"kill -9 {' '.join(pids)} 2>/dev/null; true")
    until_states(head, {one.name: "away"})
    join(one, head)


def kill_server(machines: Machines, rng: random.Random) -> None:
    machines[0].kill("llamactl serve")
    machines[0].serve()


FAULTS: Mapping[str, Fault] = {
    "engine": kill_engine, "node": kill_node, "raylet": kill_raylet, "driver": kill_driver,
    "gcs": kill_gcs, "gcs and node": kill_gcs_and_node, "plug": pull_plug,
    "machine": kill_machine, "server": kill_server,
}  # fmt: skip
# while nobody listens there
NOT_LISTENING = {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}


def until_states(head: ClusterMachine, states: Mapping[str, str]) -> None:
    head.until_answer(
        "/api/v1/nodes", f"nodes {states}",
        lambda rows: states.items() <= {row["name"]: row["state"] for row in rows}.items(),
    )  # fmt: skip


def settled(machines: Machines) -> None:
    """All three serve, one on each machine, and nothing else is left of any."""
    head = machines[0]
    until_states(head, {one.name: "here" if one is head else "up" for one in machines})
    head.until_answer(
        BASE, "three replicas",
        lambda rows: [(row["name"], row["state"]) for row in rows]
        == [(name, "ready") for name in NAMES],
    )  # fmt: skip
    until(
        "one engine for each replica",
        lambda: [len(one.machine.pids(str(ENGINE))) for one in machines],
        lambda counts: sum(counts) == len(NAMES),
        within=_BACK_S,
    )


def order(rng: random.Random, scale: int) -> list[str]:
    """Each once; 20 more at random in a soak."""
    return [*rng.sample([*FAULTS], len(FAULTS)), *rng.choices([*FAULTS], k=20 * (scale > 1))]


@pytest.mark.timeout(1800)
def test_no_request_fails_while_another_machine_has_the_model(tmp_path: Path, scale: int) -> None:
    rng = random.Random(24)
    with (
        TemporaryDirectory(dir="/tmp") as folder,
        cluster(Path(folder), "one", "two", "three", settings=SETTINGS) as machines,
    ):
        head = machines[0]
        until_states(head, {"two": "up", "three": "up"})
        command = wrapper(tmp_path / "engine", PYTHON, ENGINE)
        body = {
            "model": "any", "command_override": str(command), "replicas": 3, "restart_delay": 0.1,
            "max_restarts": 1000,
        }  # fmt: skip
        head.request("POST", f"{BASE}/chat", body).raise_for_status()
        settled(machines)
        clients = Clients(head)
        try:
            for fault in order(rng, scale):
                clients.since()
                FAULTS[fault](machines, rng)
                settled(machines)
                answers = clients.since()
                allowed = {"200"} | (NOT_LISTENING if fault == "server" else set())
                assert answers.keys() <= allowed, (fault, answers)
        finally:
            clients.end()
        kept = head.request("GET", f"{BASE}/chat").json()["options"]
        assert (kept["replicas"], kept["max_restarts"]) == (3, 1000)
