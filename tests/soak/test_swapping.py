"""Eight models share two places while engines are killed and instances changed and deleted."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, is_alive, serve

BASE = "/api/v1/instances"
MODELS, CLIENTS, REQUESTS = 8, 16, 500
WORDS = [f"word{n}" for n in range(MODELS)]
FIRST_WORD = 269  # the token of "▁word0"

# What a request may be answered with while others kill, stop, change and delete.
ALLOWED = {
    (404, "model_not_found"), (502, "upstream_died"), (503, "start_failed"),
    (503, "start_timeout"), (503, "queue_full"),
}  # fmt: skip
# What the trouble itself may be answered with.
MANAGEMENT = {200, 201, 204, 404, 409}


@dataclass
class Seen:
    answers: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, odd: str = "") -> None:
        with self.lock:
            self.answers[what] += 1
            if odd:
                self.odd.append(odd)


def ask(client: httpx.Client, rng: random.Random, seen: Seen) -> None:
    number, tokens = rng.randrange(MODELS), rng.randrange(1, 12)
    stream = rng.random() < 0.3
    body = {
        "model": f"model{number}", "prompt": "a", "max_tokens": tokens, "temperature": 0,
        "stream": stream,
    }  # fmt: skip
    answer = client.post("/v1/completions", json=body)
    if answer.status_code != 200:
        code = answer.json()["code"]
        seen.note(code, "" if (answer.status_code, code) in ALLOWED else answer.text)
        return
    if stream and '"error"' in answer.text:
        seen.note("broken_off", "" if "upstream_died" in answer.text else answer.text)
        return
    count = answer.text.count(WORDS[number])
    others = [word for word in WORDS if word != WORDS[number] and word in answer.text]
    right = count == tokens and not others
    seen.note("right" if right else "wrong", "" if right else f"{number} {tokens}: {answer.text}")


def trouble(server: Served, bodies: list[dict[str, Any]], rng: random.Random, seen: Seen) -> None:
    number = rng.randrange(MODELS)
    path = f"{BASE}/model{number}"
    match rng.randrange(8):
        case 0 | 1:
            row = server.request("GET", path)
            pid = row.json().get("pid") if row.status_code == 200 else None
            if pid in server.children():  # not one that was reaped, and its number used again
                with suppress(ProcessLookupError):  # it has ended since that look
                    os.kill(pid, rng.choice([signal.SIGKILL, signal.SIGTERM]))
            return
        case 2:
            answer = server.request("POST", f"{path}/stop?force={rng.random() < 0.5}")
        case 3:
            answer = server.request("POST", f"{path}/restart?evict={rng.random() < 0.5}")
        case 4:
            answer = server.request("POST", f"{path}/start?evict={rng.random() < 0.5}")
        case 5:
            body = {"ctx_size": rng.choice([256, 512])}
            answer = server.request("PUT", path, body)
        case 6:
            server.request("DELETE", f"{path}?force={rng.random() < 0.5}")
            answer = server.request("POST", f"{path}?start=false", bodies[number])
        case _:
            answer = server.request("POST", f"{BASE}/model{number}/plan")
    failed = answer.status_code == 500 and answer.json()["code"] == "start_failed"
    odd = "" if failed or answer.status_code in MANAGEMENT else answer.text
    seen.note("trouble", odd)


def definitions(folder: Path) -> list[dict[str, Any]]:
    """Of models that say nothing but their own word."""
    bodies: list[dict[str, Any]] = []
    for number in range(MODELS):
        path = folder / f"{number}.gguf"
        shape = Shape(vocabulary=FIRST_WORD + MODELS, says=FIRST_WORD + number)
        write_tiny_gguf(path, shape)
        bodies.append(
            {
                "model": str(path),
                "ctx_size": 256,
                "threads": 1,
                "parallel": 4,
                "restart_delay": 0.02,
            }
        )
    return bodies


def test_eight_models_on_two_places(tmp_path: Path, scale: int) -> None:
    data, seen = tmp_path / "data", Seen()
    data.mkdir()
    (data / "llamactl.yaml").write_text(
        "instances: {max_running_instances: 2, min_residency: 0.05, failure_cool_down: 0.05,"
        " on_demand_start_timeout: 60}\nlog: {level: error}\n"
    )
    bodies = definitions(tmp_path)
    with serve(data) as server:
        for number, body in enumerate(bodies):
            server.request("POST", f"{BASE}/model{number}?start=false", body)
        keys = [
            server.request("POST", "/api/v1/auth/keys", {"name": f"k{n}", "priority": n % 3}).json()
            for n in range(CLIENTS)
        ]
        share = REQUESTS * scale // CLIENTS
        over, due = threading.Event(), threading.Semaphore(0)

        def one(number: int) -> None:
            rng = random.Random(number)
            with server.client(keys[number]["key"]) as client:
                for turn in range(share):
                    ask(client, rng, seen)
                    if turn % 4 == 0:
                        due.release()

        def disturb() -> None:
            rng = random.Random(99)
            while due.acquire() and not over.is_set():
                trouble(server, bodies, rng, seen)

        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            disturbing = pool.submit(disturb)
            try:
                list(pool.map(one, range(CLIENTS)))
            finally:
                over.set()
                due.release()
            disturbing.result()

        assert Counter(text[:160] for text in seen.odd) == {}
        assert sum(seen.answers.values()) - seen.answers["trouble"] == share * CLIENTS
        assert seen.answers["right"] > share * CLIENTS * 0.5, seen.answers
        rows = settled(server)
        assert set(server.children()) == {row["pid"] for row in rows if row["pid"]}
        assert sum(row["state"] == "ready" for row in rows) <= 2
        pids = server.children()
    assert not any(is_alive(pid) for pid in pids)


def settled(server: Served) -> list[dict[str, Any]]:
    """All instances, once each is at rest."""
    at_rest = ("stopped", "ready", "failed")
    rows: list[dict[str, Any]] = server.until_answer(
        BASE, "all at rest", lambda rows: all(row["state"] in at_rest for row in rows)
    )
    return rows
