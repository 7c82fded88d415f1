"""A command on a real terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping

from support.served import Served

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    server: Served, columns: int, *words: str, seen: bytes = b"", then: Callable[[], object] = list,
    variables: Mapping[str, str] | None = None,
) -> list[str]:  # fmt: skip
    """What the command shows on a terminal that is so wide. Once `seen` is, `then` is called.

    `variables`: of its environment.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"HOME": str(server.data_dir), "PATH": "/usr/bin:/bin", "TERM": "xterm"}
    env |= {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    env |= variables or {}
    process = subprocess.Popen(
        [sys.executable, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=server.data_dir,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while data := _read(ours):
            said += data
            if seen and seen in said:
                seen = b""
                then()
    except BaseException:
        process.kill()
        raise
    finally:
        os.close(ours)
        process.wait()
    assert process.returncode == 0, said
    return _ESCAPE.sub("", said.decode()).replace("\r", "\n").splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other side is closed
        return b""
