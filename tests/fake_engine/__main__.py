"""An engine that does what each request tells it to, for faults that no real one shows on demand.

Takes llama-server's flags. A request whose JSON body has a `script` is answered by its steps:

- `["send", text]`: these bytes (latin-1), as they are
- `["event", text]`: a chunk of chunked encoding
- `["until", name]`: wait until a request to `/signal/NAME` came
- `["flood", n]`: n bytes, as fast as they are taken
- `["log", n]`: n numbered lines of 200 bytes to the log, 50 MB a second
- `["pour", n]`: n blocks of a megabyte to the log, as fast as they are taken
- `["reset"]`: cut the connection with RST
- `["close"]`: close it
- `["die"]`: end the process with SIGKILL, `["die", "SIGSEGV"]` with that signal
- `["exit", n]`: end the process with this status

Without a script a chat is answered with the deltas that the variable `SAYS` lists, as a stream;
`["until", name]` among them waits, and a `finish_reason` in one says why the answer ends. What the
variable `LOGS` has is written to the log first. With the variable `LAST_WORDS` it ends only that
many seconds after a SIGTERM.

`/props` is for those who have the key, but of the model `keyless`. `/slots` tells how many
scripts are being played. Any other request is answered with a JSON account of what arrived, byte
for byte. With a header `X-Wait-For: NAME` its body is read only after a request to `/signal/NAME`
came, with `X-Early: 1` it is answered before that.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.http11 import Request, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%b"
NO = OK.replace(b"200 OK", b"401 Unauthorized")
STREAM = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
signals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
open_now: set[asyncio.StreamReader] = set()
served = 0
working = 0
looks = 0  # at its health


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


async def body_of(reader: asyncio.StreamReader, head: bytes) -> AsyncIterator[bytes]:
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    left = int(fields.get(b"content-length", b"0"))
    while left:
        data = await reader.read(min(left, 1 << 16))
        if not data:
            raise EOFError
        left -= len(data)
        yield data


async def play(  # noqa: C901  a step a branch
    script: list[list[object]], writer: asyncio.StreamWriter
) -> bool:
    """False if the connection is over."""
    for step, *values in script:
        if step == "send":
            writer.write(str(values[0]).encode("latin-1"))
        elif step == "event":
            data = str(values[0]).encode("latin-1")
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        elif step == "until":
            await signals[str(values[0])].wait()
        elif step == "flood":
            for _ in range(int(str(values[0])) >> 16):
                writer.write(b"x" * (1 << 16))
                await writer.drain()
        elif step == "log":
            await log_lines(int(str(values[0])))
        elif step == "pour":
            await pour(int(str(values[0])))
        elif step == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        elif step == "close":
            await writer.drain()
            return False
        elif step == "die":
            await writer.drain()
            os.kill(os.getpid(), signal.Signals[str(values[0]) if values else "SIGKILL"])
        elif step == "exit":
            os._exit(int(str(values[0])))
        await writer.drain()
    return True


def script_of(target: str, body: bytes) -> list[list[object]] | None:
    try:
        script: list[list[object]] | None = json.loads(body).get("script")
    except (ValueError, AttributeError):
        script = None
    if script is None and "SAYS" in os.environ and target == "/v1/chat/completions":
        return spoken(json.loads(os.environ["SAYS"]))
    return script


def spoken(says: list[object]) -> list[list[object]]:
    """A stream of chunks as OpenAI's API has them: https://platform.openai.com/docs/api-reference"""
    steps: list[list[object]] = [["send", STREAM]]
    for part in says:
        if isinstance(part, list):
            steps.append(part)
            continue
        finish = part.pop("finish_reason", None) if isinstance(part, dict) else None
        choice = {"index": 0, "delta": part, "finish_reason": finish}
        chunk = json.dumps({"choices": [choice]})
        steps.append(["event", f"data: {chunk}\n\n"])
    return [*steps, ["event", "data: [DONE]\n\n"], ["send", "0\r\n\r\n"]]


async def log_lines(count: int) -> None:
    began = time.monotonic()
    for first in range(0, count, 1000):
        await asyncio.sleep(began + first * 200 / 50e6 - time.monotonic())
        lines = [b"line %09d %s\n" % (n, b"." * 184) for n in range(first, first + 1000)]
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(1, data) :]


async def pour(blocks: int) -> None:
    filler = b"".join(b"%s\n" % (b"." * 99) for _ in range(9_999))
    for number in range(blocks):
        data = memoryview(b"block %09d %s\n%s" % (number, b"." * 83, filler))
        while data:
            data = data[os.write(1, data) :]
        await asyncio.sleep(0)


async def before_the_body(head: bytes, writer: asyncio.StreamWriter) -> bool:
    """True if the request is answered already."""
    early = b"x-early: 1" in head
    if early:
        writer.write(OK % (2, b"{}"))
        await writer.drain()
    if b"x-wait-for: " in head:
        name = head.partition(b"x-wait-for: ")[2].partition(b"\r\n")[0]
        await signals[name.decode()].wait()
    return early


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    global served, working, looks  # noqa: PLW0603  one process, one count
    head = (await reader.readuntil(b"\r\n\r\n"))[:-2]
    early = await before_the_body(head, writer)
    chunks = [chunk async for chunk in body_of(reader, head)]
    body = b"".join(chunks)
    target = head.split(b" ")[1].decode("latin-1")
    if target == "/health":
        looks += 1
        if option("--model") == "slow":
            await signals["loaded"].wait()
        writer.write(OK % (2, b"{}"))
        return True
    if target == "/props":
        known = f"Bearer {os.environ['LLAMA_API_KEY']}".encode() in head
        writer.write((OK if known or option("--model") == "keyless" else NO) % (2, b"{}"))
        return True
    if target.startswith("/signal/"):
        signals[target.rpartition("/")[2]].set()
        writer.write(OK % (2, b"{}"))
        return True
    if target == "/slots":
        slots = json.dumps([{"is_processing": n < working} for n in range(8)]).encode()
        writer.write(OK % (len(slots), slots))
        return True
    if target == "/seen":
        seen = json.dumps(
            {
                "connections": sum(not r.at_eof() for r in open_now),
                "served": served,
                "looks": looks,
            }
        ).encode()
        writer.write(OK % (len(seen), seen))
        return True
    served += target != "/v1/models"  # by which llamactl asks what it serves, once it is ready
    if early:
        return True
    script = script_of(target, body)
    if script is not None:
        working += 1
        try:
            return await play(script, writer)
        finally:
            working -= 1
    arrived = {
        "head": base64.b64encode(head).decode(),
        "body": base64.b64encode(body).decode() if len(body) < 1 << 22 else str(len(body)),
        "pid": os.getpid(),
    }
    answer = json.dumps(arrived).encode()
    writer.write(OK % (len(answer), b"" if head.startswith(b"HEAD") else answer))
    return True


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    open_now.add(reader)
    try:
        while await converse(reader, writer):
            await writer.drain()
    except (EOFError, ConnectionError):
        pass
    finally:
        open_now.discard(reader)
        writer.close()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        if message == "leave":
            await connection.close(4001, "as told")
        await connection.send(message)


async def main() -> None:
    if logs := os.environ.get("LOGS"):
        print(logs, flush=True)
    if last_words := os.environ.get("LAST_WORDS"):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, loop.call_later, float(last_words), os._exit, 0)
    port = int(option("--port"))
    if option("--model") == "websocket":

        def health(connection: ServerConnection, request: Request) -> Response | None:
            return None if "Upgrade" in request.headers else connection.respond(200, "ok")

        async with serve_websockets(echo, "127.0.0.1", port, process_request=health):
            await asyncio.Future()
    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=1 << 20)
    await server.serve_forever()


try:
    asyncio.run(main())
except OSError as exc:  # in llama-server's words, so that another port is tried
    sys.exit(f"couldn't bind HTTP server socket: {exc}")
