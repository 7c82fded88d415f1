"""Where proxy processes can be found: a folder with a Unix socket for each.

A process of llamactl that starts finds those that an earlier one left behind, with the socket on
which they accept clients.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from llamactl.config import Settings
from llamactl.observe import logger

_ANSWER_S = 2.0
_LARGEST = 1 << 16
log = logger("proxy")


class MeetingPlace:
    """Sockets are reached by the folder's descriptor: their paths may be 107 bytes long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, settings: Settings) -> MeetingPlace:
        return cls(settings.data / "proxies")

    def __repr__(self) -> str:
        return f"<MeetingPlace {self.folder}>"

    @property
    def is_used(self) -> bool:
        """By processes that run, or ended without a farewell."""
        return self.folder.is_dir() and any(self.folder.iterdir())

    def open(self, name: str) -> socket.socket:
        """A listening socket. Raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        place = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with self._there() as there:
            place.bind(f"{there}/{name}")
        place.listen(8)
        return place

    def remove(self, name: str) -> None:
        with suppress(OSError):  # of a file system that is read-only by now, say
            (self.folder / name).unlink(missing_ok=True)

    def find(self) -> Iterator[tuple[str, socket.socket]]:
        """Connections to all that live, by name; the sockets of others are removed."""
        if not self.folder.is_dir():
            return
        for name in sorted(found.name for found in self.folder.iterdir()):
            try:
                yield name, self.connect(name)
            except ConnectionRefusedError:
                self.remove(name)
            except OSError as exc:  # it lives, and does not come to it
                log.warning("proxy_process_not_reached", name=name, reason=str(exc))

    def connect(self, name: str) -> socket.socket:
        """Raises OSError if nobody is there."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.settimeout(_ANSWER_S)
        try:
            with self._there() as there:
                end.connect(f"{there}/{name}")
        except OSError:
            end.close()
            raise
        return end

    def listener(self, address: Sequence[str | int | bytes]) -> socket.socket | None:
        """The one that is left at this IP address and port, if any. Blocks, not long."""
        if not self.is_used:
            return None
        from llamactl.link.control_news import ListenerAsked
        from llamactl.link.messages import encode, heard_by_control
        from llamactl.link.proxy_news import ListenerGiven

        for _, end in self.find():
            with end, suppress(OSError):
                end.send(encode(ListenerAsked()))
                data, fds, _, _ = socket.recv_fds(end, _LARGEST, 1)
                if fds and isinstance(heard_by_control(data), ListenerGiven):
                    found = socket.socket(fileno=fds[0])
                    if found.getsockname()[:2] == tuple(address):
                        return found
                    found.close()
        return None

    def _there(self) -> _There:
        return _There(self.folder)


class _There:
    """A short path of a folder, as long as it is entered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        self._fd = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
