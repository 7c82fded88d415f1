"""Instances in containers: llama-server, and lines for the shell of the same image."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from support.containers import IMAGE, ContainerEngine
from support.served import BASE, Served


def llama(engine: ContainerEngine, model: Path, **container: Any) -> dict[str, Any]:
    """A definition."""
    return {
        "backend_options": {"model": str(model), "ctx_size": 512},
        "container": {"engine": engine.name, "image": IMAGE, **container},
    }


def shell(engine: ContainerEngine, line: str, **container: Any) -> dict[str, Any]:
    """A definition of what does this, instead of serving."""
    options = {"command": "/bin/sh", "args": ["-c", line, "sh", "${PORT}"]}
    return {
        "backend_type": "command",
        "backend_options": options,
        "container": {"engine": engine.name, "image": IMAGE, **container},
    }


def create(server: Served, name: str, given: dict[str, Any]) -> dict[str, Any]:
    answer = server.request("POST", f"{BASE}/{name}", given)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def failure_of(server: Served, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Why one that is created does not start."""
    server.request("POST", f"{BASE}/{name}", {"max_restarts": 0, "auto_restart": False, **given})
    row = server.until_row(
        name, f"the failure of {name}", lambda row: row.get("state") in ("failed", "stopped")
    )
    failure: dict[str, Any] = row["failure"]
    return failure


def chat(server: Served, name: str, **more: Any) -> httpx.Response:
    message = {"role": "user", "content": "hello"}
    given = {"model": name, "messages": [message], "max_tokens": 8, **more}
    return server.request("POST", "/v1/chat/completions", given)


def log_of(server: Served, name: str) -> str:
    return server.request("GET", f"{BASE}/{name}/logs").text


def container_ids(engine: ContainerEngine) -> list[str]:
    return engine.run("ps", "-a", "-q", "--no-trunc").split()


def clients(container: str) -> list[int]:
    """Pids of what follows its log, and of what waits for it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended just now
            words = file.read_text().split("\0")
            if container in words and {"logs", "wait"} & {*words}:
                found.append(int(file.parent.name))
    return found
