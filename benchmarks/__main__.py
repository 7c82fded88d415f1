"""Prints what users feel, each number beside the peer or bare engine it is to be compared with."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("tests", "examples")]

from server import model_path

from benchmarks.load import cpu_us_per_request, rss_mb
from support.gguf_file import write_tiny_gguf
from support.served import Served, serve

BASE = "/api/v1/instances"
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))


def line(what: str, value: str) -> None:
    print(f"{what:58} {value}", flush=True)


def timed(work: Callable[[], object], times: int) -> float:
    """Median milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def request_cost(folder: Path) -> None:
    if not (shutil.which("nginx") and shutil.which("wrk")):
        line("CPU a request", "needs nginx and wrk: apt-get install nginx-light wrk")
        return
    data = folder / "cost"
    data.mkdir()
    with serve(data) as server:
        engine = str(Path(__file__).with_name("fixed_engine.sh").absolute())
        body = {"model": "x", "command_override": engine}
        made = server.request("POST", f"{BASE}/fixed", body).json()
        ours, nginx, many = [], [], []
        key = server.request("POST", "/api/v1/auth/keys", {"name": "bench"}).json()["key"]
        url = f"{server.url}/v1/chat/completions"
        with NginxBefore(int(made["port"]), folder) as (pid, nginx_url):
            for _ in range(3):
                cost = cpu_us_per_request(url, key, server.process.pid, folder, SECONDS)
                ours.append(cost)
                nginx.append(cpu_us_per_request(nginx_url, key, pid, folder, SECONDS))
            with server.client() as client:
                for number in range(10_000):
                    client.post("/api/v1/auth/keys", json={"name": f"k{number}"})
            many.append(cpu_us_per_request(url, key, server.process.pid, folder, SECONDS))
        a, b = statistics.median(ours), statistics.median(nginx)
        line(
            "CPU a JSON request, 32 connections, key checked",
            f"{a:.0f} µs; nginx {b:.0f} µs: {a / b:.1f}x",
        )
        line("the same with 10,000 keys stored", f"{many[0]:.0f} µs: {many[0] / a:.2f}x")


class NginxBefore:
    """nginx as a plain proxy before the same upstream."""

    def __init__(self, upstream: int, folder: Path) -> None:
        self._port = free_port()
        conf = folder / "nginx.conf"
        conf.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log /dev/null;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b;"
            f" proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;"
            f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
            f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{self._port}; location / {{ proxy_pass http://up;"
            ' proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n'
        )
        self._process = subprocess.Popen(["nginx", "-c", str(conf)])

    def __enter__(self) -> tuple[int, str]:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port)).close()
                break
            except OSError:
                time.sleep(0.01)
        return self._process.pid, f"http://127.0.0.1:{self._port}/v1/chat/completions"

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def at_rest(folder: Path) -> None:
    data = folder / "rest"
    data.mkdir()
    with serve(data):
        pass

    def start() -> None:
        with serve(data):
            taken.append((time.perf_counter() - began) * 1000)

    taken: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        start()
    line("serve to listening, second start", f"{statistics.median(taken):.0f} ms")


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
        at_rest(folder)
        data = folder / "data"
        data.mkdir()
        with serve(data) as server:
            line("memory at rest", f"{rss_mb(server.process.pid):.0f} MB")
            cold_start(server, tiny, "tiny")
            cold_start(server, model_path(), "smollm2")
            long_log(server)
            many_instances(server)
        request_cost(folder)


if __name__ == "__main__":
    main()
