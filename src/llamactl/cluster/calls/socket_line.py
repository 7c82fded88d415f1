"""A line to a process on this machine, over a Unix socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from llamactl.cluster.calls.frames import Answering, Frames
from llamactl.cluster.calls.line import LineDown, NodeGone

_FIRST_S, _LONGEST_S = 0.01, 1.0  # between two tries


class SocketLine:
    """Connects when it is asked, and again after the connection was lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: Frames | None = None
        self._running: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._pause_s = _FIRST_S

    def __repr__(self) -> str:
        return f"<SocketLine {self._path}>"

    async def ask(self, call: bytes) -> bytes:
        """Raises NodeGone where no process answers there, or it has ended."""
        frames = await self._connected()
        try:
            return await frames.ask(call)
        except LineDown as exc:
            if frames.closed:
                raise NodeGone from exc
            raise

    async def reachable(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_S)
            with suppress(LineDown):
                await self._connected()
                return

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _connected(self) -> Frames:
        async with self._connecting:
            if self._frames is None or self._frames.closed:
                try:
                    reader, writer = await asyncio.open_unix_connection(self._path)
                except OSError as exc:
                    raise NodeGone from exc
                self._frames = Frames(reader, writer)
                self._running = asyncio.get_running_loop().create_task(self._frames.run())
                self._pause_s = _FIRST_S
            return self._frames


@asynccontextmanager
async def answering(path: Path, answer: Answering) -> AsyncGenerator[None]:
    """At a socket that only our user may connect to.

    Raises OSError, also if another process answers there.
    """
    lines = set[asyncio.Task[None]]()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.get_running_loop().create_task(Frames(reader, writer, answer).run())
        lines.add(line)
        line.add_done_callback(lines.discard)

    server = await asyncio.start_unix_server(serve, sock=_bound(path))
    try:
        yield
    finally:
        server.close()
        for line in (left := [*lines]):
            line.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _bound(path: Path) -> socket.socket:
    """Nobody can connect before it listens."""
    made = socket.socket(socket.AF_UNIX)
    try:
        with (
            suppress(FileNotFoundError, ConnectionRefusedError),
            socket.socket(socket.AF_UNIX) as other,
        ):
            other.connect(str(path))
            raise FileExistsError(errno.EADDRINUSE, "another process answers there", str(path))
        path.unlink(missing_ok=True)
        made.bind(str(path))
        path.chmod(0o600)
    except OSError:
        made.close()
        raise
    return made
