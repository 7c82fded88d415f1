"""Requests that proxy processes do not serve: the management API, the web page, other APIs."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.proxy.http.heads import KEPT, RequestHead
from llamactl.proxy_process.relaying.controls import Controls


class ManagementElsewhere:
    """They go, with their connections, to the process that decides."""

    def __init__(self, controls: Controls, is_relayed: Callable[[RequestHead], bool]) -> None:
        self._controls = controls
        self._is_relayed = is_relayed
        self._relayed: set[RequestHead] = set()  # of those that come again and again

    def __repr__(self) -> str:
        return f"<ManagementElsewhere, {len(self._relayed)} heads known>"

    def serves(self, head: RequestHead) -> bool:
        if head in self._relayed:
            return False
        if not self._is_relayed(head):
            return True
        if head.is_kept:
            if len(self._relayed) >= KEPT:
                self._relayed.clear()
            self._relayed.add(head)
        return False

    def check(self) -> None:
        self._controls.check()

    def give(self, fd: int, request: bytes) -> None:
        self._controls.now.give_client(fd, request, for_control=True)
