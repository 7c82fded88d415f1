"""The head of a cluster: keeps Ray running here, and has a node for each machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from llamactl.cluster.calls.line import Line, LineDown, NodeGone
from llamactl.cluster.folder import RESERVED, ClusterFolder, Place
from llamactl.cluster.membership import MachineFacts, RemoteMember
from llamactl.cluster.ray.keeper import RayKeeper
from llamactl.cluster.ray.lines import Lines
from llamactl.cluster.ray.members import Member
from llamactl.cluster.reach import Reach
from llamactl.cluster.remote_node import RemoteNode
from llamactl.core.errors import LlamactlError
from llamactl.observe import logger

_AGAIN_S = 30.0  # after a machine was not understood
log = logger("cluster")


@dataclass(slots=True)
class Machine:
    """Another one, as far as it is known."""

    node: RemoteNode
    reach: Reach
    facts: MachineFacts | None = None  # since it was seen first
    asking: asyncio.Task[None] | None = None  # as long as Ray says that it is there


class WatchedLine:
    """Notices that the node's process has ended."""

    def __init__(self, line: Line, on_gone: Callable[[], None]) -> None:
        self._line = line
        self._on_gone = on_gone

    async def ask(self, call: bytes) -> bytes:
        try:
            return await self._line.ask(call)
        except NodeGone:
            self._on_gone()
            raise

    async def reachable(self) -> None:
        await self._line.reachable()


class Head:
    """Without a network it changes nothing: what is not there is asked again when it is."""

    def __init__(self, folder: ClusterFolder, place: Place, environ: Mapping[str, str]) -> None:
        """Raises OSError."""
        machine = folder.machine(place)
        self.place = place
        folder.certify(place)
        self._keeper = RayKeeper(machine, environ)
        self._lines = Lines(machine, environ)
        self._machines: dict[str, Machine] = {}
        self.on_seen: Callable[[str], object] = lambda _: None  # a node

    def __repr__(self) -> str:
        return f"<Head {self.place.node} of {len(self._machines)} others>"

    @property
    def machines(self) -> Mapping[str, Machine]:
        """By the names of their nodes."""
        return self._machines

    def machine(self, node: str) -> Machine:
        """Also one that was never seen."""
        if (known := self._machines.get(node)) is None:
            line = WatchedLine(self._lines.line(node), partial(self._gone, node))
            reach = Reach(node, up=False)
            known = self._machines[node] = Machine(RemoteNode(node, "", line), reach)
        return known

    def has_seen(self, node: str) -> bool:
        """Since we run."""
        return node in self._machines and self._machines[node].node.address != ""

    async def keep(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as chores:
            for one in (self._keeper.keep(), self._lines.keep(), self._follow()):
                chores.create_task(one)

    async def close(self) -> None:
        """Give up what is asked of other machines."""
        asking = [one.asking for one in self._machines.values() if one.asking]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.gather(*(one.node.calling.close() for one in self._machines.values()))

    async def _follow(self) -> NoReturn:
        members: Sequence[Member] | None = None
        while True:
            try:
                members = await self._lines.members(members)
            except LineDown:
                await self._lines.reachable()
                continue
            for member in members:
                if member.node != self.place.node and member.node not in RESERVED:
                    self._see(member)
                elif member.address != self.place.address:
                    log.warning("node_name_taken", node=member.node, address=member.address)

    def _see(self, member: Member) -> None:
        machine = self.machine(member.node)
        if member.twice:
            log.warning("two_machines_of_one_name", node=member.node, address=member.address)
        if member.there and machine.asking is None:
            machine.node.address = member.address
            self.on_seen(member.node)
            machine.asking = asyncio.create_task(self._keep_asking(member, machine))
        elif machine.asking is not None and not member.there:
            log.warning("machine_away", node=member.node, address=member.address)
            machine.asking.cancel()
            machine.asking = None
            machine.reach.set(up=False)

    def _gone(self, node: str) -> None:
        """Its machine is there, and its process is not: the next one is asked again."""
        machine = self._machines[node]
        if machine.reach.is_up and machine.asking is not None:
            log.warning("node_gone", node=node, address=machine.node.address)
            machine.reach.set(up=False)
            machine.asking.cancel()
            member = Member(node, machine.node.address, there=True)
            machine.asking = asyncio.create_task(self._keep_asking(member, machine))

    async def _keep_asking(self, member: Member, machine: Machine) -> None:
        """As long as it is there. Something is asked of it all the time, so its end is noticed."""
        asked = RemoteMember(machine.node.calling)
        while True:
            try:
                machine.facts = await asked.facts()
                log.info("machine_there", node=member.node, address=member.address)
                machine.reach.set(up=True)
                await asked.attend()
            except LlamactlError as exc:
                log.warning("machine_not_understood", node=member.node, reason=str(exc))
                await asyncio.sleep(_AGAIN_S)
