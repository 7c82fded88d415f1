"""The life of an instance, the same for every engine: what a user does, and what can befall it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.real_engines import Case
from support.served import BASE, Served, serve, until_gone
from support.waits import until

STEPS = [
    "create", "chat", "stream", "wrong model", "on-demand start by 20 requests", "update", "log",
    "metrics", "kill -9 of the engine under a stream", "upgrade under a stream",
    "llamactl killed, its engine adopted", "stop under a stream", "idle stop", "delete",
]  # fmt: skip
_NAME = "mine"
_ANSWER_S = 120.0


def live(case: Case, folder: Path) -> list[str]:
    """All of it. Returns the steps that were done."""
    data = folder / "data"
    data.mkdir()
    life = _Life(case, [])
    with serve(data, case.settings) as server:
        life.begin(server)
        life.wakes(server)
        life.changes(server)
        life.is_followed(server)
        pid = life.loses_its_engine(server)
        life.is_upgraded(server, pid)
    with serve(data, case.settings) as server:
        life.outlives_llamactl(server)
        server.kill()
    with serve(data, case.settings) as server:
        life.is_adopted(server)
        life.stops_during_a_stream(server)
        life.idles(server)
        life.is_deleted(server)
    until("nothing that is left", lambda: left_of(data), lambda left: left == [])
    return life.steps


@dataclass
class _Life:
    case: Case
    steps: list[str]
    pid: int = 0

    def begin(self, server: Served) -> None:
        self._define(server)
        made = server.until(_NAME, "ready")
        answer = self._chat(server)
        assert answer["model"] == _NAME
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] == 4
        self.steps += ["create", "chat"]
        with self._stream(server, 4) as events:
            said = [*events]
        assert {event["model"] for event in said} == {_NAME}
        assert said[-1]["choices"][0]["finish_reason"] == "length"
        self.steps.append("stream")
        wrong = server.request("POST", "/v1/chat/completions", self._body(4, model="nobody"))
        assert wrong.status_code == 404
        assert "nobody" in wrong.text
        assert server.instance(_NAME)["pid"] == made["pid"]
        self.steps.append("wrong model")

    def wakes(self, server: Served) -> None:
        pid = self._stop(server)
        with ThreadPoolExecutor(20) as pool:
            answers = [*pool.map(lambda _: self._chat(server), range(20))]
        assert {answer["model"] for answer in answers} == {_NAME}
        rows = server.request("GET", f"{BASE}/{_NAME}/events").json()
        assert [row["event"] for row in rows].count("BecameReady") == 2
        assert server.instance(_NAME)["pid"] != pid
        self.steps.append("on-demand start by 20 requests")

    def changes(self, server: Served) -> None:
        pid = server.instance(_NAME)["pid"]
        changed = self.case.definition({**self.case.options, **self.case.change})
        answer = server.request("PUT", f"{BASE}/{_NAME}", changed)
        assert answer.status_code == 200, answer.text
        server.until_replaced(_NAME, pid)
        server.until(_NAME, "ready")
        assert self._chat(server)["model"] == _NAME
        self.steps.append("update")

    def is_followed(self, server: Served) -> None:
        log = server.request("GET", f"{BASE}/{_NAME}/logs").text
        assert len(log.splitlines()) > 1
        assert "--- " in log
        self.steps.append("log")
        server.until_row(_NAME, "its memory", lambda row: row["memory"]["ram"] > 0)
        numbers = server.request("GET", "/metrics").text
        assert f'instance="{_NAME}"' in numbers
        self.steps.append("metrics")

    def loses_its_engine(self, server: Served) -> int:
        pid: int = server.instance(_NAME)["pid"]
        with self._stream(server, self.case.endless) as events:
            next(events)
            server.kill_pid(pid)
            said = [*events]
        assert "error" in said[-1], said[-1]
        server.until_replaced(_NAME, pid)
        new: int = server.until(_NAME, "ready")["pid"]
        assert self._chat(server)["model"] == _NAME
        self.steps.append("kill -9 of the engine under a stream")
        return new

    def is_upgraded(self, server: Served, pid: int) -> None:
        with self._stream(server, self.case.short) as events:
            next(events)
            server.upgrade()
            said = [*events]
        assert said[-1]["choices"][0]["finish_reason"] == "length"
        assert server.until(_NAME, "ready")["pid"] == pid
        self.steps.append("upgrade under a stream")

    def outlives_llamactl(self, server: Served) -> None:
        server.request("POST", f"{BASE}/{_NAME}/start")
        self.pid = server.until(_NAME, "ready")["pid"]

    def is_adopted(self, server: Served) -> None:
        assert server.until(_NAME, "ready")["pid"] == self.pid
        assert self._chat(server)["model"] == _NAME
        assert server.instance(_NAME)["pid"] == self.pid
        self.steps.append("llamactl killed, its engine adopted")

    def stops_during_a_stream(self, server: Served) -> None:
        pid = server.instance(_NAME)["pid"]
        with self._stream(server, self.case.short) as events:
            next(events)
            assert server.request("POST", f"{BASE}/{_NAME}/stop").status_code == 200
            said = [*events]
        assert said[-1]["choices"][0]["finish_reason"] == "length"
        server.until(_NAME, "stopped")
        until_gone(pid)
        self.steps.append("stop under a stream")

    def idles(self, server: Served) -> None:
        server.request("PUT", f"{BASE}/{_NAME}", {"idle_timeout": 0.001})
        self._chat(server)
        server.until(_NAME, "stopped")
        server.request("PUT", f"{BASE}/{_NAME}", {"idle_timeout": 0})  # else it is gone again soon
        self.steps.append("idle stop")

    def is_deleted(self, server: Served) -> None:
        self._chat(server)
        row = server.until(_NAME, "ready")
        assert server.request("DELETE", f"{BASE}/{_NAME}").status_code in (200, 204)
        assert server.request("GET", f"{BASE}/{_NAME}").status_code == 404
        until_gone(row["pid"])
        self.steps.append("delete")

    def _define(self, server: Served) -> None:
        answer = server.request("POST", f"{BASE}/{_NAME}", self.case.definition(self.case.options))
        assert answer.status_code == 201, answer.text

    def _stop(self, server: Served) -> int:
        pid: int = server.instance(_NAME)["pid"]
        server.request("POST", f"{BASE}/{_NAME}/stop")
        server.until(_NAME, "stopped")
        until_gone(pid)
        return pid

    def _body(self, tokens: int, **more: object) -> dict[str, Any]:
        messages = [{"role": "user", "content": "hello"}]
        return {"model": _NAME, "messages": messages, "max_tokens": tokens, **self.case.ask, **more}

    def _chat(self, server: Served) -> Mapping[str, Any]:
        with server.client() as client:
            answer = client.post("/v1/chat/completions", json=self._body(4), timeout=_ANSWER_S)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    @contextmanager
    def _stream(self, server: Served, tokens: int) -> Iterator[Iterator[Any]]:
        """What each event says."""
        body = self._body(tokens, stream=True)
        with (
            server.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body, timeout=_ANSWER_S) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise AssertionError(answer.read())
            yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Any]:
    for line in answer.iter_lines():
        kind, _, data = line.partition(":")
        if kind in ("data", "error") and data.strip() != "[DONE]":
            yield json.loads(data)


def left_of(data: Path) -> list[int]:
    """Pids of what a server with this data directory started: their HOME is that directory."""
    home, found = f"HOME={data}\0".encode(), list[int]()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if home in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found
