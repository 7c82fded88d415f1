"""Many requests, one in twenty of them broken: in the end everything is as it was before."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.fake_engine import CHUNKED, address, create_fake, play, post
from support.proxies import proxies_of, until_proxies
from support.served import Served, data_folder, serve
from support.waits import until

REQUESTS, WORKERS = 20_000, 24
SIZED = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
EVENT = ["event", 'data: {"choices": []}\n\n']


class Client:
    """One connection after another, as faults break them."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self._host, self._port = address(server)
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, data: bytes) -> None:
        if self._writer is None:
            self.reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(data)

    def leave(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def answer(self) -> int:
        """Read one answer whole: its status. Raises if the connection ends before it does."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:-2])
        if fields.get(b"transfer-encoding") == b"chunked":
            while size := int(await self.reader.readuntil(b"\n"), 16):
                await self.reader.readexactly(size + 2)
            await self.reader.readexactly(2)
        else:
            await self.reader.readexactly(int(fields[b"content-length"]))
        if fields.get(b"connection") == b"close":
            self.leave()
        return int(head.split(b" ", 2)[1])

    async def ask(self, body: object, *headers: str) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.send(post(self.server, raw, *headers))
        return await self.answer()


Fault = Callable[[Client], Awaitable[None]]


async def engine_breaks_before_its_answer(client: Client) -> None:
    assert await client.ask(play("fake", ["send", "HTTP/1.1 2"], ["reset"])) == 502


async def engine_breaks_an_answer(client: Client) -> None:
    try:
        await client.ask(play("fake", ["send", SIZED + "half"], ["reset"]))
    except (asyncio.IncompleteReadError, ConnectionError):
        client.leave()
    else:
        raise AssertionError("half an answer looked whole")


async def engine_breaks_a_stream(client: Client) -> None:
    assert await client.ask(play("fake", ["send", CHUNKED], EVENT, ["reset"])) == 200


async def client_leaves_a_stream(client: Client) -> None:
    script = play("fake", ["send", CHUNKED], EVENT, ["flood", 1 << 22])
    await client.send(post(client.server, json.dumps(script).encode()))
    await client.reader.readuntil(b"\r\n\r\n")
    client.leave()


async def client_leaves_early(client: Client) -> None:
    await client.send(post(client.server, b'{"model": "fake"}'))
    client.leave()


async def client_leaves_its_body(client: Client) -> None:
    await client.send(post(client.server, b'{"model"', "Content-Length: 5000"))
    client.leave()


async def nonsense(client: Client) -> None:
    assert await client.ask(b"{") == 400
    assert await client.ask({"model": "nobody"}) == 404
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n")
    assert await client.answer() == 400


FAULTS: list[Fault] = [
    engine_breaks_an_answer, engine_breaks_a_stream, client_leaves_a_stream, client_leaves_early,
    client_leaves_its_body, nonsense,
]  # fmt: skip


async def work(
    client: Client, number: int, dice: random.Random, seen: Counter[str], *, may_cut: bool
) -> None:
    for _ in range(number):
        try:
            await step(client, dice, seen)
        except (asyncio.IncompleteReadError, ConnectionError):
            assert may_cut
            seen["cut"] += 1
            client.leave()


async def step(client: Client, dice: random.Random, seen: Counter[str]) -> None:
    stream = play("fake", ["send", CHUNKED], EVENT, EVENT, ["send", "0\r\n\r\n"])
    if dice.random() < 0.05:
        # each costs a second: whether the engine died with it has to be waited for
        rare = dice.random() < 0.02
        fault = engine_breaks_before_its_answer if rare else dice.choice(FAULTS)
        seen[fault.__name__] += 1
        await fault(client)
    else:
        seen["answered"] += 1
        body = stream if dice.random() < 0.3 else {"model": "fake", "n": dice.random()}
        assert await client.ask(body) == 200


def rounds(server: Served, number: int, seed: int, *, may_cut: bool = False) -> Counter[str]:
    """`may_cut`: processes that relay are killed meanwhile."""
    seen: Counter[str] = Counter()

    async def main() -> None:
        clients = [Client(server) for _ in range(WORKERS)]
        jobs = [
            work(
                client, number // WORKERS, random.Random(seed * WORKERS + n), seen, may_cut=may_cut
            )
            for n, client in enumerate(clients)
        ]  # fmt: skip
        await asyncio.gather(*jobs)
        for client in clients:
            client.leave()

    asyncio.run(main())
    return seen


def settled(server: Served) -> dict[str, float]:
    """Our own numbers, once no lease is held and no client is connected."""

    def read() -> dict[str, float]:
        text = server.request("GET", "/metrics").text
        rows = (row.rsplit(" ", 1) for row in text.splitlines() if row[0] != "#")
        return {key: float(value) for key, value in rows}

    def is_settled(numbers: dict[str, float]) -> bool:
        leases = sum(v for k, v in numbers.items() if k.startswith("llamactl_leases_in_flight"))
        return leases == 0 and numbers["llamactl_client_connections"] == 1

    return until("no lease and no client", read, is_settled)


def test_nothing_is_left_over(tmp_path: Path, scale: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with serve(data, {"LLAMACTL_LOG_LEVEL": "error"}) as server:
        create_fake(server, tmp_path, "fake")
        rounds(server, REQUESTS // 10, seed=1)
        before, files = settled(server), server.open_files()

        seen = rounds(server, REQUESTS * scale, seed=2)

        after = settled(server)
        assert sum(seen.values()) - seen["answered"] > REQUESTS * scale * 0.04
        assert after["llamactl_tasks"] <= before["llamactl_tasks"]
        # idle connections to the engine come and go; 32 of them are kept at most
        assert abs(server.open_files() - files) <= 32
        grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
        assert grown < 20 << 20
        assert (tmp_path / "data.err").read_text() == ""


@contextmanager
def killing_one_a_second(server: Served) -> Iterator[list[int]]:
    """Proxy processes at random; the pids of those that were killed."""
    dice, over, killed = random.Random(5), threading.Event(), list[int]()

    def run() -> None:
        while not over.wait(1.0):
            if found := proxies_of(server.process.pid):
                killed.append(dice.choice(found))
                with suppress(ProcessLookupError):
                    os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_nothing_is_left_over_of_processes_that_are_killed(tmp_path: Path, scale: int) -> None:
    settings = {"LLAMACTL_LOG_LEVEL": "error", "LLAMACTL_PROXY_PROCESSES": "2"}
    with serve(data_folder(tmp_path, ""), settings) as server:
        create_fake(server, tmp_path, "fake")
        rounds(server, REQUESTS // 10, seed=1)
        before, files = settled(server), server.open_files()

        with killing_one_a_second(server) as killed:
            seen = rounds(server, REQUESTS * scale, seed=2, may_cut=True)
        pids = until_proxies(server.process.pid)

        after = settled(server)
        assert len(killed) > 3
        assert seen["cut"] <= len(killed) * WORKERS
        assert after["llamactl_tasks"] <= before["llamactl_tasks"]
        assert abs(server.open_files() - files) <= 32
        grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]
        assert grown < 20 << 20
        assert len([*(server.data_dir / "proxies").iterdir()]) == len(pids) == 2
        assert (tmp_path / "data.err").read_text() == ""
