"""Random kills under load: llamactl, an engine, what the engine started. What must be left?"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from support.containers import ContainerEngine, Daemon
from support.life import left_of
from support.real_engines import Case
from support.served import BASE, Served, serve
from support.waits import WITHIN_S, until

_QUICK = {"auto_restart": True, "max_restarts": 1000, "restart_delay": 0}
_ANSWER_S = 60.0
_OF_A_CASE = ("engine", "child")
_KEYS = (b"LLAMACTL_PROCESS_KEY=", b"LLAMA_API_KEY=", b"VLLM_API_KEY=")


@dataclass
class Attack:
    """Several instances of each case, asked all the time; `strike` kills, `end` looks what is left.

    After each strike every instance must answer again.
    """

    cases: Sequence[Case]
    folder: Path
    port: int
    chance: random.Random
    engines: Sequence[ContainerEngine] = ()  # in which some of the cases run
    daemon: Daemon | None = None
    within_s: float = WITHIN_S  # until all answer again
    struck: list[str] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _over: threading.Event = field(default_factory=threading.Event)
    _answered: dict[str, int] = field(default_factory=dict)  # by instance
    _refused: dict[str, str] = field(default_factory=dict)  # the last error of each

    def __enter__(self) -> Attack:
        self._data = self.folder / "data"
        self._data.mkdir()
        self._server = self._serve()
        for case in self.cases:
            body = {**case.definition(case.options), **_QUICK}
            answer = self._server.request("POST", f"{BASE}/{case.name}", body)
            assert answer.status_code == 201, answer.text
            self._answered[case.name] = 0
        self._threads = [threading.Thread(target=self._ask, args=(case,)) for case in self.cases]
        for thread in self._threads:
            thread.start()
        self._until_all_answer("before the first kill")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._stack.close()

    def _serve(self) -> Served:
        settings: Mapping[str, str] = {k: v for one in self.cases for k, v in one.settings.items()}
        return self._stack.enter_context(serve(self._data, settings, port=self.port))

    def _ask(self, case: Case) -> None:
        body = {"model": case.name, "messages": [{"role": "user", "content": "hello"}],
                "max_tokens": 20, **case.ask}  # fmt: skip
        while not self._over.is_set():
            with suppress(httpx.HTTPError), self._server.client() as client:
                answer = client.post("/v1/chat/completions", json=body, timeout=_ANSWER_S)
                if answer.status_code == httpx.codes.OK:
                    self._answered[case.name] += 1
                else:
                    self._refused[case.name] = answer.text
            self._over.wait(0.05)

    def strike(self) -> None:
        kind = self.chance.choice(self._kinds())
        case = self.chance.choice([*self.cases])
        match kind:
            case "llamactl":
                self._server.kill()
                self._server = self._serve()
            case "client":
                self._kill_client()
            case "daemon":
                self._kill_daemon()
            case _:
                self._kill(case, child=kind == "child")
        self.struck.append(f"{kind} {case.name if kind in _OF_A_CASE else ''}".strip())
        self._until_all_answer(f"kill {len(self.struck)}, of {self.struck[-1]}")

    def _kinds(self) -> list[str]:
        found = ["llamactl", "engine", *_OF_A_CASE]
        return found + ["client"] * bool(self.engines) + ["daemon"] * (self.daemon is not None)

    def _kill_client(self) -> None:
        """One that waits for a container, or follows its log."""
        clients = [pid for engine in self.engines for pid in _clients(engine)]
        if clients:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(clients), signal.SIGKILL)

    def _kill_daemon(self) -> None:
        """The next one ends what the one that was killed left running."""
        assert self.daemon is not None
        self.daemon.stop(signal.SIGKILL)
        self.daemon.start()

    def _kill(self, case: Case, *, child: bool) -> None:
        pid = self._server.instance(case.name)["pid"]
        if pid is None:  # it is just being started again
            return
        others = [one for one in left_of(self._data) if _session(one) == pid != one]
        with suppress(ProcessLookupError):
            os.kill(self.chance.choice(others) if child and others else pid, signal.SIGKILL)

    def _until_all_answer(self, after: str) -> None:
        before = dict(self._answered)
        until(
            f"an answer of every instance after {after}",
            lambda: {
                name: self._refused.get(name, "")
                for name, count in self._answered.items()
                if count == before[name]
            },
            lambda silent: silent == {},
            within=self.within_s,
        )

    def _sessions(self) -> set[int]:
        """Of the engines that run; 0 is one that ended just now."""
        return {_session(pid) for pid in left_of(self._data) if _is_engine(pid)} - {0}

    def end(self) -> None:
        """One group of processes for each instance, each with its true state; then none."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        rows = {case.name: self._server.until(case.name, "ready") for case in self.cases}
        inside = {case.name for case in self.cases if "container" in case.more}
        pids = {row["pid"] for name, row in rows.items() if name not in inside}
        until("one group each", self._sessions, lambda found: found == pids)
        assert sum(len(engine.containers()) for engine in self.engines) == len(inside)
        for case in self.cases:
            self._server.request("POST", f"{BASE}/{case.name}/stop")
            self._server.until(case.name, "stopped")
        self._stack.close()
        until("nothing that is left", lambda: left_of(self._data), lambda left: left == [])
        assert [engine.containers() for engine in self.engines] == [[] for _ in self.engines]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def attack(cases: Sequence[Case], folder: Path, kills: int, seed: int, **more: Any) -> list[str]:
    """What was killed."""
    with Attack(cases, folder, free_port(), random.Random(seed), **more) as one:
        for _ in range(kills):
            one.strike()
        one.end()
    return one.struck


def _clients(engine: ContainerEngine) -> list[int]:
    """Pids of its command lines that run."""
    (mark, *_) = (f"{name}={value}".encode() for name, value in engine.environment.items())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (process / "cmdline").read_bytes().partition(b"\0")[0].rpartition(b"/")[2]
            if name == engine.name.encode() and mark in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _session(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getsid(pid)
    return 0


def _is_engine(pid: int) -> bool:
    """By the key that each start gives its processes, and no others."""
    with suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return any(name in environment for name in _KEYS)
    return False
