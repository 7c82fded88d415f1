"""Prints what users feel, each number beside the peer or bare engine it is to be compared with."""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("tests", "examples")]

from server import model_path

from benchmarks.leaving import connections_closed, slots_freed
from benchmarks.ports import free_port
from benchmarks.process import rss_mb
from benchmarks.start import compare
from support.gguf_file import write_tiny_gguf
from support.served import Served, serve

BASE = "/api/v1/instances"


def line(what: str, value: str) -> None:
    print(f"{what:74} {value}", flush=True)


def timed(work: Callable[[], object], times: int) -> float:
    """Median milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def healthy(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def bare_engine(model: Path) -> float:
    """Milliseconds from the engine's command to its first healthy answer, then end it."""
    port = free_port()
    command = [sys.executable, "-m", "llamactl.engine", "--model", str(model), "-c", "256"]
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "--threads-http", "64", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as engine:
        while not healthy(port):
            # as rarely as llamactl asks: on two cores the asking slows the loading down
            time.sleep(max(0.002, 0.05 * (time.perf_counter() - began)))
        taken = (time.perf_counter() - began) * 1000
        engine.terminate()
    return taken


def cold_start(server: Served, model: Path, name: str) -> None:
    body = {"model": str(model), "ctx_size": 256, "idle_timeout": 0}
    server.request("POST", f"{BASE}/{name}?start=false", body)
    bare, ours = [], []
    with server.client() as client:
        for _ in range(7):
            bare.append(bare_engine(model))
            began = time.perf_counter()
            client.post(f"{BASE}/{name}/start?wait=true").raise_for_status()
            ours.append((time.perf_counter() - began) * 1000)
            client.post(f"{BASE}/{name}/stop?wait=true")
    a, b = statistics.median(ours), statistics.median(bare)
    line(f"cold start, {name} model", f"{a:.0f} ms; bare engine {b:.0f} ms: {a - b:+.0f} ms")


def leaving(server: Served, folder: Path) -> None:
    for phase, median, longest in connections_closed(server, folder):
        value = f"after {median:.1f} ms, at most {longest:.1f}"
        line(f"client leaves {phase}: engine's connection closed", value)
    for what, median in slots_freed(server, model_path()):
        line(f"client leaves {what}: slot free", f"after {median:.0f} ms")


def many_instances(server: Served) -> None:
    with server.client() as client:
        for number in range(1000):
            client.post(f"{BASE}/many{number}?start=false", json={"model": "/m.gguf"})
        line(
            "GET /api/v1/instances, 1,000 instances", f"{timed(lambda: client.get(BASE), 9):.0f} ms"
        )
    line("memory at rest, 1,000 instances", f"{rss_mb(server.process.pid):.0f} MB")


def long_log(server: Served) -> None:
    path = server.data_dir / "logs" / "tiny.log"
    row = json.dumps({"line": "x" * 990}).encode() + b"\n"
    with path.open("ab") as log:
        for _ in range(1024):
            log.write(row * 1024)
    with server.client() as client:
        url = f"{BASE}/tiny/logs?lines=100"
        size = path.stat().st_size / 2**30
        line(
            f"last 100 lines of a {size:.1f} GB log", f"{timed(lambda: client.get(url), 21):.1f} ms"
        )
    path.unlink()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="llamactl-bench-") as name:
        folder = Path(name)
        tiny = folder / "tiny.gguf"
        write_tiny_gguf(tiny)
        compare([sys.executable], times=5)
        data = folder / "data"
        data.mkdir()
        with serve(data) as server:
            line("memory at rest", f"{rss_mb(server.process.pid):.0f} MB")
            cold_start(server, tiny, "tiny")
            cold_start(server, model_path(), "smollm2")
            leaving(server, folder)
            long_log(server)
            many_instances(server)


if __name__ == "__main__":
    main()
