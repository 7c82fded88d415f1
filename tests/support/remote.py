"""A node behind a bad line: calls are late, arrive twice or never, and their answers get lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from llamactl.cluster.calls.line import Line, LineDown
from llamactl.cluster.calls.service import NodeService
from llamactl.cluster.calls.socket_line import SocketLine, answering
from llamactl.cluster.local import local_node
from llamactl.cluster.remote_node import RemoteNode
from llamactl.core.ports.node import Node
from llamactl.node import NodeAgent


class UnreliableLine:
    def __init__(self, service: NodeService, seed: int) -> None:
        self._service = service
        self._chance = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()

    async def ask(self, call: bytes) -> bytes:
        await self._turns(4)
        if self._chance.random() < 0.3:
            raise LineDown  # the call was lost
        if self._chance.random() < 0.3:
            self._again_later(call)
        answer = await self._service.answer(call)
        if self._chance.random() < 0.3:
            raise LineDown  # the answer was
        return answer

    async def reachable(self) -> None:
        await self._turns(4)

    async def _turns(self, most: int) -> None:
        for _ in range(self._chance.randrange(most)):
            await asyncio.sleep(0)

    def _again_later(self, call: bytes) -> None:
        async def late() -> None:
            await self._turns(20)
            await self._service.answer(call)  # nobody waits for this answer

        task = asyncio.create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def settle(self) -> None:
        """Return when every late call has arrived."""
        await asyncio.gather(*self._late)


@asynccontextmanager
async def reached(
    agent: NodeAgent, how: str, ray: tuple[Path, Path] | None = None
) -> AsyncGenerator[Node]:
    """At the end all that was sent has come.

    `how`: `local`, `socket`, `ray`, or `remote` and a seed. `ray`: as of `through_ray`.
    """
    node = local_node(agent)
    kind, _, seed = how.partition(" ")
    if kind == "local":
        yield node
        return
    service = NodeService(node, patience_s=0.05 if kind == "remote" else 20.0)
    async with AsyncExitStack() as open_:
        open_.push_async_callback(service.close)
        bad = UnreliableLine(service, int(seed or 0))
        line: Line = bad
        if kind in ("socket", "ray"):
            path = Path(open_.enter_context(TemporaryDirectory())) / "node.sock"
            asked, answered = ray or (path, path)
            await open_.enter_async_context(answering(answered, service.answer))
            line = SocketLine(asked)
            open_.push_async_callback(line.close)
        remote = RemoteNode(node.id, node.address, line)
        open_.push_async_callback(remote.calling.close)
        yield remote
        await remote.calling.settle()
        await bad.settle()
