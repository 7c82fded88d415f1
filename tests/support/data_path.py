"""The whole data path in memory: clients, llamactl and engines are joined by transports of ours."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from llamactl.config import Settings
from llamactl.core.instance import name_key
from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.core.paths import PathGuard
from llamactl.core.routes import ReadyInstance
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing, digest
from llamactl.proxy import Access, EnginePaths, ManagementApi, ProxyServer
from llamactl.proxy.http.engine_connection import Address, Connection
from llamactl.proxy.relay.pool import Pool
from support.control_path import ControlPath
from support.waits import WITHIN_S

CHAT = "/v1/chat/completions"
MANAGER = "manager"
PATHS = EnginePaths(
    inference={"llama_cpp": frozenset({(b"POST", CHAT), (b"POST", "/completion"), (b"GET", "/x")})},
    guarded={"llama_cpp": frozenset({"slots"})},
    by_model=frozenset({"/completion"}),
    prefixes={"llama-cpp": "llama_cpp"},
)


class Wire:
    """A transport whose other end is a test."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.written = bytearray()
        self.late = bytearray()  # written after llamactl had ended it
        self.left = False  # by the other end, which is not known here at once
        self.news = asyncio.Event()
        self.closed = False
        self.reading = True
        self.on_closed: Callable[[], None] = lambda: None
        self._host = host

    def get_extra_info(self, name: str) -> object:
        return (self._host, 1) if name == "peername" else None

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, **_: int) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        if not self.left:
            (self.late if self.closed else self.written).extend(data)
        self.news.set()

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.news.set()
            asyncio.get_running_loop().call_soon(self.on_closed)

    close = abort


@dataclass
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to llamactl."""

    def __init__(self, proxy: ProxyServer, host: str) -> None:
        self.wire = Wire(host)
        self.connection = proxy.connection()
        self.wire.on_closed = lambda: self.connection.connection_lost(None)
        self.connection.connection_made(cast(asyncio.Transport, self.wire))
        self._read = 0
        self._parser = httptools.HttpResponseParser(self)
        self._answers: list[Response] = []
        self._headers: dict[str, str] = {}
        self._body = b""

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> None:
        self.send(request(method, path, body, **more))

    async def answer(self) -> Response:
        """The next one, to its end."""
        async with asyncio.timeout(WITHIN_S):
            while not self._take() and not self.wire.closed:
                self.wire.news.clear()
                await self.wire.news.wait()
        assert self._take(), f"closed without a whole answer: {self.wire.written[-300:]!r}"
        return self._answers.pop(0)

    def _take(self) -> bool:
        data = bytes(self.wire.written[self._read :])
        self._read += len(data)
        if data:
            self._parser.feed_data(data)
        return bool(self._answers)

    async def received(self, text: bytes) -> None:
        """Until this has come."""
        async with asyncio.timeout(WITHIN_S):
            while text not in self.wire.written:
                assert not self.wire.closed, f"closed: {self.wire.written[-300:]!r}"
                self.wire.news.clear()
                await self.wire.news.wait()

    def leave(self) -> None:
        self.wire.left = True
        self.wire.abort()

    # The parser's side.

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        if (status := self._parser.get_status_code()) >= 200:
            self._answers.append(Response(status, self._headers, self._body))


def request(
    method: str, path: str, body: object = None, *, key: str = "", headers: tuple[str, ...] = ()
) -> bytes:
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1"]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append("Host: localhost")
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None and not any("ength:" in line or "ncoding:" in line for line in headers):
        lines.append(f"Content-Length: {len(sent)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + sent


class Engine:
    """Answers each request at once, unless a test took that over."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.news = asyncio.Event()
        self.by_hand = False
        self.refuses = False  # connections

    async def dial(self, connection: Connection, address: Address) -> None:
        if self.refuses:
            raise ConnectionRefusedError("Connection refused")
        connection.connection_made(cast(asyncio.Transport, EngineWire(self, connection)))

    async def request(self, number: int) -> Seen:
        """The one of this number, whole, as soon as it is there."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.seen) <= number or not self.seen[number].complete:
                self.news.clear()
                await self.news.wait()
        return self.seen[number]


@dataclass
class Seen:
    """A request that reached an engine, and the way to answer it."""

    engine: Engine
    connection: Connection
    line: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    def reply(self, body: object, status: int = 200) -> None:
        sent = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n"
        self.send(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)

    def stream(self, *events: bytes) -> None:
        """The head of a stream and its first events, each a chunk; `chunk` sends what follows."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        self.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for event in events:
            self.chunk(event)

    def chunk(self, data: bytes) -> None:
        """The last one is empty."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def die(self) -> None:
        self.connection.connection_lost(ConnectionResetError())


class EngineWire(Wire):
    """An engine's side of a connection."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        super().__init__()
        self._engine, self._connection = engine, connection
        self.on_closed = lambda: connection.connection_lost(None)
        self._begin()

    def _begin(self) -> None:
        self._now = Seen(self._engine, self._connection)
        self._parser = httptools.HttpRequestParser(self)

    def write(self, data: bytes) -> None:
        super().write(data)
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._now.line = f"{self._parser.get_method().decode()} {url.decode()}"

    def on_header(self, name: bytes, value: bytes) -> None:
        self._now.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._engine.seen.append(self._now)
        self._engine.news.set()

    def on_body(self, data: bytes) -> None:
        self._now.body += data

    def on_message_complete(self) -> None:
        now = self._now
        now.complete = True
        self._engine.news.set()
        self._begin()
        if not self._engine.by_hand:
            asyncio.get_running_loop().call_soon(now.reply, {"served": now.line})


class DataPath:
    """llamactl over use cases, node, store and engines in memory. Needs a running loop."""

    def __init__(self, settings: Settings | None = None, *, managed: bool = True) -> None:
        """`managed`: with the management API from the beginning."""
        self.control = ControlPath(settings, publish=self._publish)
        self.ring = KeyRing([MANAGER])
        self.tickets = PageTickets(lambda: secrets.token_urlsafe(32))
        self.engine = Engine()
        self.clients: list[Client] = []
        self.managed: list[tuple[str, str, bytes]] = []  # what the management API was asked
        made = self.control.settings
        self.proxy = ProxyServer(
            made,
            access=Access.of(made, self.ring, self.tickets),
            leases=self.control.leases,
            activator=self.control.on_demand,
            paths=PATHS,
            busy_slots=self._busy_slots,
        )
        if managed:
            self.manage()
        self.proxy.relay.pool = Pool(self.proxy.relay.turns, self.engine.dial)
        self.proxy.publish(self.control.registry._table)

    def manage(self) -> None:
        """From now on there is a management API."""
        self.proxy.manage(ManagementApi(self._manage, guard_of))

    def _publish(self, table: Any) -> None:
        self.proxy.publish(table)

    async def _busy_slots(self, _: ReadyInstance) -> int | None:
        return 0

    async def _manage(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.managed.append((scope["method"], scope["path"], body))
        sent = json.dumps({"managed": scope["path"]}).encode()
        headers = [(b"content-length", b"%d" % len(sent))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": sent})

    def connect(self, host: str = "127.0.0.1") -> Client:
        client = Client(self.proxy, host)
        self.clients.append(client)
        return client

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> Response:
        """On a connection of its own; with the management key, if no other is given."""
        client = self.connect()
        client.ask(method, path, body, **{"key": MANAGER, **more})
        answer = await client.answer()
        client.leave()
        return answer

    async def held(
        self, method: str, path: str, body: object = None, **more: Any
    ) -> tuple[Client, Seen]:
        """A request of `one`, which its engine has, and does not answer by itself."""
        if not self.control.instances.all():
            await self.control.create("one")
        self.engine.by_hand = True
        client, number = self.connect(), len(self.engine.seen)
        client.ask(method, path, body, **{"key": MANAGER, **more})
        return client, await self.engine.request(number)

    async def chat(self, model: str, **more: Any) -> Response:
        return await self.ask("POST", CHAT, {"model": model}, **more)

    def add_key(self, name: str, *instances: str, expires_at: int | None = None) -> str:
        """An inference key, for these instances or for all; what its holder shows."""
        token = f"{name}.secret"
        mode = PermissionMode.PER_INSTANCE if instances else PermissionMode.ALLOW_ALL
        ids = frozenset(self.control.registry.get(one).instance.id for one in instances)
        self.ring.add(ApiKey(name, name, digest(token), mode, ids, 0, expires_at))
        return token

    async def until_free(self) -> None:
        """No request holds a lease of `one`."""
        try:
            async with asyncio.timeout(WITHIN_S):
                await self.control.leases.drained(self.control.registry.get("one").instance.id)
        except TimeoutError as exc:
            raise AssertionError(f"{self.leases('one')} leases are still held") from exc

    def leases(self, name: str) -> int:
        return self.control.leases.count(self.control.registry.get(name_key(name)).instance.id)


@asynccontextmanager
async def data_path(
    settings: Settings | None = None, *, managed: bool = True
) -> AsyncIterator[DataPath]:
    made = DataPath(settings, managed=managed)
    try:
        yield made
    finally:
        for client in made.clients:
            client.leave()
        async with asyncio.timeout(WITHIN_S):
            await made.proxy.close(0)


def guard_of(path: str) -> PathGuard:
    if path.startswith("/api/v1/"):
        return PathGuard.MANAGEMENT
    return PathGuard.OPEN if path in ("/", "/health") else PathGuard.NOTHING
