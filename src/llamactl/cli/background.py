"""Starts a server that keeps running when the command that needed it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import typer

from llamactl.cli.loading import Progress
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.cli.session import Session

_WAIT_S, _LOOK_S = 60.0, 0.05


def ensure_server(s: Session) -> None:
    """Raises LlamactlError if there is none, and none can be started."""
    if not s.is_local or is_there(s):
        return
    log = s.settings.data / "llamactl.log"
    process, progress = _spawn(s), Progress(_WAIT_S)
    ends = time.monotonic() + _WAIT_S
    try:
        while not is_there(s):
            if process.poll() is not None:
                words = log.read_text(errors="replace").splitlines()[-1:]
                raise LlamactlError(f"cannot start a server: {''.join(words)}")
            if time.monotonic() > ends:
                raise LlamactlError(f"the server did not respond within {_WAIT_S:g} s; see {log}")
            progress.say("starting llamactl")
            time.sleep(_LOOK_S)
    finally:
        progress.end()
    typer.echo(
        f"llamactl was not running: started it at {s.known_url} (pid {process.pid}, log {log}); "
        "`llamactl shutdown` stops it",
        err=True,
    )


def is_there(s: Session) -> bool:
    """Does a server answer where the last one of this data directory did?"""
    if not s.known_url:
        return False
    try:
        with s.client_within(5) as client:
            client.health()
    except LlamactlError:
        return False
    return True


def _spawn(s: Session) -> subprocess.Popen[bytes]:
    data = s.settings.data
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = [] if s.data_dir is None else ["--data-dir", str(s.data_dir)]
    fd = os.open(data / "llamactl.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "llamactl", "serve", *flags],
            stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(fd)
