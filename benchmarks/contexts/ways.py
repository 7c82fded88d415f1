"""What ends a process, and with it, without llamactl, the conversation in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.contexts.asking import ask, until
from benchmarks.contexts.serving import INSTANCES, Engine, Served

_ONE = f"{INSTANCES}/one"
_SOON = 0.0005  # minutes
# Longer than the quarter of its load time for which one that was just used is kept, and no longer:
# on some virtual machines memory that nobody touched for a second is tens of ms slower to reach.
_PAUSE_S = 0.3
_temperatures = count(1)


def ways(
    one: Served, engine: Engine, model: Path, prompt: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    """By name, in the order in which they are tried.

    Those without "at once" are over when the next message is sent.
    """
    client = one.client

    def post(what: str) -> Any:
        return client.post(f"{_ONE}/{what}").raise_for_status()

    def put(**changes: object) -> Any:
        return client.put(f"{_ONE}?wait=false", json=changes).raise_for_status()

    def state() -> str:
        return str(client.get(_ONE).json()["state"])

    def idle() -> None:
        put(idle_timeout=_SOON)
        until(lambda: state() == "stopped")
        put(idle_timeout=0)

    def evict(pause: float) -> None:
        ask(client, prompt, "two")
        time.sleep(pause)

    def update() -> None:
        options = engine.options(model) | {"temp": next(_temperatures) / 1000}
        put(backend_options=options)

    yield "stop, start on demand", lambda: post("stop?wait=true")
    yield "idle stop, start on demand", idle
    yield "evicted, and back a moment later", lambda: evict(_PAUSE_S)
    yield "evicted, and back at once", lambda: evict(0.0)
    yield "update of an option, at once", update
    yield "restart, at once", lambda: post("restart")
    yield "upgrade of llamactl", one.upgrade
