"""Random kills under load: llamactl, an engine, what the engine started. What must be left?"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from support.life import left_of
from support.real_engines import Case
from support.served import BASE, Served, serve
from support.waits import until

_QUICK = {"auto_restart": True, "max_restarts": 1000, "restart_delay": 0}
_ANSWER_S = 60.0
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
        kind = self.chance.choice(["llamactl", "engine", "engine", "child"])
        case = self.chance.choice([*self.cases])
        if kind == "llamactl":
            self._server.kill()
            self._server = self._serve()
        else:
            self._kill(case, child=kind == "child")
        self.struck.append(f"{kind} {'' if kind == 'llamactl' else case.name}".strip())
        self._until_all_answer(f"kill {len(self.struck)}, of {self.struck[-1]}")

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
        )

    def end(self) -> None:
        """One group of processes for each instance, each with its true state; then none."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        rows = {case.name: self._server.until(case.name, "ready") for case in self.cases}
        assert {_session(pid) for pid in left_of(self._data) if _is_engine(pid)} == {
            row["pid"] for row in rows.values()
        }
        for case in self.cases:
            self._server.request("POST", f"{BASE}/{case.name}/stop")
            self._server.until(case.name, "stopped")
        self._stack.close()
        until("nothing that is left", lambda: left_of(self._data), lambda left: left == [])


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
