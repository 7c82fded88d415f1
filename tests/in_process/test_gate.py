"""From one machine to an engine on another one: encrypted, byte for byte, for nobody else."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from llamactl.cluster.certificates import Authority, Files
from llamactl.cluster.reaching import dial_through
from llamactl.core.routes import ReadyInstance
from llamactl.node import busy_slots
from llamactl.node.gate import Gate

RUN = uvloop.run  # whose TLS is not asyncio's
NODE = "127.0.0.2"  # its address; the engine is at 127.0.0.1
NOW = datetime.now(UTC)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def member(
    folder: Path, authority: Authority, node: str, address: str, now: datetime = NOW
) -> Files:
    files = Files(folder / node)
    files.keep(authority.sign(files.request(), node, address, now), authority.certificate)
    return files


@dataclass
class There:
    gate: Gate
    port: int
    engine: asyncio.Server
    authority: Authority
    folder: Path
    seen: list[asyncio.StreamWriter]  # connections to the engine
    writers: list[asyncio.StreamWriter]  # all, to be closed at the end

    async def connect(self, tls: ssl.SSLContext | None = None) -> tuple[
        asyncio.StreamReader, asyncio.StreamWriter
    ]:  # fmt: skip
        """As the head does, unless other papers are given."""
        head = member(self.folder, self.authority, "head", "127.0.0.1").client()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await dial_through(tls or head)(protocol, (NODE, self.port))
        transport = protocol._transport  # type: ignore[attr-defined]
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())


@asynccontextmanager
async def there(serve: Serve | None = None) -> AsyncGenerator[There]:
    seen: list[asyncio.StreamWriter] = []
    writers: list[asyncio.StreamWriter] = []

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        await (serve or echo)(reader, writer)
        writer.close()

    with TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        gate = Gate(NODE, member(folder, authority, "gpu1", NODE).server())
        server = await asyncio.start_server(engine, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        gate.open(port)
        try:
            async with asyncio.timeout(60.0):
                yield There(gate, port, server, authority, folder, seen, writers)
        finally:
            await gate.close_all()
            server.close()
            for writer in (*seen, *writers):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def test_bytes_pass_as_they_come_in_both_directions() -> None:
    async with there() as now:
        reader, writer = await now.connect()
        chance = random.Random(1)
        sent = chance.randbytes(3 << 20)

        async def send() -> None:
            at = 0
            while at < len(sent):
                size = chance.choice((1, 100, 70_000))
                writer.write(sent[at : at + size])
                await writer.drain()
                at += size

        sending = asyncio.create_task(send())
        assert await reader.readexactly(len(sent)) == sent
        await sending
        writer.close()


@pytest.mark.parametrize("who", ["nobody", "of another cluster", "expired", "no TLS"])
async def test_nobody_else_is_let_in(who: str) -> None:
    async with there() as now:
        if who == "no TLS":
            reader, writer = await asyncio.open_connection(NODE, now.port)
            now.writers.append(writer)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(ConnectionError):
                assert await reader.read() == b""
                raise ConnectionResetError
        else:
            if who == "nobody":
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                tls.load_verify_locations(now.folder / "authority.pem")
            else:
                other = now.folder / "other"
                authority = now.authority if who == "expired" else Authority(other)
                then = NOW - timedelta(days=4000) if who == "expired" else NOW
                files = member(other, authority, "head", "127.0.0.1", then)
                files.keep(files.certificate.read_bytes(), now.authority.certificate)
                tls = files.client()
            with pytest.raises(OSError):
                reader, writer = await now.connect(tls)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                assert await reader.read() == b""
                raise ConnectionResetError
        assert now.seen == []


async def test_a_machine_at_another_s_address_is_found_out() -> None:
    async with there() as now:
        port = now.port
        reader, writer = await now.connect()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"  # it is open by now
        writer.close()
        now.gate.close(port)
        with pytest.raises(ConnectionRefusedError):
            await now.connect()
        wrong = Gate(NODE, member(now.folder, now.authority, "gpu2", "127.0.0.3").server())
        wrong.open(port)
        with pytest.raises(ConnectionRefusedError, match=r"handshake with 127\.0\.0\.2 failed"):
            await now.connect()
        await wrong.close_all()
        assert len(now.seen) == 1


async def test_an_engine_that_ends_ends_the_connection_and_what_it_said_arrives() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"x" * (1 << 20))

    async with there(serve) as now:
        reader, writer = await now.connect()
        writer.write(b"go\n")

        assert len(await reader.read()) == 1 << 20
        writer.close()


async def test_an_engine_that_breaks_off_ends_nothing_cleanly() -> None:
    """A client must not take what came for all of an answer without a length."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await reader.readline()
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with there(serve) as now:
        reader, writer = await now.connect()
        writer.write(b"go\n")
        assert (await reader.readuntil(b"half")).endswith(b"half")
        writer.write(b"now\n")
        with pytest.raises(ConnectionError):
            await reader.read()


async def test_where_there_is_no_engine_the_connection_is_cut() -> None:
    async with there() as now:
        now.engine.close()
        reader, _ = await now.connect()
        with pytest.raises(ConnectionError):
            assert await reader.read() == b""
            raise ConnectionResetError


async def test_a_client_that_leaves_is_known_to_the_engine() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        assert await reader.read() == b""
        left.set()

    async with there(serve) as now:
        reader, writer = await now.connect()
        assert await reader.readexactly(5) == b"hello"
        writer.transport.abort()
        await left.wait()


async def test_what_is_not_read_is_not_held_here() -> None:
    """The engine can send no more than what fits into the buffers on the way."""
    stuck = asyncio.Event()
    written = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        piece = os.urandom(1 << 16)
        while written < 256 << 20:
            writer.write(piece)
            written += len(piece)
            try:
                async with asyncio.timeout(2.0):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
                return

    async with there(serve) as now:
        reader, writer = await now.connect()
        await reader.readexactly(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stuck.wait()
        assert written < 64 << 20
        writer.transport.abort()


async def test_a_closed_port_takes_nobody_new_and_leaves_what_passes() -> None:
    async with there() as now:
        reader, writer = await now.connect()
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        now.gate.close(now.port)
        with pytest.raises(ConnectionRefusedError):
            await now.connect()

        writer.write(b"still here")
        assert await reader.readexactly(10) == b"still here"
        now.gate.open(now.port)
        again, other = await now.connect()
        other.write(b"x")
        assert await again.readexactly(1) == b"x"
        for one in (writer, other):
            one.close()


def test_a_certificate_is_replaced_before_it_ends_and_at_another_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = member(tmp_path, authority, "gpu1", NODE)
    held = Files(tmp_path / "other")

    assert held.is_due(NOW, NODE, authority.certificate)
    assert not files.is_due(NOW + timedelta(days=3600), NODE, authority.certificate)
    assert files.is_due(NOW + timedelta(days=3640), NODE, authority.certificate)
    assert files.is_due(NOW, "10.0.0.9", authority.certificate)
    assert files.is_due(NOW, NODE, Authority(tmp_path / "new").certificate)
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert Authority(tmp_path).certificate == authority.certificate
    key = files.key.read_bytes()
    files.request()
    assert files.key.read_bytes() == key
    for request in (b"", b"no request", files.certificate.read_bytes()):
        with pytest.raises(ValueError):
            authority.sign(request, "x", "127.0.0.1", NOW)


async def test_an_engine_elsewhere_is_asked_how_busy_it_is_through_the_gate() -> None:
    async def slots(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        said = b'[{"is_processing": true}, {"is_processing": false}]'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
        await writer.drain()

    async with there(slots) as one:
        head = member(one.folder, one.authority, "head", "127.0.0.1").client()
        ready = ReadyInstance("one", NODE, one.port, "key", 1)
        assert await busy_slots(ready, head) == 1
        assert await busy_slots(ready, None) is None  # not in the clear
