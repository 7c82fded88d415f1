"""Each part of Ray is killed, and started again by whoever keeps it. Engines notice nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.calls.service import NodeService
from llamactl.cluster.calls.socket_line import answering
from llamactl.cluster.ray.lines import Lines
from llamactl.cluster.ray.members import Member
from llamactl.cluster.remote_node import RemoteNode
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import NO_MODEL
from llamactl.core.ports.node import EngineSettings, LaunchSpec, PortChoice
from llamactl.node import ModelAccess, NodeAgent
from support.fake_engine import ENGINE, wrapper
from support.ray_cluster import SOURCES, RayNode, ray_cluster

DEADLINE_S = 120.0
_FIRST = 19_000 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@dataclass
class There:
    """A head, and a node `two` on another machine, with an engine that serves."""

    head: RayNode
    two: RayNode
    lines: Lines
    node: RemoteNode
    folder: Path
    agent: NodeAgent
    service: AsyncExitStack  # closing it closes the node's socket
    record: ProcessRecord = field(init=False)

    async def until_members(self, **there: bool) -> None:
        """As Ray says; nobody else may come."""
        now: Sequence[Member] = ()
        while {one.node: one.there for one in now} != there:
            try:
                now = await self.lines.members(now)
            except LineDown:
                await self.lines.reachable()
            assert {one.node for one in now} <= set(there)


async def permit(_: InstanceOptions) -> None:
    pass


def spec(folder: Path) -> LaunchSpec:
    command = wrapper(folder / "engine", sys.executable, ENGINE)
    options = InstanceOptions(backend_options={"model": "any"}, command_override=str(command))
    ports = PortChoice(_FIRST, _FIRST + 99)
    return LaunchSpec("r", "i", "one", 1, options, EngineSettings(), ports)


def agent_in(folder: Path) -> NodeAgent:
    models = ModelAccess(lambda given: given, lambda *_: NO_MODEL, permit)
    return NodeAgent(folder, folder, {"PATH": os.environ["PATH"]}, models)


@asynccontextmanager
async def there() -> AsyncGenerator[There]:
    async with AsyncExitStack() as ends:
        ends.enter_context(folder := TemporaryDirectory(dir="/tmp"))
        here = Path(folder.name)
        head, two = ends.enter_context(ray_cluster(here, "one", "two"))
        agent = agent_in(here)
        service = await ends.enter_async_context(AsyncExitStack())
        served = NodeService(agent)
        ends.push_async_callback(served.close)
        await service.enter_async_context(answering(two.ray.socket, served.answer))
        lines = Lines(
            head.ray, {**os.environ, "PYTHONPATH": str(SOURCES)}, inside=head.machine.inside
        )
        kept = asyncio.create_task(lines.keep())
        node = RemoteNode("two", two.ray.address, lines.line("two"))
        now = There(head, two, lines, node, here, agent, service)
        try:
            record = await node.prepare(spec(here))
            await node.release(record.process)
            assert await node.until_ready(record.process, prove_key=False) is None
            now.record = record
            yield now
        finally:
            for left in await now.agent.prepared():
                now.agent.kill(left.process)
                await now.agent.wait_exit(left.process)
            await now.agent.close()
            await node.calling.close()
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)


def kill(node: RayNode, *parts: str) -> None:
    """All of them at once, since one ends when another one does."""
    pids = [pid for part in parts for pid in node.machine.pids(part)]
    assert len(pids) >= len(parts), f"not all of {parts} run there"
    node.machine.run("kill", "-9", *map(str, pids))


async def kill_driver(now: There) -> None:
    kill(now.head, "ray.driver")


async def kill_mailbox(now: There) -> None:
    kill(now.two, "ray::Mailbox")


async def kill_raylet(now: There) -> None:
    """The actor ends with it; a service manager starts it again."""
    kill(now.two, "raylet/raylet")
    await now.until_members(one=True, two=False)
    now.two.start()
    await now.until_members(one=True, two=True)


async def kill_head(now: There) -> None:
    """All of Ray on the head; what it wrote down is read by the next one."""
    kill(now.head, "gcs/gcs_server", "raylet/raylet")
    await asyncio.to_thread(now.head.machine.started[-1].wait, DEADLINE_S)
    now.head.start()


async def restart_the_nodes_process(now: There) -> None:
    """Its socket is gone for a moment, and who comes knows neither the calls nor the engine."""
    await now.service.aclose()
    await now.agent.close()
    with pytest.raises(LineDown):
        await now.lines.line("two").ask(b"")
    now.agent = agent_in(now.folder)
    service = NodeService(now.agent)
    await now.service.enter_async_context(answering(now.two.ray.socket, service.answer))


async def cut_off(now: There) -> None:
    """Ray ends itself on a machine that was away: a service manager starts it again."""
    now.two.machine.run("ip", "link", "set", "eth0", "down")
    await now.until_members(one=True, two=False)
    now.two.machine.run("ip", "link", "set", "eth0", "up")
    await asyncio.to_thread(now.two.machine.started[-1].wait, DEADLINE_S)
    now.two.start()
    await now.until_members(one=True, two=True)


FAULTS: dict[str, Callable[[There], Awaitable[None]]] = {
    "driver": kill_driver, "mailbox": kill_mailbox, "raylet": kill_raylet, "head": kill_head,
    "the node's process": restart_the_nodes_process, "network": cut_off,
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=[*FAULTS])
def test_an_engine_lives_on_and_is_answered_for(fault: Callable[[There], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE_S), there() as now:
            exited = asyncio.create_task(now.node.wait_exit(now.record.process))

            await fault(now)

            assert [one.process for one in await now.node.prepared()] == [now.record.process]
            assert await now.node.is_healthy(now.record.process, 30.0)
            assert not exited.done()
            now.node.kill(now.record.process)
            report: ExitReport = await exited
            adopted = fault is restart_the_nodes_process  # how such a one ends nobody may know
            assert report.signal == 9 or (adopted and report.unseen)
            await now.until_members(one=True, two=True)

    asyncio.run(run())
