"""The API reference's own examples, run with curl against a real server and engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.served import Served


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


Curl = Callable[..., Response]


@pytest.fixture
def curl(served: Served) -> Curl:
    """Run curl with the reference's own arguments; the path's base is the server's."""

    def run(*args: str, key: str | None = "management") -> Response:
        words = [served.url + a if a.startswith("/") else a for a in args]
        token = served.key if key == "management" else key
        auth = ["-H", f"Authorization: Bearer {token}"] if token else []
        done = subprocess.run(
            ["curl", "-sS", "-i", *auth, *words], capture_output=True, text=True, check=True
        )
        head, _, body = done.stdout.partition("\n\n")
        first, *rest = head.splitlines()
        headers = dict(line.lower().split(": ", 1) for line in rest if ": " in line)
        return Response(int(first.split()[1]), headers, body)

    return run


@pytest.fixture
def post(curl: Curl) -> Callable[..., Response]:
    def run(path: str, body: Any, **more: Any) -> Response:
        data = body if isinstance(body, str) else json.dumps(body)
        header = ("-H", "Content-Type: application/json")
        return curl("-X", more.pop("method", "POST"), *header, "-d", data, path, **more)

    return run


@pytest.fixture
def definition(tiny_model: Path) -> dict[str, Any]:
    return {"model": str(tiny_model), "ctx_size": 256}
