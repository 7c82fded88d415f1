"""A system that ours is measured beside."""

from __future__ import annotations

import subprocess
from typing import Self

from benchmarks.ports import until_listening


class Peer:
    """One process, so that its CPU time is all in one place. Ended with the context."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.pid = process.pid
        self.port = port

    def __enter__(self) -> Self:
        until_listening(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
