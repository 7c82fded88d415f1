"""What the data path costs, beside nginx in the same run: a table, and the same as JSON.

Keys are checked, 10,000 are stored, 1,000 instances are defined.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

from rich.console import Console
from rich.table import Table

from benchmarks.load import BODY, cpu_s, load, peak_mb, reset_peak, rss_mb
from benchmarks.nginx import Nginx
from benchmarks.streams import stream
from support.served import Served, serve

HERE = Path(__file__).parent.absolute()
RESULTS = HERE / "results" / "proxy.json"
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
KEYS, INSTANCES, CONNECTIONS = 10_000, 1_000, 1_000
UPLOAD_MB = 500
ALIAS = "-by-another-name"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of ours beside nginx's; of several runs the median."""

    what: str
    unit: str
    ours: float
    nginx: float
    runs: list[tuple[float, float]]

    @classmethod
    def of(cls, what: str, unit: str, runs: list[tuple[float, float]]) -> Row:
        ours, nginx = (statistics.median(values) for values in zip(*runs, strict=True))
        return cls(what, unit, ours, nginx, runs)


@dataclass(frozen=True, slots=True)
class Server:
    """What is measured: ours, or nginx before the engine of each kind."""

    fixed: int  # ports
    streaming: int
    fixed_pid: int
    streaming_pid: int
    key: str


def json_requests(ours: Server, nginx: Server, folder: Path) -> Iterator[Row]:
    costs, renamed = [], []
    for _ in range(RUNS):
        costs.append(
            tuple(
                load(
                    f"http://127.0.0.1:{s.fixed}/v1/chat/completions",
                    s.key, s.fixed_pid, folder, SECONDS,
                )
                for s in (ours, nginx)
            )
        )  # fmt: skip
        by_alias = load(
            f"http://127.0.0.1:{ours.fixed}/v1/chat/completions",
            ours.key, ours.fixed_pid, folder, SECONDS, f"fixed{ALIAS}",
        )  # fmt: skip
        renamed.append((by_alias.cpu_us, costs[-1][1].cpu_us))
    what = "JSON request, 32 connections: "
    yield Row.of(what + "CPU", "µs", [(a.cpu_us, b.cpu_us) for a, b in costs])
    yield Row.of(what + "p50", "ms", [(a.p50_ms, b.p50_ms) for a, b in costs])
    yield Row.of(what + "p99", "ms", [(a.p99_ms, b.p99_ms) for a, b in costs])
    yield Row.of(what + "a second", "", [(a.per_second, b.per_second) for a, b in costs])
    yield Row.of("JSON request by an alias, its answer renamed: CPU", "µs", renamed)


def streams(ours: Server, nginx: Server, count: int, alias: str = "") -> Iterator[Row]:
    cpu, first = [], []
    for _ in range(RUNS):
        pair = []
        for server in (ours, nginx):
            before = cpu_s(server.streaming_pid)
            done = stream(server.streaming, server.key, count, model=f"stream{alias}")
            spent = cpu_s(server.streaming_pid) - before
            if done.complete != count:
                raise RuntimeError(f"{count - done.complete} of {count} streams broke")
            pair.append((spent * 1e6 / done.chunks, done.first_ms))
        cpu.append((pair[0][0], pair[1][0]))
        first.append((pair[0][1], pair[1][1]))
    by = " by an alias, renamed" if alias else ""
    yield Row.of(f"SSE chunk, {count} streams{by}: CPU", "µs", cpu)
    if alias:
        return
    yield Row.of(f"SSE, {count} streams at once: first byte, median", "ms", first)


def idle_connections(ours: Server, nginx: Server) -> Row:
    grown = []
    for server in (ours, nginx):
        before = rss_mb(server.fixed_pid)
        opened = [http.client.HTTPConnection("127.0.0.1", server.fixed) for _ in range(CONNECTIONS)]
        for connection in opened:
            connection.request("POST", "/v1/chat/completions", BODY % "fixed", _headers(server))
            connection.getresponse().read()
        grown.append(rss_mb(server.fixed_pid) - before)
        for connection in opened:
            connection.close()
    return Row.of(f"memory of {CONNECTIONS:,} idle connections", "MB", [(grown[0], grown[1])])


def streaming_connections(ours: Server, nginx: Server) -> Row:
    grown = []
    for server in (ours, nginx):
        before = rss_mb(server.streaming_pid)

        async def look(pid: int = server.streaming_pid, before: float = before) -> None:
            grown.append(rss_mb(pid) - before)

        done = stream(server.streaming, server.key, CONNECTIONS, look)
        if done.complete != CONNECTIONS:
            raise RuntimeError(f"{done.complete} of {CONNECTIONS} streams came to their end")
    return Row.of(f"memory of {CONNECTIONS:,} streams", "MB", [(grown[0], grown[1])])


def upload(ours: Server, nginx: Server) -> Row:
    """A file after its `model`, as the official client sends it."""
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    start = edge + b'"model"\r\n\r\nstream\r\n' + edge + b'"file"; filename="a.wav"\r\n\r\n'
    end = b"\r\n--edge--\r\n"
    piece = os.urandom(1 << 20)
    grown = []
    for server in (ours, nginx):
        reset_peak(server.streaming_pid)
        before = peak_mb(server.streaming_pid)
        with socket.create_connection(("127.0.0.1", server.streaming)) as raw:
            length = len(start) + UPLOAD_MB * len(piece) + len(end)
            raw.sendall(
                b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: multipart/form-data; boundary=edge\r\n"
                b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
                % (server.key.encode(), length, start)
            )
            for _ in range(UPLOAD_MB):
                raw.sendall(piece)
            raw.sendall(end)
            if not raw.recv(1 << 16).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("the upload failed")
        grown.append(peak_mb(server.streaming_pid) - before)
    return Row.of(f"peak memory of a {UPLOAD_MB} MB upload", "MB", [(grown[0], grown[1])])


def _headers(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}


def measure(server: Served, folder: Path) -> list[Row]:
    ports = []
    for name, command in (
        ("fixed", f"exec {HERE}/fixed_engine.sh"),
        ("stream", f"exec {sys.executable} {HERE}/stream_engine.py"),
    ):
        script = folder / name
        script.write_text(f'#!/bin/sh\n{command} "$@"\n')
        script.chmod(0o755)
        made = server.request(
            "POST",
            f"/api/v1/instances/{name}",
            {"model": "x", "command_override": str(script), "aliases": [name + ALIAS]},
        ).raise_for_status()
        ports.append(int(made.json()["port"]))
    with server.client() as client:
        for number in range(KEYS):
            made = client.post("/api/v1/auth/keys", json={"name": f"k{number}"}).raise_for_status()
        for number in range(INSTANCES - 2):
            client.post(f"/api/v1/instances/many{number}?start=false", json={"model": "/m.gguf"})
    key = str(made.json()["key"])
    port, pid = int(server.url.rpartition(":")[2]), server.process.pid
    folders = [folder / "a", folder / "b"]
    for place in folders:
        place.mkdir()
    with Nginx(ports[0], folders[0]) as fixed, Nginx(ports[1], folders[1]) as streaming:
        ours = Server(port, port, pid, pid, key)
        nginx = Server(fixed.port, streaming.port, fixed.pid, streaming.pid, key)
        return [
            upload(ours, nginx),
            idle_connections(ours, nginx),
            streaming_connections(ours, nginx),
            *json_requests(ours, nginx, folder),
            *streams(ours, nginx, 64),
            *streams(ours, nginx, 64, ALIAS),
            *streams(ours, nginx, 512),
        ]


def show(rows: list[Row]) -> None:
    table = Table("", "llamactl", "nginx", "ratio", "runs, llamactl / nginx")
    for row in rows:
        ratio = f"{row.ours / row.nginx:.2f}" if row.nginx >= 0.01 else ""
        each = "  ".join(f"{a:.3g}/{b:.3g}" for a, b in row.runs) if len(row.runs) > 1 else ""
        table.add_row(
            row.what, f"{row.ours:,.1f} {row.unit}", f"{row.nginx:,.1f} {row.unit}", ratio, each
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def main() -> None:
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        sys.exit(f"needs {' and '.join(missing)}: apt-get install nginx-light wrk")
    with tempfile.TemporaryDirectory(prefix="llamactl-bench-") as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        with serve(data) as server:
            rows = measure(server, folder)
    show(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    print(f"also in {RESULTS.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
