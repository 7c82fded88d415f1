"""`make bench-cluster`: what the way to another machine costs, and what a second one gains.

The machines are namespaces of this one, on a network without delay: what is measured is processor
time and what our processes add. Engines on the server's own machine and on the other take turns.
"""

from __future__ import annotations

import http.client
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from benchmarks.process import cpu_s, memory_mb
from benchmarks.proxy.load import BODY, Cost, Server, load
from support.clusters import ClusterMachine, cluster
from support.served import BASE, children_of

HERE = Path(__file__).parent.absolute()
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
RUNS = int(os.environ.get("BENCH_RUNS", "7"))
SERIAL = 1_000  # requests, one after the other
_PORT = 8080
_PLACES = {"here": "one", "there": "two"}  # an instance, and its machine
_EMBED = "/v1/embeddings"  # these are no conversations, so that they stay nowhere


def create(head: ClusterMachine, folder: Path, name: str, command: str, **more: object) -> None:
    script = folder / name
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    body = {"model": "x", "command_override": str(script), **more}
    head.request("POST", f"{BASE}/{name}?wait=true", body).raise_for_status()


def process_of(machine: ClusterMachine) -> int:
    """Its server, or its node, as seen from outside."""
    (pid,) = children_of(machine.machine.started[0].pid)
    return pid


def serial(server: Server, model: str) -> float:
    """Median milliseconds of one request at a time."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    taken = []
    for _ in range(SERIAL):
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", BODY % model, headers)
        answer = connection.getresponse()
        answer.read()
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"a request failed: {answer.status}")
    connection.close()
    return statistics.median(taken)


def line(what: str, here: list[float], there: list[float], unit: str) -> None:
    one, two = statistics.median(here), statistics.median(there)
    print(f"{what:44}{one:9.2f}{two:9.2f} {unit:4}{two / one:7.2f} x", flush=True)


def measure_hop(server: Server, node: int, folder: Path) -> None:
    costs: dict[str, list[Cost]] = {name: [] for name in _PLACES}
    times: dict[str, list[float]] = {name: [] for name in _PLACES}
    gate: list[float] = []
    for _ in range(RUNS):
        for name in _PLACES:
            before = cpu_s(node)
            cost = load(server, folder, SECONDS, name)
            spent = cpu_s(node) - before
            costs[name].append(cost)
            times[name].append(serial(server, name))
            if name == "there":  # `load` warms up for a second, which is in it too
                gate.append(spent * 1e6 / (cost.per_second * (SECONDS + 1)))
    here, there = costs["here"], costs["there"]
    line("JSON, 32 connections: CPU of the server", [c.cpu_us for c in here],
         [c.cpu_us for c in there], "µs")  # fmt: skip
    print(f"{'the same: CPU of the node':44}{0:9.2f}{statistics.median(gate):9.2f} µs")
    line("JSON, 32 connections: a second", [c.per_second for c in here],
         [c.per_second for c in there], "")  # fmt: skip
    line("JSON, one at a time: median", times["here"], times["there"], "ms")


def measure_gain(server: Server, folder: Path) -> None:
    """Where engines are the limit: four requests at once each."""
    rates: dict[str, list[float]] = {"single": [], "both": []}
    for _ in range(RUNS):
        for name, found in rates.items():
            found.append(load(server, folder, SECONDS, name, _EMBED).per_second)
    line("engines of 80 requests a second: one, two", rates["single"], rates["both"], "/s")


def main() -> None:
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)}: apt-get install nginx-light wrk")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        with cluster(folder, "one", "two", settings="instances: {min_residency: 0}\n") as there:
            head, node = there
            head.until_nodes(one="here", two="up")
            for made, place in _PLACES.items():
                create(head, folder, made, f"{HERE}/proxy/fixed_engine.sh", nodes=[place])
            slow = f"{sys.executable} {HERE}/slow_engine.py"
            create(head, folder, "single", slow, nodes=["one"])
            create(head, folder, "both", slow, replicas=2)
            second = f"{BASE}/both@2"
            row = head.until_answer(second, "both replicas", lambda r: r.get("state") == "ready")
            first = head.request("GET", f"{BASE}/both").json()
            if {row["node"], first["node"]} != {"one", "two"}:
                sys.exit("the replicas are on one machine")
            key = (head.data / "management_key").read_text().strip()
            server = Server(_PORT, process_of(head), key)
            print(f"{'':44}{'here':>9}{'there':>9}")
            with head.machine.network():
                measure_hop(server, process_of(node), folder)
                measure_gain(server, folder)
            print(f"memory of the node's process: {memory_mb([process_of(node)]):.0f} MB")


if __name__ == "__main__":
    main()
