"""Commands on a real terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.fake_engine import create_fake, tell
from support.served import Served, data_folder, serve

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    server: Served, columns: int, *words: str, seen: bytes = b"", then: Callable[[], object] = list
) -> list[str]:
    """What the command shows on a terminal that is so wide. Once `seen` is, `then` is called."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"HOME": str(server.data_dir), "PATH": "/usr/bin:/bin", "TERM": "xterm"}
    env |= {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    process = subprocess.Popen(
        [sys.executable, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=server.data_dir,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1 << 16):
            said += data
            if seen and seen in said:
                seen = b""
                then()
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0, said
    return _ESCAPE.sub("", said.decode()).replace("\r", "\n").splitlines()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("terminal")
    engine = folder / "engine"
    engine.write_text("#!/bin/sh\necho 'error: failed to open GGUF file x'\nexit 1\n")
    engine.chmod(0o755)
    with serve(data_folder(folder, "")) as running:
        body = {"model": str(engine), "command_override": str(engine), "auto_restart": False}
        for name in ("qwen3-coder-30b", "a"):
            failed = running.request("POST", f"/api/v1/instances/{name}", body)
            assert failed.status_code == 500
        body = {"model": "x"}
        running.request("POST", "/api/v1/instances/idle-one?start=false", body)
        yield running


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("words", [("ps",), ("top", "--count", "1")])
def test_names_and_states_are_whole_where_instances_failed(
    server: Served, columns: int, words: tuple[str, ...]
) -> None:
    lines = on_terminal(server, columns, *words)

    rows = {tuple(line.split()[:2]) for line in lines if line.strip()}
    assert {("NAME", "STATUS"), ("qwen3-coder-30b", "failed"), ("a", "failed"),
            ("idle-one", "stopped")} <= rows, lines  # fmt: skip
    assert max(map(len, lines)) <= columns


def test_who_waits_for_a_start_sees_that_it_is_loading(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "slow", start=False, model="slow")

        def loaded() -> None:
            tell(server.instance("slow"), "loaded")

        for words in (("start", "slow"), ("restart", "slow"), ("update", "slow", "ctx_size=512")):
            lines = on_terminal(server, 80, *words, seen=b"loading slow (", then=loaded)

            assert "slow  running" in lines, (words, lines)
