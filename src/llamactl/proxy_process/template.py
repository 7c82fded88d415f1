"""The process whose copies are the proxy processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from llamactl.link import Channel

FD_VARIABLE = "LLAMACTL_PROXY_TEMPLATE_FD"
LARGEST = 1 << 12  # bytes of what a copy is given beside descriptors


class Template:
    """It ends when this object is closed, or this process ends; its copies live on."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None

    def __repr__(self) -> str:
        return f"<Template pid {self._process.pid if self._process else None}>"

    def copy(self, data: bytes, fds: Sequence[int]) -> None:
        """Begin a copy with these descriptors. Raises OSError."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        assert self._asking is not None
        socket.send_fds(self._asking, [data], fds)

    def _start(self) -> None:
        self.close()
        mine, theirs = Channel.pair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "llamactl.proxy_process"],
                env={**self._environ, FD_VARIABLE: str(fd)},
                pass_fds=[fd],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # they outlive this process, whose reader may wait
                start_new_session=True,  # Ctrl-C is for the process that decides
            )
        self._asking = mine

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()
            self._asking = None
        if self._process is not None:
            self._process.kill()  # it holds nothing
            self._process.wait()
            self._process = None
