"""What the command line says and waits for while a server is slow."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.cli import loading
from llamactl.cli.commands import maintain
from llamactl.cli.session import Session
from llamactl.core.errors import LlamactlError

SOON = 20.0  # seconds within which a thread ends, or the test fails


def test_an_answer_does_not_wait_for_a_server_that_is_asked_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "_QUIET_S", 0.0)
    asked, may_answer = threading.Event(), threading.Event()

    def get(_: str) -> Any:
        asked.set()
        may_answer.wait(SOON)
        return SimpleNamespace(status="starting")

    s = SimpleNamespace(client=SimpleNamespace(instances=SimpleNamespace(get=get)))
    signs = loading.Loading(cast(Session, s), "slow")
    signs.__enter__()
    assert asked.wait(SOON), "the server was not asked"
    ending = threading.Thread(target=signs.end, daemon=True)
    ending.start()
    ending.join(SOON / 4)
    returned = not ending.is_alive()
    may_answer.set()
    signs._thread.join(SOON)

    assert returned, "it waits for the server's answer"
    assert not signs._thread.is_alive(), "it still watches"
    assert capsys.readouterr().err == ""


def test_a_server_that_does_not_stop_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maintain, "_MARGIN_S", 0.01)
    ignores = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True)"
    settings = [
        SimpleNamespace(key=f"instances.{name}", value=0.0)
        for name in ("drain_timeout", "eviction_drain_timeout", "stop_timeout")
    ]
    server = subprocess.Popen(
        [sys.executable, "-c", f"{ignores}; sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with server:
        assert server.stdin is not None and server.stdout is not None
        server.stdout.readline()
        client = SimpleNamespace(
            system=lambda: SimpleNamespace(pid=server.pid),
            config=SimpleNamespace(settings=lambda: settings),
        )
        s = SimpleNamespace(is_local=True, as_json=False, client=client)

        with pytest.raises(LlamactlError, match="still runs after 0s; see its log, or use --force"):
            cast(Any, maintain.shutdown).__wrapped__(s)
        server.send_signal(signal.SIGKILL)
