"""Prints the table; `--page` also writes docs/performance.md, with a chart.

Keys are checked, 10,000 are stored, 1,000 instances are defined.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "tests")]

from benchmarks.proxy import measures
from benchmarks.proxy.bare_relay import BareRelay
from benchmarks.proxy.litellm import KEY, PROGRAM, LiteLLM
from benchmarks.proxy.load import Server
from benchmarks.proxy.nginx import Nginx
from benchmarks.proxy.rows import BARE, LITELLM, NGINX, OURS, TWO, Row, show
from support.proxies import proxies_of
from support.served import Served, serve

HERE = Path(__file__).parent.absolute()
RESULTS = HERE.parent / "results" / "proxy.json"
KEYS = int(os.environ.get("BENCH_KEYS", "10000"))
INSTANCES = 1_000
ALIAS = "-by-another-name"


@dataclass(frozen=True, slots=True)
class Ours:
    """A server of ours, and its engines by name."""

    server: Server
    engines: Mapping[str, Server]

    @classmethod
    def of(cls, served: Served, folder: Path) -> Ours:
        engines = {
            "fixed": _engine(served, folder, "fixed", f"exec {HERE}/fixed_engine.sh"),
            "stream": _engine(
                served, folder, "stream", f"exec {sys.executable} {HERE}/stream_engine.py"
            ),
        }
        key, pid = _fill(served), served.process.pid
        port = int(served.url.rpartition(":")[2])
        return cls(Server(port, pid, key, tuple(proxies_of(pid))), engines)


def measure(one: Ours, two: Ours, folder: Path) -> list[Row]:
    """`two`: with as many proxy processes."""
    folders = [folder / name for name in ("fixed-nginx", "stream-nginx", "litellm")]
    for place in folders:
        place.mkdir()
    ports = {name: engine.port for name, engine in one.engines.items()}
    key = one.server.key
    with ExitStack() as stack:
        fixed, streaming = [
            stack.enter_context(Nginx(port, place))
            for port, place in zip(ports.values(), folders, strict=False)
        ]
        bare, bare_streaming = [stack.enter_context(BareRelay(port)) for port in ports.values()]
        litellm = stack.enter_context(LiteLLM(ports, folders[2]))
        ours = {OURS: one.server, TWO: two.server}
        others = {LITELLM: Server(litellm.port, litellm.pid, KEY)}
        by_fixed, by_stream = [
            {**ours, **{name: Server(peer.port, peer.pid, key) for name, peer in peers}, **others}
            for peers in (
                ((BARE, bare), (NGINX, fixed)),
                ((BARE, bare_streaming), (NGINX, streaming)),
            )
        ]
        pair = measures.only(by_stream)
        alone = {name: server for name, server in by_fixed.items() if name != TWO}
        return [
            measures.resident(by_fixed),
            measures.upload(pair),
            measures.idle_connections(by_fixed),
            measures.streaming_connections(measures.only(by_stream, OURS, TWO, NGINX)),
            *measures.json_requests(by_fixed, folder, f"fixed{ALIAS}"),
            *measures.steady_requests(alone, one.engines["fixed"]),
            *measures.streams(by_stream, 64),
            *measures.streams(measures.only(by_stream, OURS), 64, f"stream{ALIAS}"),
            *measures.streams(measures.only(by_stream, OURS, TWO, BARE, NGINX), 512),
        ]


def _engine(server: Served, folder: Path, name: str, command: str) -> Server:
    script = folder / name
    script.write_text(f'#!/bin/sh\n{command} "$@"\n')
    script.chmod(0o755)
    made = server.request(
        "POST",
        f"/api/v1/instances/{name}",
        {"model": "x", "command_override": str(script), "aliases": [name + ALIAS]},
    ).raise_for_status()
    return Server(int(made.json()["port"]), int(made.json()["pid"]), "")


def _fill(server: Served) -> str:
    """A key, after many others."""
    with server.client() as client:
        for number in range(KEYS):
            made = client.post("/api/v1/auth/keys", json={"name": f"k{number}"}).raise_for_status()
        for number in range(INSTANCES - 2):
            client.post(f"/api/v1/instances/many{number}?start=false", json={"model": "/m.gguf"})
    return str(made.json()["key"])


@contextmanager
def _ours(folder: Path, processes: int) -> Iterator[Ours]:
    """With ports of its own for its engines."""
    place = folder / f"of-{processes}"
    data = place / "data"
    data.mkdir(parents=True)
    first = 8000 + 100 * processes
    settings = {
        "LLAMACTL_PROXY_PROCESSES": str(processes),
        "LLAMACTL_INSTANCE_PORT_RANGE": f"{first}-{first + 99}",
    }
    with serve(data, settings) as served:
        yield Ours.of(served, place)


def main() -> None:
    missing = [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)}: apt-get install nginx-light wrk util-linux")
    if not PROGRAM.exists():
        sys.exit(f"needs {PROGRAM}: make .venv/litellm.stamp")
    with tempfile.TemporaryDirectory(prefix="llamactl-bench-") as name:
        folder = Path(name)
        with ExitStack() as stack:
            one, two = [stack.enter_context(_ours(folder, count)) for count in (1, 2)]
            rows = measure(one, two, folder)
    show(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    print(f"also in {RESULTS.relative_to(HERE.parents[1])}")
    if "--page" in sys.argv:
        from benchmarks.proxy.page import write

        write(rows, KEYS, INSTANCES)


if __name__ == "__main__":
    main()
