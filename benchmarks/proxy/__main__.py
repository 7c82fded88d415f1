"""Prints the table; `--page` also writes docs/performance.md, with a chart.

Keys are checked, 10,000 are stored, 1,000 instances are defined.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "tests")]

from benchmarks.proxy import measures
from benchmarks.proxy.litellm import KEY, PROGRAM, LiteLLM
from benchmarks.proxy.load import Server
from benchmarks.proxy.nginx import Nginx
from benchmarks.proxy.rows import LITELLM, NGINX, OURS, Row, show
from support.served import Served, serve

HERE = Path(__file__).parent.absolute()
RESULTS = HERE.parent / "results" / "proxy.json"
KEYS = int(os.environ.get("BENCH_KEYS", "10000"))
INSTANCES = 1_000
ALIAS = "-by-another-name"


def measure(server: Served, folder: Path) -> list[Row]:
    engines = {
        "fixed": _engine(server, folder, "fixed", f"exec {HERE}/fixed_engine.sh"),
        "stream": _engine(
            server, folder, "stream", f"exec {sys.executable} {HERE}/stream_engine.py"
        ),
    }
    key = _fill(server)
    ours = Server(int(server.url.rpartition(":")[2]), server.process.pid, key)
    folders = [folder / name for name in ("fixed-nginx", "stream-nginx", "litellm")]
    for place in folders:
        place.mkdir()
    ports = {name: engine.port for name, engine in engines.items()}
    with ExitStack() as stack:
        fixed, streaming = [
            stack.enter_context(Nginx(port, place))
            for port, place in zip(ports.values(), folders, strict=False)
        ]
        litellm = stack.enter_context(LiteLLM(ports, folders[2]))
        others = {LITELLM: Server(litellm.port, litellm.pid, KEY)}
        by_fixed = {OURS: ours, NGINX: Server(fixed.port, fixed.pid, key), **others}
        by_stream = {OURS: ours, NGINX: Server(streaming.port, streaming.pid, key), **others}
        two = measures.only(by_stream)
        return [
            measures.resident(by_fixed),
            measures.upload(two),
            measures.idle_connections(by_fixed),
            measures.streaming_connections(two),
            *measures.json_requests(by_fixed, folder, f"fixed{ALIAS}"),
            *measures.steady_requests(by_fixed, engines["fixed"]),
            *measures.streams(by_stream, 64),
            *measures.streams(measures.only(by_stream, OURS), 64, f"stream{ALIAS}"),
            *measures.streams(two, 512),
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


def main() -> None:
    missing = [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)}: apt-get install nginx-light wrk util-linux")
    if not PROGRAM.exists():
        sys.exit(f"needs {PROGRAM}: make .venv/litellm.stamp")
    with tempfile.TemporaryDirectory(prefix="llamactl-bench-") as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        with serve(data) as server:
            rows = measure(server, folder)
    show(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
    print(f"also in {RESULTS.relative_to(HERE.parents[1])}")
    if "--page" in sys.argv:
        from benchmarks.proxy.page import write

        write(rows, KEYS, INSTANCES)


if __name__ == "__main__":
    main()
