"""What the command line says and waits for while a server is slow."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.cli import background, loading
from llamactl.cli.commands import maintain, models
from llamactl.cli.session import Session
from llamactl.core.errors import LlamactlError

SOON = 20.0  # seconds within which a thread ends, or the test fails


def instance(status: str, *, image: str = "", leases: int | None = None) -> SimpleNamespace:
    drain = None if leases is None else SimpleNamespace(leases=leases)
    return SimpleNamespace(status=status, image=image, drain=drain)


def download(**said: Any) -> SimpleNamespace:
    job = {
        "name": "", "model": "org/repo", "state": "running", "kind": "model", "warning": "",
        "error": "", "done": 512 << 20, "total": 2 << 30, "rate": 64 << 20, "left_s": 24.0,
    }  # fmt: skip
    return SimpleNamespace(**{**job, **said})


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")


def test_an_answer_does_not_wait_for_a_server_that_is_asked_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "_QUIET_S", 0.0)
    asked, may_answer = threading.Event(), threading.Event()

    def get(_: str) -> Any:
        asked.set()
        may_answer.wait(SOON)
        return instance("starting")

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


def signs_of(
    rows: list[SimpleNamespace], monkeypatch: pytest.MonkeyPatch, jobs: Any = lambda: []
) -> None:
    """Of a command that changes an instance, which is in these states one after the other."""
    for name in ("_QUIET_S", "_LOOK_S", "_LINE_S"):
        monkeypatch.setattr(loading, name, 0.0)
    left, seen_all = [*rows], threading.Event()

    def get(_: str) -> Any:
        if not left:
            seen_all.set()
            return instance("running")
        return left.pop(0)

    client = SimpleNamespace(instances=SimpleNamespace(get=get), models=SimpleNamespace(jobs=jobs))
    with loading.Loading(cast(Session, SimpleNamespace(client=client)), "x", until_ready=False):
        assert seen_all.wait(SOON), "it stopped watching"


def test_a_change_is_shown_from_the_drain_to_the_load(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [instance("running"), instance("restarting", leases=2), instance("stopping"),
            instance("failed"), instance("stopped"), instance("starting")]  # fmt: skip

    signs_of(rows, monkeypatch)

    assert capsys.readouterr().err.splitlines() == [
        "finishing the requests of x: 2 left (0s)",
        "stopping x (0s)",
        "waiting for x (0s)",
        "loading x (0s)",
    ]


def test_the_pull_of_its_image_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        download(kind="image", model="vllm:1", state="done"),
        download(kind="image", model="other:1"),
        download(kind="image", model="vllm:1"),
    ]

    signs_of([instance("starting", image="vllm:1")], monkeypatch, lambda: jobs)
    signs_of([instance("starting", image="vllm:1")], monkeypatch)

    assert capsys.readouterr().err.splitlines() == [
        "pulling vllm:1 for x: 512.0 MiB of 2.0 GiB (25%), 64.0 MiB/s, 24s left (0s)",
        "loading x (0s)",
    ]


def test_on_a_terminal_one_line_changes_and_is_wiped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch)

    signs_of([instance("starting"), instance("starting")], monkeypatch)

    assert capsys.readouterr().err == "\r\x1b[Kloading x (0s)" * 2 + "\r\x1b[K"


def followed(*states: SimpleNamespace) -> None:
    def follow(_: str) -> Any:
        yield from states

    client = SimpleNamespace(models=SimpleNamespace(follow=follow))
    models.follow(cast(Session, SimpleNamespace(client=client)), cast(Any, download(id="1")))


def test_a_download_is_shown_on_a_line_that_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_terminal(monkeypatch)

    followed(download(total=0), download(name="org/a-long-name:Q4_K_M"), download(state="done"))

    first, second, *_ = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert first == "org/repo: starting"
    assert second == "org/a-long-name:Q4_K_M: 512.0 MiB of 2.0 GiB (25%), 64.0 Mi"[:59]


def test_where_no_terminal_is_a_long_download_says_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = (download(), download(), download(state="done"))
    followed(*states)
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(models, "_FIRST_LINE_S", 0.0)
    followed(*states)
    assert capsys.readouterr().err == (
        "org/repo: 512.0 MiB of 2.0 GiB (25%), 64.0 MiB/s, 24s left\n"
    )


def test_the_start_of_a_server_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    on_terminal(monkeypatch)
    answers = [False, False, True]
    process = SimpleNamespace(poll=lambda: None, pid=1)
    monkeypatch.setattr(background, "is_there", lambda _: answers.pop(0))
    monkeypatch.setattr(background, "_spawn", lambda _: process)
    settings = SimpleNamespace(data=tmp_path)

    ensure_server = cast(Any, background.ensure_server)
    ensure_server(SimpleNamespace(is_local=True, settings=settings, known_url="http://x"))

    first, wiped = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert first == "starting llamactl"
    assert wiped.startswith("llamactl was not running: started it at http://x")


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
