"""An engine that works on four requests at once, each for 50 ms, whatever they ask."""

from __future__ import annotations

import asyncio
import sys

_AT_ONCE, _WORK_S = 4, 0.05
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def main() -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, found, rest = head.lower().partition(b"content-length:")
                await reader.readexactly(int(rest.split(b"\r\n", 1)[0]) if found else 0)
                if head.startswith(b"POST"):
                    async with slots:
                        await asyncio.sleep(_WORK_S)
                writer.write(_OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
