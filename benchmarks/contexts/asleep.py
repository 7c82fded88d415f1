"""How long until the first token of an instance that is asleep, beside one that stopped.

    python -m benchmarks.contexts.asleep [MODEL.gguf [ENGINE [WORD ...]]]

As `benchmarks.contexts`. Both keep their context; rounds alternate.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import httpx

from benchmarks.contexts.asking import ask, until
from benchmarks.contexts.serving import INSTANCES, Engine, packaged, prepare, served

ROUNDS = int(os.environ.get("ROUNDS", "10"))
_PROMPT = " ".join(f"word{n % 89} and item{n % 31}," for n in range(300))
_IDLE = 1 / 60  # minutes: the shortest that llama-server knows
_RESTS = {"asleep": "sleep", "stopped": "stop"}  # what each does once it is idle, by its state


def main(model: Path, engine: Engine) -> None:
    took, memory = defaultdict[str, list[float]](list), dict[str, int]()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        prepare(data, max_running_instances=2, health_interval=0.1)
        with served(data, engine.environment(data)) as one:
            for state, action in _RESTS.items():
                body = {
                    "backend_options": engine.options(model), "idle_action": action,
                    "idle_timeout": _IDLE,
                }  # fmt: skip
                one.client.post(f"{INSTANCES}/{state}?start=false", json=body).raise_for_status()
                ask(one.client, _PROMPT, state)
            for _ in range(ROUNDS):
                for state in _RESTS:
                    until(partial(_is, one.client, state))
                    if state == "asleep":
                        memory["asleep"] = _resident(_row(one.client, state)["pid"])
                    took[state].append(ask(one.client, _PROMPT, state).first_s)
                    if state == "asleep":
                        memory["awake"] = _resident(_row(one.client, state)["pid"])
    for state, seconds in took.items():
        print(f"{state:10}{statistics.median(seconds):8.3f} s, fastest {min(seconds):.3f} s")
    for state, size in memory.items():
        print(f"its process {state:8}{size / 1e6:8.0f} MB")


def _is(client: httpx.Client, state: str) -> bool:
    """The instance of that name, in that state."""
    return _row(client, state)["state"] == state


def _row(client: httpx.Client, name: str) -> dict[str, object]:
    row: dict[str, object] = client.get(f"{INSTANCES}/{name}").raise_for_status().json()
    return row


def _resident(pid: object) -> int:
    """Bytes of its memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


if __name__ == "__main__":
    words = sys.argv[1:]
    main(Path(words[0]) if words else packaged(), Engine.given(words[1:]))
