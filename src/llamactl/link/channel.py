"""Carries messages and file descriptors between two llamactl processes: in order, each at once."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable

from llamactl.link.messages import Message, encode

_LARGEST = 1 << 18  # bytes of a message that goes through the socket; a larger one is in a file
_MOST_FDS = 4
_AGAIN_S = 0.01
_IN_A_FILE = b"\0"  # instead of a message: it is in the last descriptor's file


class Channel:
    """An end of a pair of `SOCK_SEQPACKET`: https://man7.org/linux/man-pages/man7/unix.7.html

    Sending never waits: what the other side does not take yet is kept.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST << 1)
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._come: asyncio.Queue[tuple[bytes, list[int]] | None] = asyncio.Queue()
        self._going: deque[tuple[bytes, list[int]]] = deque()
        self._closed = False
        self._sent = asyncio.Event()
        self._sent.set()
        self._loop.add_reader(end.fileno(), self._read)

    @property
    def waiting(self) -> int:
        """Messages that the other side does not take yet."""
        return len(self._going)

    def __repr__(self) -> str:
        return f"<Channel {len(self._going)} to send>"

    @classmethod
    def pair(cls) -> tuple[socket.socket, socket.socket]:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return one, other

    def send(self, message: Message, fds: Iterable[int] = ()) -> None:
        """The descriptors are given away: they are closed here once they are there."""
        self.post(encode(message), fds)

    def post(self, data: bytes, fds: Iterable[int] = ()) -> None:
        """A message as it is on the way."""
        if self._closed:
            close_all(fds)
            return
        fds = [*fds]
        if len(data) > _LARGEST:
            try:
                fds.append(_file_of(data))
            except OSError:  # no descriptor is to be had: it can't be said, and not be left out
                close_all(fds)
                self.close()
                return
            data = _IN_A_FILE
        self._going.append((data, fds))
        self._sent.clear()
        if len(self._going) == 1:
            self._write()

    async def receive(self) -> tuple[bytes, list[int]]:
        """The next message and its descriptors. Raises ConnectionError when the other is gone."""
        got = await self._come.get()
        if got is None:
            self._come.put_nowait(None)
            raise ConnectionError("the other process is gone")
        return got

    async def sent(self) -> None:
        """Return when all is sent, or the other is gone."""
        await self._sent.wait()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for _, fds in self._going:
            close_all(fds)
        self._going.clear()
        self._sent.set()
        self._come.put_nowait(None)

    def _read(self) -> None:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._end, _LARGEST, _MOST_FDS)
            except BlockingIOError:
                return
            except ConnectionResetError:  # it went without hearing all; what it said is still here
                continue
            except OSError:
                break
            if not data:
                break
            for fd in fds:
                os.set_inheritable(fd, False)
            if data == _IN_A_FILE and fds:
                with os.fdopen(fds.pop(), "rb") as file:
                    data = file.read()
            self._come.put_nowait((data, fds))
        self.close()

    def _write(self) -> None:
        if self._closed:
            return
        while self._going:
            data, fds = self._going[0]
            try:
                socket.send_fds(self._end, [data], fds)
            except BlockingIOError:
                self._loop.add_writer(self._end.fileno(), self._write)
                return
            except OSError as exc:
                if exc.errno == errno.ETOOMANYREFS:  # the other side is to take some first
                    self._loop.call_later(_AGAIN_S, self._write)
                else:
                    self.close()
                return
            close_all(fds)
            self._going.popleft()
        self._sent.set()
        self._loop.remove_writer(self._end.fileno())


def _file_of(data: bytes) -> int:
    """In memory, to be read from its beginning."""
    fd = os.memfd_create("llamactl-message")
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        os.close(fd)
        raise
    return fd


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
