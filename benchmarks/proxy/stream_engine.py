"""An engine that streams 200 chunks, 10 ms apart, and swallows what is not a chat request.

Takes llama-server's `--port` and `--alias`. As cheap as Python can be, so that the proxy is what is
measured.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import httptools
import uvloop

CHUNKS = 200
GAP_S = 0.01
_EVENT = (
    b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" %b"}}],'
    b'"created":1795358643,"id":"chatcmpl-cwOWLIaSY3smEaQToEvkqCAJzbyTqZos","model":"%b",'
    b'"object":"chat.completion.chunk"}\n\n'
)
_NAME = sys.argv[sys.argv.index("--alias") + 1].encode()
_EVENTS = [_EVENT % (word, _NAME) for word in (b"on", b"in")]  # some clients refuse repetitions
_TWO_CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in _EVENTS]
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Engine(asyncio.Protocol):
    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        if self._url != b"/v1/chat/completions":
            self._transport.write(_OK)
            return
        self._transport.write(_STREAM)
        self._left = CHUNKS
        self._tick()

    def _tick(self) -> None:
        if self._transport.is_closing():
            return
        if self._left == 0:
            self._transport.write(b"0\r\n\r\n")
            return
        self._left -= 1
        self._transport.write(_TWO_CHUNKS[self._left % 2])
        asyncio.get_running_loop().call_later(GAP_S, self._tick)


async def main() -> None:
    port = int(sys.argv[sys.argv.index("--port") + 1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


uvloop.run(main())
