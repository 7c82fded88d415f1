"""How long a swap takes with a large model that is not in the page cache: read ahead, or not.

    python -m benchmarks.read_ahead MODEL.gguf [ENGINE]

Another instance answers a request for some more seconds when it has to leave for MODEL. Ways take
turns, and each number is a median of several rounds. ENGINE is a llama-server; without one the
built-in engine serves. To be a slower disk, run it in a control group whose reads are limited.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from benchmarks.contexts.asking import until
from benchmarks.contexts.serving import packaged, served

ROUNDS = int(os.environ.get("ROUNDS", "5"))
DRAINS_S = tuple(map(float, os.environ.get("DRAINS", "0.3 1 3").split()))
WAYS = {"not read ahead": 0, "read ahead": 500_000_000, "was in the cache": 0}
_API = "/api/v1/instances"
_BEGUN = 5  # tokens


class Stream:
    """A request that the old instance answers until it is told to leave."""

    def __init__(self, client: httpx.Client) -> None:
        self.tokens = 0
        self.leaves = False
        self._client = client
        self._thread = Thread(target=self._run)
        self._thread.start()
        until(lambda: self.tokens > _BEGUN)

    def _run(self) -> None:
        body = {"model": "old", "prompt": "Once", "max_tokens": 3000, "ignore_eos": True}
        with self._client.stream("POST", "/v1/completions", json=body | {"stream": True}) as answer:
            for line in answer.iter_lines():
                self.tokens += line.startswith("data: {")
                if self.leaves:
                    return

    def leave(self) -> None:
        self.leaves = True
        self._thread.join()


def swap(client: httpx.Client, drain_s: float) -> tuple[float, float]:
    """Seconds from the eviction until the new one is ready; tokens/s of the old one until then."""
    client.post(f"{_API}/new/stop?wait=true").raise_for_status()
    client.post(f"{_API}/old/start?wait=true").raise_for_status()
    stream = Stream(client)
    asks = {"model": "new", "content": "Once"}
    asking = Thread(target=client.post, args=("/tokenize",), kwargs={"json": asks})
    asking.start()
    until(lambda: client.get(f"{_API}/old").json()["state"] == "draining")
    before, began = stream.tokens, time.perf_counter()
    time.sleep(drain_s)
    speed = (stream.tokens - before) / (time.perf_counter() - began)
    stream.leave()
    asking.join()
    return _last(client, "new", "BecameReady") - _last(client, "old", "Evicted"), speed


def _last(client: httpx.Client, name: str, event: str) -> float:
    rows = client.get(f"{_API}/{name}/events").json()
    return max(float(row["at"]) for row in rows if row["event"] == event)


def forget(model: Path) -> None:
    """Its pages leave the cache."""
    with model.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load(model: Path) -> None:
    with model.open("rb") as file:
        while file.read(8 << 20):
            pass


def main(model: Path, engine: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
    if engine:
        env["LLAMACTL_LLAMACPP_COMMAND"] = engine
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        settings = data / "llamactl.yaml"
        settings.write_text(_settings(0))
        with served(data, env | {"LLAMACTL_CONFIG_PATH": str(settings)}) as server:
            client = server.client
            for name, path, tokens in (("old", packaged(), 4096), ("new", model, 512)):
                options = {"model": str(path), "ctx_size": tokens, "warmup": False}
                body = {"backend_options": options, "idle_timeout": 0}
                client.post(f"{_API}/{name}?start=false", json=body).raise_for_status()
            report(rounds(client, settings, model))


def _settings(rate: int) -> str:
    limits = {"max_running_instances": 1, "min_residency": 0, "read_ahead_rate": rate}
    return json.dumps({"instances": limits})


def rounds(
    client: httpx.Client, settings: Path, model: Path
) -> Mapping[tuple[float, str], list[tuple[float, float]]]:
    found: dict[tuple[float, str], list[Any]] = {}
    for _ in range(ROUNDS):
        for drain_s in DRAINS_S:
            for way, rate in WAYS.items():
                settings.write_text(_settings(rate))
                client.post("/api/v1/config/reload").raise_for_status()
                client.post(f"{_API}/new/stop?wait=true").raise_for_status()
                (load if way == "was in the cache" else forget)(model)
                found.setdefault((drain_s, way), []).append(swap(client, drain_s))
    return found


def report(found: Mapping[tuple[float, str], list[tuple[float, float]]]) -> None:
    for (drain_s, way), each in found.items():
        seconds, speed = (statistics.median(column) for column in zip(*each, strict=True))
        print(f"drains {drain_s} s, {way:18} ready after {seconds:6.2f} s; {speed:5.1f} tokens/s")


if __name__ == "__main__":
    given = [*sys.argv[1:], "", ""]
    main(Path(given[0]), given[1])
