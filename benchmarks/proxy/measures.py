"""What is measured, each in as many runs as wanted; the systems take turns."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.process import peak_mb, reset_peak
from benchmarks.proxy.load import BODY, Cost, Latency, Server, load, steady
from benchmarks.proxy.rows import LITELLM, NGINX, OURS, Row
from benchmarks.proxy.streams import stream

SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
_STEADY_S = 2 * SECONDS
RUNS = int(os.environ.get("BENCH_RUNS", "7"))
CONNECTIONS = 1_000
UPLOAD_MB = 500
_SLOW_RUNS = 3  # at most, of a system that takes long
_RATE = 2_500  # requests a second
_SLOW_RATE = 20  # that all systems can take
Servers = Mapping[str, Server]  # by system


def json_requests(servers: Servers, folder: Path, alias: str) -> Iterator[Row]:
    costs: dict[str, list[Cost]] = {name: [] for name in servers}
    renamed = []
    for run in range(RUNS):
        for name in _of_run(servers, run):
            costs[name].append(load(servers[name], folder, SECONDS))
        renamed.append(load(servers[OURS], folder, SECONDS, alias).cpu_us)

    def row(what: str, unit: str, value: str) -> Row:
        runs = {name: [_value(cost, value) for cost in each] for name, each in costs.items()}
        return Row(f"JSON request, {what}", unit, runs)

    yield row("32 connections: CPU", "µs", "cpu_us")
    yield row("32 connections: a second and core", "", "per_core")
    yield row("32 connections: a second", "", "per_second")
    for name in ("p50", "p99", "p999"):
        yield row(f"32 connections: {_named(name)}", "ms", name)
    yield Row("JSON request by an alias, its answer renamed: CPU", "µs", {OURS: renamed})


def _value(cost: Cost, name: str) -> float:
    match name:
        case "cpu_us" | "per_second":
            return float(getattr(cost, name))
        case "per_core":
            return 1e6 / cost.cpu_us
        case _:
            return float(getattr(cost.latency, name))


def _named(percentile: str) -> str:
    return "p99.9" if percentile == "p999" else percentile


def _of_run(servers: Servers, run: int) -> Iterator[str]:
    yield from (name for name in servers if name != LITELLM or run < _SLOW_RUNS)


def steady_requests(servers: Servers, engine: Server) -> Iterator[Row]:
    """What each system adds to the engine's own time, with a core for itself."""
    alone, rest = 0, max(os.sched_getaffinity(0))
    for server in servers.values():
        _pin(server.pid, alone)
    _pin(engine.pid, rest)  # last: it may be a child of one of them
    for rate in (_RATE, _SLOW_RATE):
        names = [name for name in servers if name != LITELLM or rate == _SLOW_RATE]
        added: dict[str, list[tuple[Latency, Latency]]] = {name: [] for name in names}
        for _ in range(RUNS):
            bare = steady(engine.port, "", rate, _STEADY_S, rest)
            for name in names:
                server = servers[name]
                added[name].append((steady(server.port, server.key, rate, _STEADY_S, rest), bare))
        for value in ("p50", "p99", "p999") if rate == _RATE else ("p50",):
            runs = {
                name: [getattr(it, value) - getattr(bare, value) for it, bare in each]
                for name, each in added.items()
            }
            yield Row(
                f"{rate:,} requests a second: adds to the {_named(value)}",
                "ms",
                runs,
                compared=False,
            )
    for server in (*servers.values(), engine):
        _pin(server.pid, None)


def _pin(pid: int, core: int | None) -> None:
    """All threads of a process, and what it started; None: to any core."""
    cores = {core} if core is not None else os.sched_getaffinity(0)
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)
        for child in (task / "children").read_text().split():
            _pin(int(child), core)


def streams(servers: Servers, count: int, model: str = "stream") -> Iterator[Row]:
    cpu: dict[str, list[float]] = {name: [] for name in servers}
    first: dict[str, list[float]] = {name: [] for name in servers}
    for run in range(RUNS):
        for name in _of_run(servers, run):
            server = servers[name]
            before = server.cpu_s
            done = stream(server.port, server.key, count, model=model)
            if done.complete != count:
                raise RuntimeError(f"{count - done.complete} of {count} streams of {name} broke")
            cpu[name].append((server.cpu_s - before) * 1e6 / done.chunks)
            first[name].append(done.first_ms)
    by = "" if model == "stream" else " by an alias, renamed"
    yield Row(f"SSE chunk, {count} streams{by}: CPU", "µs", cpu)
    if not by:
        yield Row(f"SSE, {count} streams at once: first byte, median", "ms", first)


def resident(servers: Servers) -> Row:
    runs = {name: [server.memory_mb] for name, server in servers.items()}
    return Row("memory, idle", "MB", runs)


def idle_connections(servers: Servers) -> Row:
    grown = {}
    for name, server in servers.items():
        before = server.memory_mb
        opened = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(CONNECTIONS)]
        for connection in opened:
            connection.request("POST", "/v1/chat/completions", BODY % "fixed", _headers(server))
            connection.getresponse().read()
        grown[name] = [server.memory_mb - before]
        for connection in opened:
            connection.close()
    return Row(f"memory of {CONNECTIONS:,} idle connections", "MB", grown)


def streaming_connections(servers: Servers) -> Row:
    grown: dict[str, list[float]] = {}
    for name, server in servers.items():
        before = server.memory_mb

        async def look(name: str = name, of: Server = server, before: float = before) -> None:
            grown[name] = [of.memory_mb - before]

        done = stream(server.port, server.key, CONNECTIONS, look)
        if done.complete != CONNECTIONS:
            raise RuntimeError(f"{done.complete} of {CONNECTIONS} streams of {name} ended")
    return Row(f"memory of {CONNECTIONS:,} streams", "MB", grown)


def upload(servers: Servers) -> Row:
    """A file after its `model`, as the official client sends it."""
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    start = edge + b'"model"\r\n\r\nstream\r\n' + edge + b'"file"; filename="a.wav"\r\n\r\n'
    end = b"\r\n--edge--\r\n"
    piece = os.urandom(1 << 20)
    grown = {}
    for name, server in servers.items():
        reset_peak(server.pid)
        before = peak_mb(server.pid)
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
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
        grown[name] = [peak_mb(server.pid) - before]
    return Row(f"peak memory of a {UPLOAD_MB} MB upload", "MB", grown)


def _headers(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}


def only(servers: Servers, *names: str) -> Servers:
    return {name: servers[name] for name in names or (OURS, NGINX)}
