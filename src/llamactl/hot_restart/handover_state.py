"""What the old process leaves to the new one from its start."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from llamactl.core.errors import UpgradeFailed
from llamactl.link.messages import Failed, encode

FDS_VARIABLE = "LLAMACTL_TAKEOVER_FDS"
STORE_VARIABLE = "LLAMACTL_TAKEOVER_STORE"


@dataclass(frozen=True, slots=True)
class HandoverState:
    """What the old process lets the new one have from its start: to be used when it says so."""

    channel: socket.socket
    listener: socket.socket
    lock: int
    store: str  # digest of its URL

    @classmethod
    def of_environment(cls) -> HandoverState | None:
        """None where nobody is to be taken over from. It is there once."""
        fds = os.environ.pop(FDS_VARIABLE, "")
        if not fds:
            return None
        channel, listener, lock = map(int, fds.split(","))
        for fd in (channel, listener, lock):
            os.set_inheritable(fd, False)
        store = os.environ.pop(STORE_VARIABLE, "")
        return cls(socket.socket(fileno=channel), socket.socket(fileno=listener), lock, store)

    def check(self, lock_file: Path, store: str) -> None:
        """Raises UpgradeFailed if the settings name another place by now."""
        there = lock_file.stat() if lock_file.exists() else None
        here = os.fstat(self.lock)
        same = there is not None and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
        if not same or digest(store) != self.store:
            raise UpgradeFailed(
                "data_dir or database has changed in the settings; restart llamactl instead"
            )

    def failed(self, reason: str) -> None:
        """Say why it does not come to a takeover."""
        with contextlib.suppress(OSError):
            self.channel.send(encode(Failed(reason=reason)))


def digest(store: str) -> str:
    """It may hold a password, which has no place in an environment."""
    return hashlib.sha256(store.encode()).hexdigest()
