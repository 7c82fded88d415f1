"""How soon an engine hears of a client that left: our connection to it, and its slot."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.fake_engine import CHUNKED, address, create_fake, play, post, tell
from support.served import Served

BASE = "/api/v1/instances"
TIMES = 20


def until(happened: Callable[[], bool]) -> float:
    """Milliseconds until it has."""
    began = time.perf_counter()
    while not happened():
        pass
    return (time.perf_counter() - began) * 1000


@contextmanager
def scripted(server: Served, folder: Path) -> Iterator[Callable[[], int]]:
    """The scripted engine as instance `fake`; how many connections it has besides the asker's."""
    made = create_fake(server, folder, "fake")
    asker = http.client.HTTPConnection("127.0.0.1", int(made["port"]))

    def connections() -> int:
        asker.request("GET", "/seen")
        return int(json.loads(asker.getresponse().read())["connections"]) - 1

    yield connections
    tell(made, "measured")  # for what it brings to its end though nobody waits
    asker.close()
    server.request("DELETE", f"{BASE}/fake").raise_for_status()


def connections_closed(server: Served, folder: Path) -> list[tuple[str, float, float]]:
    """By phase: median and longest milliseconds from the client's leaving to the close."""
    stream = play("fake", ["send", CHUNKED], ["event", "data: {}\n\n"], ["until", "measured"])
    silent = play("fake", ["until", "measured"])
    upload = post(server, b"x" * 100_000, "Content-Length: 200000", path=f"{BASE}/fake/proxy/x")
    phases = {
        "before the first byte": post(server, json.dumps(silent).encode()),
        "in a stream": post(server, json.dumps(stream).encode()),
        "in an upload": upload,
    }
    rows = []
    with scripted(server, folder) as connections:
        for phase, request in phases.items():
            taken = []
            for _ in range(TIMES):
                idle = connections()
                with socket.create_connection(address(server)) as client:
                    client.sendall(request)
                    if phase == "in a stream":
                        client.recv(1)
                    until(lambda idle=idle: connections() > idle)  # type: ignore[misc]
                taken.append(until(lambda idle=idle: connections() <= idle))  # type: ignore[misc]
            rows.append((phase, statistics.median(taken), max(taken)))
    return rows


def slots_freed(server: Served, model: Path) -> list[tuple[str, float]]:
    """By kind of request to the built-in engine: median milliseconds until its slot is free."""
    made = {"model": str(model), "ctx_size": 4096}
    rows = []
    with server.client() as asker:
        asker.post(f"{BASE}/leaver", json=made).raise_for_status()

        def busy() -> bool:
            slots = asker.get(f"{BASE}/leaver/proxy/slots").json()
            return any(slot["is_processing"] for slot in slots)

        def left(stream: bool, prompt: str) -> float:
            body = {"model": "leaver", "prompt": prompt, "max_tokens": 200, "ignore_eos": True}
            raw = json.dumps({**body, "stream": stream, "cache_prompt": False}).encode()
            with socket.create_connection(address(server)) as client:
                client.sendall(post(server, raw, path="/v1/completions"))
                until(busy)
                if stream and len(prompt) < 100:
                    client.recv(1)
            return until(lambda: not busy())

        for stream, prompt, what in (
            (True, "Once", "a stream"),
            (True, "one " * 3000, "a stream whose 3,000-token prompt is read"),
            (False, "Once", "an answer sent whole"),
        ):
            rows.append((what, statistics.median(left(stream, prompt) for _ in range(5))))
        asker.delete(f"{BASE}/leaver").raise_for_status()
    return rows
